import { Sam2Error } from "./errors.js";
import type { FrameStream, Shown } from "./stream-source.js";

/** A page's own frames, asked for one at a time. */
export class IterableFrames implements FrameStream {
  readonly #iterator: AsyncIterator<VideoFrame | ImageBitmap>;
  #start: number | undefined;
  #closed = false;

  constructor(frames: AsyncIterable<VideoFrame | ImageBitmap>) {
    this.#iterator = frames[Symbol.asyncIterator]();
  }

  async pull(): Promise<Shown | undefined> {
    const { value, done } = await this.#iterator.next();
    if (done) return undefined;
    if (isA(value, "VideoFrame")) return { picture: value, timestamp: value.timestamp / 1e6 };
    if (!isA(value, "ImageBitmap")) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `The async iterable gave ${Object.prototype.toString.call(value)}; its values must be VideoFrame or ImageBitmap.`,
      );
    }
    // An ImageBitmap does not say when it is shown.
    const now = performance.now() / 1000;
    this.#start ??= now;
    return { picture: value, timestamp: now - this.#start };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Not awaited: a generator in the middle of a frame ends after it, and what it throws then concerns nobody.
    Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }
}

/** How often a picture is asked for, and how long between. */
const TRIES = 10;
const PAUSE_MS = 20;

/** What a `<video>` shows. */
export class ElementFrames implements FrameStream {
  readonly #element: HTMLVideoElement;
  readonly #closing = new AbortController();
  #taken: number | undefined;

  constructor(element: HTMLVideoElement) {
    this.#element = element;
  }

  async pull(): Promise<Shown | undefined> {
    const timestamp = await this.#nextTime();
    if (timestamp === undefined) return undefined;
    this.#taken = timestamp;
    return { picture: await this.#picture(TRIES), timestamp };
  }

  close(): void {
    this.#closing.abort();
  }

  /** Just after it has loaded, an element may say that its picture is there when it cannot be taken yet. */
  async #picture(tries: number): Promise<ImageBitmap> {
    try {
      return await createImageBitmap(this.#element);
    } catch (error) {
      if (tries <= 1 || this.#closing.signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      return this.#picture(tries - 1);
    }
  }

  /** When the next picture is there, its time in seconds; nothing at the end. */
  #nextTime(): Promise<number | undefined> {
    const element = this.#element;
    const { signal } = this.#closing;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return resolve(undefined);
      const listening = new AbortController();
      let callback: number | undefined;
      const settle = (act: () => void) => {
        listening.abort();
        if (callback !== undefined) element.cancelVideoFrameCallback(callback);
        act();
      };
      const on = (target: EventTarget, type: string, act: () => void) =>
        target.addEventListener(type, () => settle(act), { signal: listening.signal });
      const fail = () => reject(new Error(element.error?.message || "the <video> element reports an error"));
      on(signal, "abort", () => resolve(undefined));
      on(element, "error", fail);
      on(element, "ended", () => resolve(undefined));
      if (element.error) return settle(fail);
      // A still element shows what it will not show again.
      const shown = element.currentTime;
      const still = element.paused || element.ended;
      if (element.readyState >= 2 && element.videoWidth && still && shown !== this.#taken) {
        return settle(() => resolve(shown));
      }
      if (element.ended) return settle(() => resolve(undefined));
      // (As a type, every element has it.)
      if (typeof element.requestVideoFrameCallback === "function") {
        callback = element.requestVideoFrameCallback((_, { mediaTime }) => settle(() => resolve(mediaTime)));
        // A still element that was not loaded yet shows its first frame without a callback in some browsers.
        if (this.#taken === undefined) on(element, "loadeddata", () => resolve(element.currentTime));
      } else on(element, "timeupdate", () => resolve(element.currentTime));
    });
  }
}

interface TrackProcessor {
  readable: ReadableStream<VideoFrame>;
}
type TrackProcessorClass = new (init: { track: MediaStreamTrack; maxBufferSize?: number }) => TrackProcessor;

/** A camera's or screen's newest frame. */
export class MediaStreamFrames implements FrameStream {
  readonly #frames: FrameStream;

  constructor(stream: MediaStream) {
    const [track] = stream.getVideoTracks();
    if (!track || track.readyState === "ended") {
      throw new Sam2Error("NO_VIDEO_TRACK", "The MediaStream has no live video track.");
    }
    const Processor = (globalThis as { MediaStreamTrackProcessor?: TrackProcessorClass })
      .MediaStreamTrackProcessor;
    this.#frames = Processor
      ? new ProcessedFrames(new Processor({ track, maxBufferSize: 1 }))
      : played(stream);
  }

  pull(): Promise<Shown | undefined> {
    return this.#frames.pull();
  }

  close(): void {
    this.#frames.close();
  }
}

/** The track's own frames; of a full buffer the oldest is dropped. */
class ProcessedFrames implements FrameStream {
  readonly #reader: ReadableStreamDefaultReader<VideoFrame>;
  #start: number | undefined;

  constructor({ readable }: TrackProcessor) {
    this.#reader = readable.getReader();
  }

  async pull(): Promise<Shown | undefined> {
    const { value: frame } = await this.#reader.read();
    if (!frame) return undefined;
    // A camera has few buffers, and stalls when one is held: it gets this one back at once.
    try {
      const picture = await createImageBitmap(frame);
      const now = frame.timestamp / 1e6;
      this.#start ??= now;
      return { picture, timestamp: now - this.#start };
    } finally {
      frame.close();
    }
  }

  close(): void {
    this.#reader.cancel().catch(() => {});
  }
}

/** For browsers that give a track's frames only through a `<video>`. */
function played(stream: MediaStream): FrameStream {
  const element: HTMLVideoElement = document.createElement("video");
  element.srcObject = stream;
  element.muted = true;
  element.playsInline = true;
  const frames = new ElementFrames(element);
  const ended = new AbortController();
  for (const track of stream.getVideoTracks()) {
    track.addEventListener("ended", () => frames.close(), { signal: ended.signal });
  }
  const playing = element.play();
  playing.catch(() => {});
  return {
    pull: async () => {
      await playing;
      return frames.pull();
    },
    close: () => {
      ended.abort();
      frames.close();
      element.srcObject = null;
    },
  };
}

/** `instanceof`, also for objects of another frame and where the class is missing. */
function isA<K extends "VideoFrame" | "ImageBitmap">(
  value: unknown,
  kind: K,
): value is K extends "VideoFrame" ? VideoFrame : ImageBitmap {
  const type = (globalThis as Record<string, unknown>)[kind];
  if (typeof type === "function" && value instanceof type) return true;
  return Object.prototype.toString.call(value) === `[object ${kind}]`;
}
