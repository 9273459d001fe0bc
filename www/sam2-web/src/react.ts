/**
 * Hooks for React.
 *
 * @module sam2-web/react
 */

import { useEffect, useState } from "react";
import { type Sam2Error, toSam2Error } from "./errors.js";
import { type ImageEmbedding, type LoadOptions, type PictureSource, type Progress, Sam2 } from "./index.js";

/** What a hook takes of the options of {@link Sam2.load}. */
export type UseSam2Options = Omit<LoadOptions, "signal" | "onProgress">;

/** Those by which the model is loaded anew if they change. (`fetch` and `requestInit` are often made at every render.) */
const OPTIONS = [
  "model",
  "device",
  "precision",
  "config",
  "imageSize",
  "baseUrl",
  "cache",
  "worker",
  "workerUrl",
  "wasmUrl",
] as const satisfies readonly (keyof UseSam2Options)[];

/** What {@link useSam2} gives while the model loads, once it has loaded, and where it has failed. */
export interface UseSam2 {
  sam?: Sam2;
  /** The step of loading, until `sam` or `error` is there. */
  progress?: Progress;
  error?: Sam2Error;
}

/**
 * A model for a React component: loaded when it mounts, disposed of when it unmounts, also during the load. Loaded anew when
 * one of the options is another; a `Blob`, an object or an array of the options should be the same one at every render.
 */
export function useSam2(options: UseSam2Options = {}): UseSam2 {
  const [state, setState] = useState<UseSam2>({});
  useEffect(
    () => {
      const unmounted = new AbortController();
      const { signal } = unmounted;
      const set = (next: UseSam2) => {
        if (!signal.aborted) setState(next);
      };
      let loaded: Sam2 | undefined;
      set({});
      Sam2.load({ ...options, signal, onProgress: (progress) => set({ progress }) }).then(
        (sam) => {
          loaded = sam;
          if (signal.aborted) sam.dispose();
          else set({ sam });
        },
        (error) => set({ error: toSam2Error(error) }),
      );
      return () => {
        unmounted.abort();
        loaded?.dispose();
      };
    },
    OPTIONS.map((name) => options[name]),
  );
  return state;
}

/** What {@link useImage} gives while the picture is encoded, then, and where that has failed. */
export interface UseImage {
  image?: ImageEmbedding;
  error?: Sam2Error;
}

/** A picture's embedding for a React component: made when both are there, and disposed of when one is another. */
export function useImage(sam: Sam2 | undefined, picture: PictureSource | undefined): UseImage {
  const [state, setState] = useState<UseImage>({});
  useEffect(() => {
    setState({});
    if (!sam || !picture) return undefined;
    const gone = new AbortController();
    const { signal } = gone;
    let made: ImageEmbedding | undefined;
    sam.setImage(picture, { signal }).then(
      (image) => {
        made = image;
        if (signal.aborted) image.dispose();
        else setState({ image });
      },
      (error) => {
        if (!signal.aborted) setState({ error: toSam2Error(error) });
      },
    );
    return () => {
      gone.abort();
      made?.dispose();
    };
  }, [sam, picture]);
  return state;
}
