import type { CutOut } from "./cutout/cut.js";
import type { Detected, Detector } from "./detector.js";
import type { Search } from "./detector-engine.js";
import { DISPOSE } from "./dispose.js";
import { Sam2Error, type Sam2ErrorCode } from "./errors.js";
import { type FoundObject, searchFor, toFindOptions } from "./finding.js";
import { closePicture, type FrameSource, transferOf } from "./frame-source.js";
import type { Link } from "./link.js";
import { Mask } from "./mask.js";
import { PredictedMask } from "./predicted-mask.js";
import { PromptLog } from "./prompt-log.js";
import type { Calls, OnFrame } from "./protocol.js";
import type {
  Box,
  FindAgainOptions,
  FindOptions,
  FrameAtOptions,
  PredictOptions,
  PropagateOptions,
} from "./types.js";
import { check, until } from "./until.js";
import { toObjectPrompt, type VideoPrompt } from "./video-prompt.js";
import type { WasmFrameMasks } from "./wasm-module.js";

/** Of a frame that cannot be had. */
const FRAMES: readonly Sam2ErrorCode[] = ["FRAME_GONE", "VIDEO_CORRUPT", "VIDEO_SOURCE_FAILED", "NETWORK"];

/** One object on one frame. */
export interface VideoMask {
  object: number;
  /** Empty where the object is not visible, or not known on this frame yet. */
  mask: PredictedMask;
  /** Whether the model sees the object on this frame. */
  visible: boolean;
  /** Logit of {@link VideoMask.visible}; undefined where the object is not known on this frame yet. */
  objectScore: number | undefined;
  /** The words that it was found by ({@link Video.find}). */
  label?: string;
}

/** An object that was found by {@link Video.find}, with its mask on that frame. */
export interface FoundVideoObject extends FoundObject {
  /** Its number, as in {@link VideoMask}. */
  object: number;
}

/** Of a newcomer's mask: where the masks of followed objects cover as much, it is one of them. */
const COVERED = 0.5;

/** All objects on one frame, in the order in which they were added. */
export interface VideoFrameMasks {
  frame: number;
  /** In seconds; NaN where a stream's time is no longer kept. */
  timestamp: number;
  masks: VideoMask[];
  /** Why the file's frame could not be read, where {@link Video.propagate} passed over it; there are no masks then. */
  unreadable?: Sam2Error;
}

/**
 * A video whose objects are followed: prompt an object on any frame, then {@link Video.propagate}. Made by
 * {@link Sam2.openVideo}; call `dispose()` when done, or declare it by `using`, as the device's memory is not
 * garbage-collected.
 *
 * Calls are answered in order, one at a time. One that fails or is aborted changes nothing but what it had finished,
 * and the next one works.
 */
export class Video {
  /** Width in pixels, as shown: after rotation. Prompts and masks are in these pixels. */
  readonly width: number;
  /** Height in pixels, as shown. */
  readonly height: number;
  /** How many frames a file has. A stream has none. */
  readonly frameCount: number | undefined;
  /** A file's length in seconds. */
  readonly duration: number | undefined;
  /**
   * How many frames at a file's start could not be decoded, because the key frame that they need is not in the file:
   * it was cut. They are not counted, and frame 0 is the first that can.
   */
  readonly framesLeftOut: number;
  readonly #link: Link;
  #id: number;
  readonly #told = new PromptLog();
  readonly #detector: () => Detector;
  /** Of the objects that were found by words. */
  readonly #labels = new Map<number, string>();
  #lastSearch: Search | undefined;
  #findAgain: { every: number; steps: number } | undefined;
  readonly #source: FrameSource;
  readonly #disposed = new AbortController();
  readonly #modelGone: AbortSignal;
  #turns: Promise<unknown> = Promise.resolve();
  /** The frame that the engine has encoded. */
  #atHand: number | undefined;
  #running: AbortController | undefined;

  /** @internal */
  constructor(link: Link, modelGone: AbortSignal, source: FrameSource, id: number, detector: () => Detector) {
    this.#link = link;
    this.#detector = detector;
    this.#modelGone = modelGone;
    this.#source = source;
    this.#id = id;
    this.width = source.width;
    this.height = source.height;
    this.frameCount = source.frameCount;
    this.duration = source.duration;
    this.framesLeftOut = source.leftOut;
    modelGone.addEventListener("abort", () => source.close(), { signal: this.#disposed.signal });
  }

  /** The newest frame taken of a stream, or a file's last one. */
  get latestFrame(): number {
    return this.#source.times.count - 1;
  }

  /**
   * When a frame is shown, in seconds: exact, also where the frame rate varies. Of a stream the times of the latest
   * 16,384 frames are kept.
   *
   * @throws {@link Sam2Error} `FRAME_OUT_OF_RANGE`; `FRAME_GONE` where a stream's time is no longer kept.
   */
  timestamp(frame: number): number {
    this.#checkFrame(frame);
    const time = this.#source.times.at(frame);
    if (time !== undefined) return time;
    throw new Sam2Error(
      "FRAME_GONE",
      `When frame ${frame} was shown is no longer kept: of this stream, times are from ` +
        `frame ${this.#source.times.earliest} on.`,
    );
  }

  /** The frame shown at a time in seconds: the last one that is not later, or the first whose time is kept. */
  frameNear(timestamp: number): number {
    const { times } = this.#source;
    let [low, high] = [times.earliest, times.count - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      // A time read off a player is rounded to microseconds.
      if ((times.at(middle) ?? 0) <= timestamp + 1e-6) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Tells the model which pixels of a frame are an object, and answers with all objects on that frame. Prompt again,
   * on this frame or another, to correct it; then propagate again.
   *
   * @throws {@link Sam2Error} `INVALID_PROMPT`, `FRAME_OUT_OF_RANGE`, `FRAME_GONE`, `ABORTED`, `DISPOSED`, or the
   * failure of the device or the video.
   */
  async prompt(prompt: VideoPrompt, { signal }: PredictOptions = {}): Promise<VideoFrameMasks> {
    const asked = toObjectPrompt(prompt, this);
    this.#checkFrame(prompt.frame);
    return this.#turn(signal, async (live) => {
      const masks = await this.#onFrame("promptVideo", prompt.frame, asked, live);
      this.#told.add(prompt.frame, asked);
      return masks;
    });
  }

  /**
   * Finds the objects on a frame that words name, by the detector of {@link Sam2.loadDetector}, and makes each an object to
   * follow, with its label; the best first. Objects that were there before stay. Aborted, it leaves those that it has made.
   *
   * @throws {@link Sam2Error} as {@link Video.prompt} and {@link ImageEmbedding.find}.
   */
  async find(
    frame: number,
    labels: string | readonly string[],
    options: FindOptions = {},
  ): Promise<FoundVideoObject[]> {
    this.#checkFrame(frame);
    const { signal } = options;
    const search = searchFor(labels, toFindOptions(options));
    this.#lastSearch = search;
    const found: FoundVideoObject[] = [];
    for (const { label, score, box } of await this.#detect(frame, search, signal)) {
      const made = await this.#join(frame, label, box, signal);
      if (made) found.push({ object: made.object, label, score, box, mask: made.mask });
    }
    return found;
  }

  /**
   * Looks for newcomers while {@link Video.propagate} follows: on every `every`th frame from here on, by the words and options of
   * the last {@link Video.find}. An object is new if the masks of the followed ones cover less than half of it. `every: 0` ends
   * it.
   *
   * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for another number, or if nothing was looked for yet.
   */
  findAgain({ every }: FindAgainOptions): void {
    if (!Number.isInteger(every) || every < 0)
      throw new Sam2Error("UNSUPPORTED_INPUT", `every must be a whole number of frames, not ${every}.`);
    if (every && !this.#lastSearch)
      throw new Sam2Error("UNSUPPORTED_INPUT", "findAgain repeats a search: call find(frame, words) first.");
    this.#findAgain = every ? { every, steps: 0 } : undefined;
  }

  /** Takes back what was said of an object on a frame, and answers with all objects on that frame. */
  async clearPrompts(frame: number, object: number): Promise<VideoFrameMasks> {
    this.#checkFrame(frame);
    return this.#turn(undefined, async (signal) => {
      const masks = await this.#call("clearPrompts", { frame, object }, signal);
      this.#told.clear(frame, object);
      return this.#read(masks);
    });
  }

  /**
   * Follows all objects from frame to frame. Each step is computed when the iterator is asked for it, so that pausing
   * is not asking; ending the loop ends it. A prompt made meanwhile counts from the next step on. Of two runs the
   * newer goes on, and the older one's next step fails with `ABORTED`.
   *
   * Forward along a stream, every step takes the stream's newest frame.
   *
   * A file's frame that cannot be read is passed over, and reported as {@link VideoFrameMasks.unreadable} once a later
   * one can be; `unreadable: "stop"` ends there instead.
   *
   * @throws {@link Sam2Error} as {@link Video.prompt}; `INVALID_PROMPT` if an object has no prompt; `VIDEO_CORRUPT`
   * or `NETWORK` where the file cannot be read further. The steps before that stand.
   */
  async *propagate(options: PropagateOptions = {}): AsyncGenerator<VideoFrameMasks, void, undefined> {
    const { from, frames = Number.POSITIVE_INFINITY, direction = "forward", signal } = options;
    const { unreadable = "skip" } = options;
    if (direction !== "forward" && direction !== "backward") {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `direction must be "forward" or "backward", not "${direction}".`,
      );
    }
    if (unreadable !== "skip" && unreadable !== "stop")
      throw new Sam2Error("UNSUPPORTED_INPUT", `unreadable must be "skip" or "stop", not "${unreadable}".`);
    if (!(frames >= 0)) throw new Sam2Error("UNSUPPORTED_INPUT", `frames must be a number, not ${frames}.`);
    check(...this.#gone, signal);
    if (from !== undefined) this.#checkFrame(from);

    this.#running?.abort(
      new Sam2Error("ABORTED", "Another propagate has begun on this video, so this one ended."),
    );
    const run = new AbortController();
    this.#running = run;
    const abort = () => run.abort(signal?.reason);
    signal?.addEventListener("abort", abort);
    const backward = direction === "backward";
    const passedOver: VideoFrameMasks[] = [];
    try {
      let next: number | undefined = from ?? (await this.#firstFrame(run.signal));
      for (let left = frames; left > 0 && next !== undefined; left--) {
        const frame: number = next;
        try {
          const found = await this.#turn(run.signal, (live) =>
            this.#onFrame("track", frame, { backward }, live),
          );
          yield* passedOver.splice(0);
          yield await this.#withNewcomers(found, run.signal);
        } catch (error) {
          const skips = unreadable === "skip" && this.frameCount !== undefined;
          if (!(skips && error instanceof Sam2Error && error.code === "VIDEO_CORRUPT")) throw error;
          passedOver.push({ frame, timestamp: this.timestamp(frame), masks: [], unreadable: error });
        }
        next = left > 1 ? await this.#after(frame, backward, run.signal) : undefined;
        // Nothing more can be read: that is the end, and not some frames passed over.
        if (next === undefined && left > 1 && passedOver[0]?.unreadable) throw passedOver[0].unreadable;
      }
      yield* passedOver;
    } finally {
      signal?.removeEventListener("abort", abort);
      if (this.#running === run) this.#running = undefined;
    }
  }

  /**
   * All objects on a frame as they are known by now; nothing is computed. Masks of frames that tracking has left
   * behind have no `logits`; of a stream only the latest are kept.
   */
  async masksAt(frame: number): Promise<VideoFrameMasks> {
    this.#checkFrame(frame);
    return this.#turn(undefined, async (signal) =>
      this.#read(await this.#call("masksAt", { frame }, signal)),
    );
  }

  /**
   * The picture of a frame, to show; close it when done. Does not wait for calls under way.
   *
   * @throws {@link Sam2Error} `FRAME_OUT_OF_RANGE`, `FRAME_GONE`, `VIDEO_CORRUPT`, `NETWORK`, `ABORTED`, `DISPOSED`.
   */
  async frameAt(frame: number, { signal, width }: FrameAtOptions = {}): Promise<ImageBitmap> {
    this.#checkFrame(frame);
    if (width !== undefined && !(width >= 1))
      throw new Sam2Error("UNSUPPORTED_INPUT", `width must be at least 1, not ${width}.`);
    return this.#live(signal, (live) => this.#source.bitmap(frame, width, live), closePicture);
  }

  /**
   * Takes a stream's next frame without following anything to it, and gives its number; nothing where the stream, or
   * a file, has no more.
   */
  async nextFrame({ signal }: PredictOptions = {}): Promise<number | undefined> {
    // Not a turn: a stream may be silent for long, and prompts need not wait for it.
    return this.#live(signal, (live) => this.#source.take(live));
  }

  /** Forgets an object. Answers with the frames on which it was prompted, as they are without it. */
  async removeObject(object: number): Promise<VideoFrameMasks[]> {
    return this.#turn(undefined, async (signal) => {
      const frames = await this.#call("removeObject", { object }, signal);
      this.#told.remove(object);
      this.#labels.delete(object);
      return frames.map((masks) => this.#read(masks));
    });
  }

  /** Forgets all objects. The video stays open. */
  async reset(): Promise<void> {
    return this.#turn(undefined, async (signal) => {
      await this.#call("resetVideo", {}, signal);
      this.#told.reset();
      this.#labels.clear();
    });
  }

  /**
   * What is held besides the model: tensors and bytes on the device, bytes of past masks. It does not grow with the
   * video's length, but for a file's past masks up to 64 MB.
   */
  async memoryUse(): Promise<{ tensors: number; deviceBytes: number; hostBytes: number }> {
    return this.#turn(undefined, (signal) => this.#call("memoryUse", {}, signal));
  }

  /** Frees the memories on the device and the decoder. Calls under way and later ones reject with `DISPOSED`. */
  dispose(): void {
    if (this.#disposed.signal.aborted) return;
    this.#disposed.abort(new Sam2Error("DISPOSED", "The video has been disposed of. Call openVideo again."));
    this.#source.close();
    if (!this.#modelGone.aborted) this.#link.call("closeVideo", { video: this.#id }).catch(() => {});
  }

  [DISPOSE](): void {
    this.dispose();
  }

  /**
   * The engine has opened it once more, on another device: tells it all prompts again. What cannot be told, since a
   * stream's frame is gone, is forgotten. Answers with the reason, if the device fails again.
   *
   * @internal
   */
  async restored(id: number): Promise<void> {
    this.#id = id;
    this.#atHand = undefined;
    this.#running?.abort(new Sam2Error("DEVICE_LOST", "The model was reloaded. Call propagate again."));
    await this.#turn(undefined, async (signal) => {
      for (const { frame, prompt } of this.#told.all) {
        try {
          await this.#onFrame("promptVideo", frame, prompt, signal);
        } catch (error) {
          if (!(error instanceof Sam2Error && FRAMES.includes(error.code))) throw error;
          this.#told.remove(prompt.object);
          this.#labels.delete(prompt.object);
          await this.#call("removeObject", { object: prompt.object }, signal);
        }
      }
    });
  }

  /**
   * It could not be opened again.
   *
   * @internal
   */
  lost(reason: Sam2Error): void {
    this.#disposed.abort(reason);
    this.#source.close();
  }

  /** @internal */
  get isDisposed(): boolean {
    return this.#disposed.signal.aborted;
  }

  get #gone(): readonly AbortSignal[] {
    return [this.#disposed.signal, this.#modelGone];
  }

  /** `work`, given a signal that fires when it is no longer wanted, and left at once then. */
  async #live<T>(
    signal: AbortSignal | undefined,
    work: (live: AbortSignal) => Promise<T>,
    discard?: (late: T) => void,
  ): Promise<T> {
    const signals = [signal, ...this.#gone];
    check(...signals);
    const live = new AbortController();
    try {
      return await until(work(live.signal), signals, discard);
    } catch (error) {
      live.abort(error);
      throw error;
    }
  }

  /** `work` once those before it have ended, also those that nobody waits for any more. */
  #turn<T>(signal: AbortSignal | undefined, work: (live: AbortSignal) => Promise<T>): Promise<T> {
    return this.#live(signal, (live) => {
      const turn = this.#turns.then(() => {
        check(live);
        return work(live);
      });
      this.#turns = turn.catch(() => {});
      return turn;
    });
  }

  #call<M extends "clearPrompts" | "masksAt" | "removeObject" | "resetVideo" | "firstFrame" | "memoryUse">(
    method: M,
    args: Omit<Calls[M]["args"], "video">,
    signal: AbortSignal,
  ): Promise<Calls[M]["result"]> {
    return this.#link.call(method, { video: this.#id, ...args } as Calls[M]["args"], { signal });
  }

  /** A call that works on a frame, with its picture unless the engine has it. */
  async #onFrame<M extends "promptVideo" | "track">(
    method: M,
    frame: number,
    args: Omit<Calls[M]["args"], keyof OnFrame>,
    signal: AbortSignal,
  ): Promise<VideoFrameMasks> {
    const picture = this.#atHand === frame ? undefined : await this.#source.picture(frame, signal);
    if (signal.aborted && picture) closePicture(picture);
    check(signal);
    // Until the answer comes it is not known what the engine has encoded.
    this.#atHand = undefined;
    const whole = { video: this.#id, frame, ...(picture && { picture }), ...args } as Calls[M]["args"];
    const masks = await this.#link.call(method, whole, { signal }, picture ? transferOf(picture) : []);
    this.#atHand = frame;
    return this.#read(masks);
  }

  /** What a search finds on a frame, the best first. */
  async #detect(frame: number, search: Search, signal: AbortSignal | undefined): Promise<Detected[]> {
    const detector = this.#detector();
    // A frame is looked at once, so what the detector knows of it is not kept.
    const key = {};
    try {
      return await this.#live(signal, (live) => {
        const picture = () => this.#source.picture(frame, live);
        return detector.find(key, picture, search, [live]);
      });
    } finally {
      detector.forget(key);
    }
  }

  /** Makes what a box on a frame has a new object; nothing if `followed` covers it. */
  async #join(
    frame: number,
    label: string,
    box: Readonly<Box>,
    signal: AbortSignal | undefined,
    followed?: Mask,
  ): Promise<VideoMask | undefined> {
    const object = this.#told.unused;
    this.#labels.set(object, label);
    try {
      const { masks } = await this.prompt({ frame, object, box }, { ...(signal && { signal }) });
      const made = masks.find((mask) => mask.object === object);
      const { area } = made?.mask ?? {};
      const covered = made && area && followed ? made.mask.and(followed).area / area : 0;
      if (made && covered < COVERED) return made;
      await this.removeObject(object);
    } catch (error) {
      this.#labels.delete(object);
      throw error;
    }
    return undefined;
  }

  /** The objects on a frame that was just tracked, and those that have come, where it is time to look for them. */
  async #withNewcomers(tracked: VideoFrameMasks, signal: AbortSignal): Promise<VideoFrameMasks> {
    const [again, search] = [this.#findAgain, this.#lastSearch];
    if (!again || !search || ++again.steps % again.every) return tracked;
    const { frame } = tracked;
    let followed = tracked.masks.reduce<Mask>(
      (all, { mask }) => all.or(mask),
      new Mask(this.width, this.height),
    );
    let came = false;
    for (const { label, box } of await this.#detect(frame, search, signal)) {
      const made = await this.#join(frame, label, box, signal, followed);
      if (!made) continue;
      followed = followed.or(made.mask);
      came = true;
    }
    return came ? this.masksAt(frame) : tracked;
  }

  #firstFrame(signal: AbortSignal): Promise<number> {
    return this.frameCount === undefined
      ? Promise.resolve(this.latestFrame)
      : this.#turn(signal, (live) => this.#call("firstFrame", {}, live));
  }

  /** The frame that tracking goes to from `frame`. */
  #after(frame: number, backward: boolean, signal: AbortSignal): Promise<number | undefined> {
    if (backward) return Promise.resolve(frame > this.#source.earliest ? frame - 1 : undefined);
    if (frame < this.latestFrame) return Promise.resolve(Math.max(frame + 1, this.#source.earliest));
    return this.nextFrame({ signal });
  }

  #checkFrame(frame: number): void {
    const { count } = this.#source.times;
    if (Number.isInteger(frame) && frame >= 0 && frame < count) return;
    throw new Sam2Error(
      "FRAME_OUT_OF_RANGE",
      this.frameCount === undefined
        ? `There is no frame ${frame}: ${count} have been taken of the stream so far, counted from 0.`
        : `There is no frame ${frame}: the video has ${count}, counted from 0.`,
    );
  }

  #read({ frame, masks }: WasmFrameMasks): VideoFrameMasks {
    const { width, height } = this;
    const cutOutOfFrame: CutOut = (cut) =>
      this.#live(undefined, async (signal) => {
        const picture = await this.#source.picture(frame, signal);
        if (signal.aborted) closePicture(picture);
        check(signal);
        return this.#link.call("cutout", { picture, cut }, { signal }, transferOf(picture));
      });
    return {
      frame,
      timestamp: this.#source.times.at(frame) ?? Number.NaN,
      masks: masks.map(({ object, objectScore, ...mask }) => {
        const label = this.#labels.get(object);
        const side = Math.sqrt(mask.logits.length);
        const logits = { logitsWidth: side, logitsHeight: side };
        const picture = { width, height };
        return {
          object,
          mask: new PredictedMask(mask, logits, picture, picture, cutOutOfFrame),
          visible: (objectScore ?? -1) > 0,
          objectScore,
          ...(label !== undefined && { label }),
        };
      }),
    };
  }
}
