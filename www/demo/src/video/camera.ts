import {
  type Box,
  type Point,
  type Sam2,
  Sam2Error,
  type Video,
  type VideoFrameMasks,
  type VideoPrompt,
} from "sam2-web";
import { byId } from "../dom.js";
import type { Mode } from "../mode.js";
import { milliseconds, showFacts } from "../panel.js";
import { isLoss } from "../recovery.js";
import { markSample } from "../sources.js";
import type { Stage } from "../stage.js";
import { toast } from "../toast.js";
import { report, say } from "../words.js";
import { EffectChoice } from "./effect-choice.js";
import { Painter, type Shape } from "./effects.js";
import { Objects } from "./objects.js";

/** A click arrives while the next frame may be on its way already, so the one before stays at hand. */
export const KEEP_FRAMES = 2;

export async function openCamera(): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
  } catch (cause) {
    const denied = cause instanceof DOMException && cause.name === "NotAllowedError";
    const message = denied
      ? "The camera may not be used. Allow it in the browser's address bar, then try again."
      : "No camera could be opened. Is one connected, and free?";
    throw new Sam2Error("VIDEO_SOURCE_FAILED", message, { cause });
  }
}

/** The camera, live: objects are followed as fast as the device can; frames it has no time for are skipped. */
export class CameraMode implements Mode {
  readonly #stage: Stage;
  readonly #sam: Sam2;
  readonly #video: Video;
  readonly #stream: MediaStream;
  readonly #canvas = document.createElement("canvas");
  readonly #painter = new Painter();
  readonly #objects: Objects;
  readonly #effect: EffectChoice;
  readonly #ended = new AbortController();
  /** What the visitor has asked for, done between two frames. */
  readonly #asked: (() => Promise<VideoFrameMasks | undefined>)[] = [];
  readonly #prompted = new Set<number>();
  #frame = 0;
  #tracked = 0;
  #masks: VideoFrameMasks | undefined;
  #goOn = () => {};

  constructor(stage: Stage, sam: Sam2, video: Video, stream: MediaStream) {
    this.#sam = sam;
    this.#stage = stage;
    this.#video = video;
    this.#stream = stream;
    this.#canvas.width = video.width;
    this.#canvas.height = video.height;
    this.#canvas.className = "clip";
    this.#objects = new Objects({
      selected: () => {},
      removed: ({ id }) => this.#forget(id),
      renamed: () => {},
    });
    this.#effect = new EffectChoice(() => {});
    stage.setPicture(this.#canvas, { label: "Camera" });
    stage.show({ points: [] });
    markSample(undefined);
    const { signal } = this.#ended;
    byId("add-object").addEventListener("click", () => this.#objects.add(), { signal });
    showFacts({ size: `${video.width} × ${video.height}`, step: "–", tracked: "–" });
    say("Click a thing to follow it.");
    void this.#live();
  }

  get state() {
    return { video: this.#video, frame: this.#frame, tracked: this.#tracked, live: this.#masks, busy: false };
  }

  /** What was clicked on frames that are gone cannot be told again. */
  async recovered(): Promise<void> {
    const { masks } = await this.#video.masksAt(this.#video.latestFrame);
    const known = new Set(masks.map(({ object }) => object));
    const forgotten = this.#objects.all.filter(({ id }) => this.#prompted.has(id) && !known.has(id));
    for (const { id } of forgotten) this.#prompted.delete(id);
    if (forgotten.length)
      toast(
        `The camera's picture has moved on: click ${forgotten.map(({ name }) => name).join(", ")} again.`,
      );
    this.#goOn();
  }

  close(): void {
    this.#ended.abort();
    this.#effect.close();
    this.#objects.close();
    this.#video.dispose();
    for (const track of this.#stream.getTracks()) track.stop();
    this.#stage.setPicture(undefined);
  }

  point(point: Point): void {
    this.#prompt({ points: [point], keepPoints: true });
  }

  box(box: Box): void {
    this.#prompt({ box });
  }

  /** The frames that were clicked are gone: only a whole object can be taken back. */
  undo(): void {}

  clear(): void {
    const object = this.#objects.selected;
    if (object) this.#objects.remove(object);
  }

  hover(): void {}

  key(event: KeyboardEvent): boolean {
    if (event.key !== "n" || event.ctrlKey || event.metaKey || event.altKey) return false;
    if ((event.target as HTMLElement).matches("input:not([type=radio])")) return false;
    this.#objects.add();
    return true;
  }

  #prompt(what: Pick<VideoPrompt, "points" | "box" | "keepPoints">): void {
    const object = (this.#objects.selected ?? this.#objects.add()).id;
    const frame = this.#frame;
    this.#asked.push(async () => {
      if (!this.#objects.get(object)) return undefined;
      const masks = await this.#video.prompt({ frame, object, ...what });
      this.#prompted.add(object);
      return masks;
    });
  }

  #forget(object: number): void {
    this.#asked.push(async () => {
      await this.#video.removeObject(object);
      this.#prompted.delete(object);
      return undefined;
    });
  }

  /** Frame after frame until the mode is left. */
  async #live(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        await this.#answer();
        const goesOn = await (this.#prompted.size ? this.#follow() : this.#watch());
        if (goesOn) continue;
        say("The camera has stopped.");
        break;
      } catch (error) {
        if (await isLoss(this.#sam, error)) {
          await new Promise<void>((resolve) => {
            this.#goOn = resolve;
            this.#ended.signal.addEventListener("abort", () => resolve());
          });
          continue;
        }
        report(error);
        const { code } = error instanceof Sam2Error ? error : { code: undefined };
        if (code !== "INVALID_PROMPT" && code !== "FRAME_GONE") break;
      }
    }
  }

  async #answer(): Promise<void> {
    for (let next = this.#asked[0]; next; next = this.#asked[0]) {
      try {
        const masks = await next();
        if (masks) await this.#show(masks.frame, masks);
      } catch (error) {
        // What was asked of a model that is lost is asked again.
        if (!(await isLoss(this.#sam, error))) this.#asked.shift();
        throw error;
      }
      this.#asked.shift();
    }
  }

  /** Shows the camera as it is; false when it has ended. */
  async #watch(): Promise<boolean> {
    const frame = await this.#video.nextFrame({ signal: this.#ended.signal });
    if (frame === undefined) return false;
    await this.#show(frame, undefined);
    return true;
  }

  /** Follows the objects until something is asked; false when the camera has ended. */
  async #follow(): Promise<boolean> {
    let began = performance.now();
    for await (const masks of this.#video.propagate({ signal: this.#ended.signal })) {
      await this.#show(masks.frame, masks);
      this.#tracked++;
      const now = performance.now();
      showFacts({ step: milliseconds(now - began), tracked: `${this.#tracked} frames` });
      began = now;
      say("", true);
      if (this.#asked.length) return true;
    }
    return false;
  }

  async #show(frame: number, masks: VideoFrameMasks | undefined): Promise<void> {
    const picture = await this.#video.frameAt(frame, { signal: this.#ended.signal });
    const context = this.#canvas.getContext("2d");
    if (context) this.#painter.paint(context, picture, masks && this.#shapes(masks), this.#effect.now);
    picture.close();
    this.#frame = frame;
    this.#masks = masks;
  }

  #shapes({ masks }: VideoFrameMasks): Shape[] {
    const shapes: Shape[] = [];
    for (const { object, mask, visible } of masks) {
      const color = this.#objects.get(object)?.color;
      if (!visible || !color) continue;
      const image = new OffscreenCanvas(mask.width, mask.height);
      image.getContext("2d")?.putImageData(mask.toImageData({ color: [255, 255, 255], alpha: 1 }), 0, 0);
      shapes.push({ image, color });
    }
    return shapes;
  }
}
