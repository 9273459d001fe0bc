import type { FrameTimes } from "./frame-times.js";
import type { FramePicture } from "./protocol.js";

/** Where a {@link Video} gets its frames: on the calling side, one at a time. */
export interface FrameSource {
  /** In pixels, as shown: after rotation. */
  readonly width: number;
  readonly height: number;
  /** Of a file. A stream has none: its frames are taken by {@link FrameSource.take}. */
  readonly frameCount: number | undefined;
  /** Seconds, where it is known. */
  readonly duration: number | undefined;
  readonly times: FrameTimes;
  /** Frames at a file's start that cannot be decoded. */
  readonly leftOut: number;
  /** The earliest frame still at hand. */
  readonly earliest: number;
  /** A picture for the engine: the caller's, who posts or closes it. */
  picture(frame: number, signal: AbortSignal): Promise<FramePicture>;
  /** A picture to show: the caller's. */
  bitmap(frame: number, width: number | undefined, signal: AbortSignal): Promise<ImageBitmap>;
  /** Takes a stream's next frame: its number, or nothing where the stream has ended. */
  take(signal: AbortSignal): Promise<number | undefined>;
  close(): void;
}

/** Of a picture that nobody wants any more. */
export function closePicture(picture: object): void {
  if ("close" in picture && typeof picture.close === "function") picture.close();
}

/** What of a picture is moved to a worker rather than copied. */
export function transferOf(picture: FramePicture): Transferable[] {
  return ["data" in picture ? picture.data.buffer : picture];
}
