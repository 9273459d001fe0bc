import type { Video } from "sam2-web";
import { Newest } from "../newest.js";
import { type Effect, Painter, type Shape } from "./effects.js";

export interface ViewerEvents {
  /** Another frame is shown. */
  shown(frame: number): void;
  playing(playing: boolean): void;
  failed(error: unknown): void;
}

/** The frame on show, under the effect, and its playing. Holds one picture, and while it plays the next. */
export class Viewer {
  readonly canvas = document.createElement("canvas");
  /** Repaint after changing it. */
  effect: Effect = { name: "highlight", color: "#000" };
  readonly #video: Video;
  readonly #frameCount: number;
  readonly #shapes: (frame: number) => readonly Shape[] | undefined;
  readonly #events: ViewerEvents;
  readonly #painter = new Painter();
  readonly #seeks = new Newest();
  readonly #ended = new AbortController();
  #frame = 0;
  /** On its way, or on show. */
  #wanted = 0;
  #picture: ImageBitmap | undefined;
  #playing: AbortController | undefined;
  #repaintRequest = 0;

  /** @param shapes - the objects on a frame, undefined where nothing is known. */
  constructor(
    video: Video,
    frameCount: number,
    shapes: (frame: number) => readonly Shape[] | undefined,
    events: ViewerEvents,
  ) {
    this.#video = video;
    this.#frameCount = frameCount;
    this.#shapes = shapes;
    this.#events = events;
    this.canvas.width = video.width;
    this.canvas.height = video.height;
    this.canvas.className = "clip";
  }

  /** The frame on show. */
  get frame(): number {
    return this.#frame;
  }

  get busy(): boolean {
    return this.#seeks.busy;
  }

  get isPlaying(): boolean {
    return this.#playing !== undefined;
  }

  /** Shows a frame, the nearest there is; resolves when it or a newer one is on show. */
  async seek(frame: number): Promise<void> {
    this.pause();
    const wanted = Math.min(Math.max(Math.round(frame), 0), this.#frameCount - 1);
    this.#wanted = wanted;
    await this.#seeks.run(async () => {
      try {
        this.#show(wanted, await this.#video.frameAt(wanted, { signal: this.#ended.signal }));
      } catch (error) {
        this.#wanted = this.#frame;
        this.#events.failed(error);
      }
    });
  }

  /** So many frames on, also from one that is not on show yet: no step of quick ones is lost. */
  step(frames: number): Promise<void> {
    return this.seek(this.#wanted + frames);
  }

  /** Plays from the frame on show, or from the start if that is the last, at the clip's own pace. */
  async play(): Promise<void> {
    if (this.#playing) return;
    const playing = new AbortController();
    this.#playing = playing;
    const signal = AbortSignal.any([playing.signal, this.#ended.signal]);
    this.#events.playing(true);
    try {
      const first = this.#frame >= this.#frameCount - 1 ? 0 : this.#frame;
      const began = this.#video.timestamp(first) - performance.now() / 1000;
      for (let frame = first; frame < this.#frameCount && !signal.aborted; ) {
        const picture = await this.#video.frameAt(frame, { signal });
        await until(this.#video.timestamp(frame) - began, signal);
        if (signal.aborted) {
          picture.close();
          break;
        }
        this.#wanted = frame;
        this.#show(frame, picture);
        // Where decoding or painting cannot keep up, frames are left out rather than the clip slowed down.
        frame = Math.max(frame + 1, this.#video.frameNear(performance.now() / 1000 + began));
      }
    } catch (error) {
      this.#events.failed(error);
    } finally {
      if (this.#playing === playing) this.pause();
    }
  }

  pause(): void {
    if (!this.#playing) return;
    this.#playing.abort();
    this.#playing = undefined;
    this.#events.playing(false);
  }

  /** Paints the frame on show once more: its masks or the effect have changed. */
  repaint(): void {
    cancelAnimationFrame(this.#repaintRequest);
    this.#repaintRequest = requestAnimationFrame(() => this.#paint());
  }

  close(): void {
    this.pause();
    this.#ended.abort();
    this.#picture?.close();
    this.#picture = undefined;
  }

  #show(frame: number, picture: ImageBitmap): void {
    if (this.#ended.signal.aborted) {
      picture.close();
      return;
    }
    this.#picture?.close();
    this.#picture = picture;
    this.#frame = frame;
    this.#paint();
    this.#events.shown(frame);
  }

  #paint(): void {
    const context = this.canvas.getContext("2d");
    if (!context || !this.#picture) return;
    this.#painter.paint(context, this.#picture, this.#shapes(this.#frame), this.effect);
  }
}

/** Waits for a moment in seconds of the page's clock. */
function until(moment: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wait = setTimeout(resolve, moment * 1000 - performance.now());
    signal.addEventListener("abort", () => {
      clearTimeout(wait);
      resolve();
    });
  });
}
