import type { Video } from "sam2-web";
import { type Effect, Painter, type Shape } from "./effects.js";
import type { Container } from "./encode.js";

export interface VideoToExport {
  video: Video;
  /** Whose sound goes with it. */
  file: Blob;
  /** Frames from and to, both included. */
  stretch: readonly [first: number, last: number];
  shapes: (frame: number) => readonly Shape[] | undefined;
  effect: Effect;
  /** What becomes of frames that were not tracked: nothing is on them, or they are shown as they are. */
  untracked: "empty" | "whole";
}

/**
 * The clip under the effect, encoded by the browser. Frames are shown as long as in the original; the first one begins
 * at 0. A cut-out is transparent in WebM, on black in MP4, which knows no transparency. The sound is the clip's.
 */
export async function toVideo(
  { video, file, stretch: [first, last], shapes, effect, untracked }: VideoToExport,
  container: Container,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<{ file: Blob; lostSound: boolean }> {
  const { encode } = await import("./encode.js");
  // H.264 has colour for every other pixel only, so its sizes are even: an odd clip is scaled by that one pixel.
  const canvas = new OffscreenCanvas(Math.max(2, video.width & ~1), Math.max(2, video.height & ~1));
  const transparent = effect.name === "cutout" && container === "webm";
  const context = canvas.getContext("2d", { alpha: transparent, willReadFrequently: transparent });
  if (!context) throw new Error("The browser gives no canvas to draw on.");
  const start = video.timestamp(first);
  const sound = { file, start, end: video.timestamp(last) + shownFor(video, last) };
  const encoding = await encode(canvas, container, { transparent, sound, signal });
  try {
    const painter = new Painter();
    for (let frame = first; frame <= last; frame++) {
      const picture = await video.frameAt(frame, { signal });
      painter.paint(context, picture, shapes(frame) ?? (untracked === "empty" ? [] : undefined), effect);
      picture.close();
      await encoding.add(video.timestamp(frame) - start, shownFor(video, frame));
      progress((frame - first + 1) / (last - first + 1));
    }
    return { file: await encoding.finish(), lostSound: encoding.lostSound };
  } finally {
    await encoding.close();
  }
}

/** How long a frame is shown, in seconds: until the next, and the last one until the clip's end. */
export function shownFor(video: Pick<Video, "timestamp" | "frameCount" | "duration">, frame: number): number {
  const { frameCount = 0, duration } = video;
  const at = video.timestamp(frame);
  if (frame + 1 < frameCount) return video.timestamp(frame + 1) - at;
  const before = frame > 0 ? at - video.timestamp(frame - 1) : 1 / 30;
  const left = duration === undefined ? 0 : duration - at;
  return left > 0 ? left : before;
}
