import { Sam2Error, type Video } from "sam2-web";
import { type Effect, Painter, type Shape } from "./effects.js";

export interface VideoToExport {
  video: Video;
  /** Frames from and to, both included. */
  stretch: readonly [first: number, last: number];
  shapes: (frame: number) => readonly Shape[] | undefined;
  effect: Effect;
}

export type Container = "mp4" | "webm";

/**
 * The clip under the effect, encoded by the browser. Frames are shown as long as in the original; the first one begins
 * at 0. A cut-out is transparent in WebM, on black in MP4, which knows no transparency. There is no sound.
 */
export async function toVideo(
  { video, stretch: [first, last], shapes, effect }: VideoToExport,
  container: Container,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const { BufferTarget, CanvasSource, Mp4OutputFormat, Output, QUALITY_HIGH, WebMOutputFormat, ...media } =
    await import("./muxer.js");
  const format =
    container === "mp4" ? new Mp4OutputFormat({ fastStart: "in-memory" }) : new WebMOutputFormat();
  // H.264 has colour for every other pixel only, so its sizes are even: an odd clip is scaled by that one pixel.
  const width = Math.max(2, video.width & ~1);
  const height = Math.max(2, video.height & ~1);
  const transparent = effect.name === "cutout" && container === "webm";
  const codecs = transparent ? (["vp9", "vp8"] as const) : format.getSupportedVideoCodecs();
  const codec = await media.getFirstEncodableVideoCodec([...codecs], { width, height });
  if (!codec) {
    const name = container === "mp4" ? "MP4" : "WebM";
    const message = `This browser cannot encode ${width} × ${height} for ${name}. Take the other format.`;
    throw new Sam2Error("VIDEO_UNSUPPORTED", message);
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha: transparent });
  if (!context) throw new Error("The browser gives no canvas to draw on.");
  const target = new BufferTarget();
  const output = new Output({ format, target });
  const source = new CanvasSource(canvas, {
    codec,
    quality: QUALITY_HIGH,
    alpha: transparent ? "keep" : "discard",
  });
  output.addVideoTrack(source);
  await output.start();
  try {
    const painter = new Painter();
    const start = video.timestamp(first);
    for (let frame = first; frame <= last; frame++) {
      const picture = await video.frameAt(frame, { signal });
      painter.paint(context, picture, shapes(frame), effect);
      picture.close();
      await source.add(video.timestamp(frame) - start, shownFor(video, frame));
      progress((frame - first + 1) / (last - first + 1));
    }
    source.close();
    await output.finalize();
  } catch (error) {
    await output.cancel();
    throw error;
  }
  if (!target.buffer) throw new Error("The file came out empty. Export again.");
  return new Blob([target.buffer], { type: format.mimeType });
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
