import { absolute } from "./address.js";
import { Sam2Error } from "./errors.js";
import type { FrameSource } from "./frame-source.js";
import { ElementFrames, IterableFrames, MediaStreamFrames } from "./stream-frames.js";
import { StreamSource } from "./stream-source.js";
import type { VideoSource } from "./types.js";
import { openVideoFile } from "./video-file-source.js";

export interface SourceOptions {
  keepFrames: number;
  inWorker: boolean;
  /** Where the worker that decodes files is, if it was told. */
  workerUrl: string | undefined;
  signal: AbortSignal;
}

/** The frames of whatever a page calls a video. */
export async function openSource(
  source: VideoSource,
  { keepFrames, inWorker, workerUrl, signal }: SourceOptions,
): Promise<FrameSource> {
  if (source instanceof Blob) return openVideoFile(source, inWorker, workerUrl, signal);
  if (typeof source === "string" || source instanceof URL) {
    return openVideoFile(absolute(String(source)), inWorker, workerUrl, signal);
  }
  if (typeof MediaStream !== "undefined" && source instanceof MediaStream) {
    return StreamSource.open(new MediaStreamFrames(source), keepFrames, signal);
  }
  if (typeof HTMLVideoElement !== "undefined" && source instanceof HTMLVideoElement) {
    return StreamSource.open(new ElementFrames(source), keepFrames, signal);
  }
  if (typeof source === "object" && source !== null && Symbol.asyncIterator in source) {
    return StreamSource.open(new IterableFrames(source), keepFrames, signal);
  }
  throw new Sam2Error(
    "UNSUPPORTED_INPUT",
    "Not a video: pass a Blob, a URL, a MediaStream, a <video>, or an async iterable of VideoFrame or ImageBitmap.",
  );
}
