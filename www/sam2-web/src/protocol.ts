import type { PlainError } from "./errors.js";
import type { Box, ModelInfo, Progress } from "./types.js";
import type { WasmPrediction, WasmPrompt } from "./wasm-module.js";

/** RGBA bytes, four a pixel, alpha not premultiplied. (Not `ImageData`, so that it can be made anywhere.) */
export interface RawPicture {
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

/** The forms in which a picture reaches the engine. */
export type Picture = RawPicture | ImageBitmap | Blob;

export type WeightsSource = { url: string; cache: boolean } | Blob | ArrayBuffer;

/** The engine's calls: the same whether it lives in a worker or on this thread. */
export interface Calls {
  load: { args: { weights: WeightsSource }; result: ModelInfo & { device: string } };
  setImage: {
    args: { picture: Picture };
    result: { image: number; width: number; height: number; encodeMs: number; encodes: number };
  };
  predict: {
    args: { image: number; prompts: WasmPrompt[] };
    result: { predictions: WasmPrediction[]; decodeMs: number };
  };
  /** The picture's pixels where the mask is, the rest transparent, cropped to `crop` (inclusive pixels). */
  cutout: { args: { image: number; bits: Uint8Array; crop: Box }; result: Blob };
  rle: { args: { bits: Uint8Array; width: number; height: number }; result: string };
  release: { args: { image: number }; result: undefined };
}

export type Method = keyof Calls;

export interface CallContext {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Page to worker. */
export type Request = { id: number; method: Method; args: unknown } | { id: number; abort: true };

/** Worker to page. */
export type Reply =
  | { id: number; result: unknown }
  | { id: number; error: PlainError }
  | { id: number; progress: Progress };

/** A way to the engine. */
export interface Connection {
  call<M extends Method>(
    method: M,
    args: Calls[M]["args"],
    context?: CallContext,
    transfer?: Transferable[],
  ): Promise<Calls[M]["result"]>;
  /** Frees everything. Calls made afterwards, and those still under way, never answer. */
  close(): void;
}
