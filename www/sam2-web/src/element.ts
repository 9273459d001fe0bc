/**
 * The element `<sam2-picture>`.
 *
 * @module sam2-web/element
 */

import { toSam2Error } from "./errors.js";
import {
  type Device,
  type ImageEmbedding,
  type Point,
  type PredictedMask,
  type Progress,
  readPicture,
  Sam2,
  Sam2Error,
} from "./index.js";

/** The models that elements on the page share, by their attributes. */
const shared = new Map<string, { sam: Promise<Sam2>; users: number }>();

const STYLE = `
:host { display: inline-block; position: relative; line-height: 0; }
canvas { max-width: 100%; height: auto; cursor: crosshair; touch-action: manipulation; }
canvas + canvas { position: absolute; inset: 0; width: 100%; height: 100%; max-width: none; pointer-events: none; }
`;

/** The events of {@link Sam2Picture}, by name. */
export interface Sam2PictureEvents {
  /** A step of loading the model. */
  loading: CustomEvent<Progress>;
  /** The picture is shown and encoded: clicks are answered. */
  ready: CustomEvent<{ sam: Sam2; image: ImageEmbedding }>;
  /** The mask for the clicks so far; undefined after `clear`. */
  mask: CustomEvent<{ mask: PredictedMask | undefined; points: readonly Point[] }>;
  failed: CustomEvent<{ error: Sam2Error }>;
}

export interface Sam2Picture {
  addEventListener<K extends keyof Sam2PictureEvents>(
    type: K,
    listener: (this: Sam2Picture, event: Sam2PictureEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(...whole: Parameters<HTMLElement["addEventListener"]>): void;
}

// A server that renders pages has no elements; there the class is only imported.
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/**
 * `<sam2-picture src="photo.jpg"></sam2-picture>`: a picture in which a click selects an object. A click with Alt or Shift says
 * what is not on it. Attributes: `src`, `alt`, and `model` and `device` as of {@link Sam2.load}; elements with the same model
 * share it. The parts `picture` and `mask` can be styled.
 *
 * Defined by `import "sam2-web/element"`. Events as {@link Sam2PictureEvents}.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: only overloads of a method that is there
export class Sam2Picture extends Base {
  static readonly observedAttributes = ["src", "alt", "model", "device"];

  #picture!: HTMLCanvasElement;
  #overlay!: HTMLCanvasElement;
  /** Ends what belongs to the present model and picture. */
  #shown: AbortController | undefined;
  #image: ImageEmbedding | undefined;
  #points: Point[] = [];
  #mask: PredictedMask | undefined;
  #waits = false;

  /** The mask that is shown. */
  get mask(): PredictedMask | undefined {
    return this.#mask;
  }

  /** The picture's embedding, once it is `ready`. */
  get image(): ImageEmbedding | undefined {
    return this.#image;
  }

  /** The clicks so far, in the picture's pixels. */
  get points(): readonly Point[] {
    return this.#points;
  }

  /** Forgets the clicks. */
  clear(): void {
    this.#points = [];
    this.#mask = undefined;
    this.#overlay?.getContext("2d")?.clearRect(0, 0, this.#overlay.width, this.#overlay.height);
    this.#tell("mask", { mask: undefined, points: this.#points });
  }

  /** Takes the last click back. */
  undo(): void {
    this.#points = this.#points.slice(0, -1);
    if (this.#points.length) void this.#predict();
    else this.clear();
  }

  connectedCallback(): void {
    if (!this.shadowRoot) this.#build();
    this.#show();
  }

  disconnectedCallback(): void {
    this.#shown?.abort();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (!this.isConnected || before === after || !this.shadowRoot) return;
    if (name === "alt") this.#picture.setAttribute("aria-label", after ?? "");
    else this.#show();
  }

  #build(): void {
    const root = this.attachShadow({ mode: "open" });
    const style = new CSSStyleSheet();
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
    const canvas = (part: string) => {
      const made = document.createElement("canvas");
      made.part.add(part);
      root.append(made);
      return made;
    };
    this.#picture = canvas("picture");
    this.#picture.setAttribute("role", "img");
    this.#picture.setAttribute("aria-label", this.getAttribute("alt") ?? "");
    this.#overlay = canvas("mask");
    this.#picture.addEventListener("click", (event) => this.#click(event));
  }

  /** Loads the model and the picture that the attributes name. */
  async #show(): Promise<void> {
    this.#shown?.abort();
    const src = this.getAttribute("src");
    if (!src) return;
    const shown = new AbortController();
    const { signal } = shown;
    this.#shown = shown;
    this.#points = [];
    this.#mask = undefined;
    const release = this.#takeModel(signal);
    signal.addEventListener("abort", () => {
      this.#image?.dispose();
      this.#image = undefined;
      release.free();
    });
    try {
      const pixels = await readPicture(await fetched(src, signal));
      if (signal.aborted) return;
      for (const canvas of [this.#picture, this.#overlay]) {
        canvas.width = pixels.width;
        canvas.height = pixels.height;
      }
      this.#picture.getContext("2d")?.putImageData(pixels, 0, 0);
      const sam = await release.sam;
      const image = await sam.setImage(pixels, { signal });
      if (signal.aborted) return image.dispose();
      this.#image = image;
      this.#tell("ready", { sam, image });
    } catch (error) {
      if (!signal.aborted) this.#tell("failed", { error: toSam2Error(error) });
    }
  }

  /** The model of the attributes, shared with other elements; disposed of with the last of them. */
  #takeModel(signal: AbortSignal): { sam: Promise<Sam2>; free: () => void } {
    const model = this.getAttribute("model") ?? "nano";
    const device = (this.getAttribute("device") ?? "auto") as Device;
    const key = `${device} ${model}`;
    const onProgress = (progress: Progress) => {
      if (!signal.aborted) this.#tell("loading", progress);
    };
    const known = shared.get(key) ?? { sam: Sam2.load({ model, device, onProgress }), users: 0 };
    known.users++;
    shared.set(key, known);
    // One that could not be loaded is tried anew by the next element.
    known.sam.catch(() => shared.delete(key));
    const free = () => {
      if (--known.users > 0) return;
      if (shared.get(key) === known) shared.delete(key);
      known.sam.then(
        (sam) => sam.dispose(),
        () => {},
      );
    };
    return { sam: known.sam, free };
  }

  #click(event: MouseEvent): void {
    if (!this.#image) return;
    const { left, top, width, height } = this.#picture.getBoundingClientRect();
    const x = ((event.clientX - left) / width) * this.#picture.width;
    const y = ((event.clientY - top) / height) * this.#picture.height;
    this.#points = [...this.#points, { x, y, label: event.altKey || event.shiftKey ? 0 : 1 }];
    void this.#predict();
  }

  /** Asks for the mask of the clicks so far. Clicks that come meanwhile are asked for together. */
  async #predict(): Promise<void> {
    if (this.#waits) return;
    this.#waits = true;
    try {
      for (let asked: readonly Point[] = []; asked !== this.#points && this.#points.length > 0; ) {
        asked = this.#points;
        const image = this.#image;
        if (!image) return;
        const { masks } = await image.predict({ points: asked, multimask: asked.length === 1 });
        if (image !== this.#image || asked !== this.#points) continue;
        this.#mask = masks.reduce((a, b) => (b.score > a.score ? b : a));
        this.#overlay.getContext("2d")?.putImageData(this.#mask.toImageData(), 0, 0);
        this.#tell("mask", { mask: this.#mask, points: asked });
      }
    } catch (error) {
      if (!this.#shown?.signal.aborted) this.#tell("failed", { error: toSam2Error(error) });
    } finally {
      this.#waits = false;
    }
  }

  #tell<K extends keyof Sam2PictureEvents>(name: K, detail: Sam2PictureEvents[K]["detail"]): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

async function fetched(src: string, signal: AbortSignal): Promise<Blob> {
  try {
    const response = await fetch(src, { signal });
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    return await response.blob();
  } catch (cause) {
    throw new Sam2Error(
      "NETWORK",
      `The picture ${src} could not be fetched: ${(cause as Error).message}. Check the src attribute; a picture from ` +
        "another site needs a server that allows it (CORS).",
      { cause },
    );
  }
}

globalThis.customElements?.define("sam2-picture", Sam2Picture);

declare global {
  interface HTMLElementTagNameMap {
    "sam2-picture": Sam2Picture;
  }
}
