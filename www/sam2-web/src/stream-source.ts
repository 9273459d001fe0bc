import { Sam2Error, toSam2Error } from "./errors.js";
import { closePicture, type FrameSource } from "./frame-source.js";
import { StreamTimes } from "./frame-times.js";
import { checkSize } from "./size.js";
import { check, until } from "./until.js";

/** What a stream shows at a time: the taker's to close. */
export interface Shown {
  picture: VideoFrame | ImageBitmap;
  /** In seconds. */
  timestamp: number;
}

/** Frames that come once. */
export interface FrameStream {
  /** The next one, or the newest; nothing at the end. One call at a time. */
  pull(): Promise<Shown | undefined>;
  /** A call under way then ends, sooner or later. */
  close(): void;
}

/** Frames as they come: the newest is at hand, and some before it. */
export class StreamSource implements FrameSource {
  readonly width: number;
  readonly height: number;
  readonly frameCount = undefined;
  readonly duration = undefined;
  readonly leftOut = 0;
  readonly times = new StreamTimes();
  readonly #stream: FrameStream;
  readonly #kept: (VideoFrame | ImageBitmap)[] = [];
  readonly #keepFrames: number;
  #taking: Promise<number | undefined> | undefined;
  #ended = false;
  #closed = false;

  /** Takes the first frame, which says the size. */
  static async open(stream: FrameStream, keepFrames: number, signal: AbortSignal): Promise<StreamSource> {
    const stop = () => stream.close();
    signal.addEventListener("abort", stop);
    try {
      const first = await pull(stream);
      if (signal.aborted) first && closePicture(first.picture);
      check(signal);
      if (!first) {
        throw new Sam2Error(
          "NO_VIDEO_TRACK",
          "The stream ended before its first frame. Is it live and not empty?",
        );
      }
      try {
        checkSize(...sizeOf(first.picture));
      } catch (error) {
        closePicture(first.picture);
        throw error;
      }
      return new StreamSource(stream, first, keepFrames);
    } catch (error) {
      stream.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  private constructor(stream: FrameStream, first: Shown, keepFrames: number) {
    this.#stream = stream;
    this.#keepFrames = keepFrames;
    [this.width, this.height] = sizeOf(first.picture);
    this.#keep(first);
  }

  get earliest(): number {
    return this.times.count - this.#kept.length;
  }

  async picture(frame: number): Promise<VideoFrame | ImageBitmap> {
    const kept = this.#at(frame);
    return "clone" in kept ? kept.clone() : createImageBitmap(kept);
  }

  async bitmap(frame: number, width: number | undefined): Promise<ImageBitmap> {
    return createImageBitmap(this.#at(frame), width && width < this.width ? { resizeWidth: width } : {});
  }

  take(signal: AbortSignal): Promise<number | undefined> {
    // One that nobody waits for any more still counts: it will then be the newest.
    this.#taking ??= this.#take().finally(() => {
      this.#taking = undefined;
    });
    return until(this.#taking, [signal]);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const picture of this.#kept) picture.close();
    this.#kept.length = 0;
    this.#stream.close();
  }

  async #take(): Promise<number | undefined> {
    if (this.#ended) return undefined;
    const shown = await pull(this.#stream);
    if (!shown || this.#closed) {
      this.#ended = true;
      if (shown) closePicture(shown.picture);
      return undefined;
    }
    const [width, height] = sizeOf(shown.picture);
    if (width !== this.width || height !== this.height) {
      closePicture(shown.picture);
      throw new Sam2Error(
        "FRAME_SIZE_CHANGED",
        `The stream's frames have changed from ${this.width} x ${this.height} to ${width} x ${height} pixels. ` +
          "Call openVideo again to go on with the new size.",
      );
    }
    return this.#keep(shown);
  }

  #keep({ picture, timestamp }: Shown): number {
    this.#kept.push(picture);
    this.times.push(timestamp);
    if (this.#kept.length > this.#keepFrames + 1) this.#kept.shift()?.close();
    return this.times.count - 1;
  }

  #at(frame: number): VideoFrame | ImageBitmap {
    const kept = this.#kept[frame - this.earliest];
    if (kept) return kept;
    throw new Sam2Error(
      "FRAME_GONE",
      `Frame ${frame} of the stream is no longer at hand: the newest is ${this.times.count - 1}. ` +
        "To prompt on earlier frames, open the video with keepFrames.",
    );
  }
}

async function pull(stream: FrameStream): Promise<Shown | undefined> {
  try {
    return await stream.pull();
  } catch (cause) {
    if (cause instanceof Sam2Error) throw cause;
    const { message } = toSam2Error(cause);
    throw new Sam2Error("VIDEO_SOURCE_FAILED", `The stream failed: ${message}`, { cause });
  }
}

function sizeOf(picture: VideoFrame | ImageBitmap): [width: number, height: number] {
  return "displayWidth" in picture
    ? [picture.displayWidth, picture.displayHeight]
    : [picture.width, picture.height];
}
