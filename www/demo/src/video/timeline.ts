import { byId } from "../dom.js";
import type { Masks } from "./masks.js";
import type { TrackedObject } from "./objects.js";

/** At most so many thumbnails, whatever the clip's length. */
const MAX_THUMBNAILS = 24;
/** CSS pixels. */
const THUMBNAIL_HEIGHT = 44;
const ROW_HEIGHT = 12;

export interface TimelineOptions {
  frameCount: number;
  /** Width by height of the picture. */
  ratio: number;
  masks: Masks;
  objects: () => readonly TrackedObject[];
  /** Frames on which the object has been clicked. */
  prompted: (object: number) => readonly number[];
  /** A small picture of a frame, so many pixels wide. */
  thumbnail: (frame: number, width: number) => Promise<ImageBitmap>;
  seek: (frame: number) => void;
}

/** The clip from left to right: thumbnails, a row of colour for each object where it is visible, and the frame on show. */
export class Timeline {
  readonly #options: TimelineOptions;
  readonly #scrubber = byId("scrubber");
  readonly #thumbs = byId("thumbs");
  readonly #rows = byId("rows");
  readonly #playhead = byId("playhead");
  readonly #ended = new AbortController();
  readonly #observer = new ResizeObserver(() => this.repaint());
  #frame = 0;
  #repaintRequest = 0;

  constructor(options: TimelineOptions) {
    this.#options = options;
    const { signal } = this.#ended;
    const scrubber = this.#scrubber;
    scrubber.ariaValueMin = "1";
    scrubber.ariaValueMax = String(options.frameCount);
    scrubber.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    scrubber.addEventListener("pointermove", (event) => this.#move(event), { signal });
    this.#observer.observe(scrubber);
    void this.#showThumbnails();
  }

  /** Moves the playhead. */
  show(frame: number, spoken: string): void {
    this.#frame = frame;
    this.#scrubber.ariaValueNow = String(frame + 1);
    this.#scrubber.ariaValueText = spoken;
    this.#playhead.style.left = `${((frame + 0.5) / this.#options.frameCount) * 100}%`;
  }

  /** Masks, objects or prompts have changed. */
  repaint(): void {
    if (this.#ended.signal.aborted) return;
    cancelAnimationFrame(this.#repaintRequest);
    this.#repaintRequest = requestAnimationFrame(() => this.#paint());
  }

  close(): void {
    this.#ended.abort();
    this.#observer.disconnect();
    cancelAnimationFrame(this.#repaintRequest);
    this.#thumbs.replaceChildren();
    this.#rows.replaceChildren();
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.#scrubber.setPointerCapture(event.pointerId);
    this.#options.seek(this.#frameAt(event));
  }

  #move(event: PointerEvent): void {
    if (!this.#scrubber.hasPointerCapture(event.pointerId)) return;
    const frame = this.#frameAt(event);
    if (frame !== this.#frame) this.#options.seek(frame);
  }

  #frameAt(event: PointerEvent): number {
    const area = this.#scrubber.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - area.left) / area.width, 0), 1);
    return Math.min(Math.floor(part * this.#options.frameCount), this.#options.frameCount - 1);
  }

  async #showThumbnails(): Promise<void> {
    const { frameCount, ratio, thumbnail } = this.#options;
    const width = THUMBNAIL_HEIGHT * ratio;
    const fitting = Math.ceil(this.#scrubber.clientWidth / width);
    const count = Math.max(1, Math.min(fitting, MAX_THUMBNAILS, frameCount));
    const pixel = Math.min(devicePixelRatio, 2);
    const canvases = Array.from({ length: count }, () => {
      const canvas = document.createElement("canvas");
      canvas.height = THUMBNAIL_HEIGHT * pixel;
      canvas.width = Math.max(1, Math.round(width * pixel));
      return canvas;
    });
    this.#thumbs.replaceChildren(...canvases);
    for (const [index, canvas] of canvases.entries()) {
      // A thumbnail that fails is left blank: opening the frame says why.
      const picture = await thumbnail(Math.floor(((index + 0.5) / count) * frameCount), canvas.width).catch(
        () => undefined,
      );
      if (this.#ended.signal.aborted) {
        picture?.close();
        return;
      }
      if (!picture) continue;
      canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
      picture.close();
    }
  }

  #paint(): void {
    const objects = this.#options.objects();
    while (this.#rows.children.length > objects.length) this.#rows.lastChild?.remove();
    for (const [index, object] of objects.entries()) {
      const canvas = this.#rows.children[index] as HTMLCanvasElement | undefined;
      this.#paintRow(object, canvas ?? this.#rows.appendChild(document.createElement("canvas")));
    }
  }

  #paintRow(object: TrackedObject, canvas: HTMLCanvasElement): void {
    const { frameCount, masks, prompted } = this.#options;
    const pixel = devicePixelRatio;
    canvas.width = Math.round(this.#scrubber.clientWidth * pixel);
    canvas.height = ROW_HEIGHT * pixel;
    const context = canvas.getContext("2d");
    if (!context) return;
    const toX = (frame: number) => (frame / frameCount) * canvas.width;
    let seen = 0;
    let known = 0;
    context.fillStyle = object.color;
    for (let frame = 0; frame < frameCount; frame++) {
      const state = masks.at(frame)?.get(object.id);
      if (!state) continue;
      known++;
      if (state.visible) seen++;
      context.globalAlpha = state.visible ? 1 : 0.18;
      const left = Math.floor(toX(frame));
      context.fillRect(left, 0, Math.max(1, Math.floor(toX(frame + 1)) - left), canvas.height);
    }
    context.globalAlpha = 1;
    context.lineWidth = 1.5 * pixel;
    for (const frame of prompted(object.id)) {
      context.beginPath();
      context.arc(toX(frame + 0.5), canvas.height / 2, 3.2 * pixel, 0, 2 * Math.PI);
      context.fillStyle = "#fff";
      context.fill();
      context.strokeStyle = object.color;
      context.stroke();
    }
    canvas.role = "img";
    canvas.ariaLabel = `${object.name}: visible in ${seen} of ${known} frames tracked, of ${frameCount}`;
  }
}
