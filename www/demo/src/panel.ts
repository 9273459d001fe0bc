import type { Mask } from "sam2-web";
import { byId } from "./dom.js";

/** Side in pixels of a candidate's thumbnail. */
const THUMBNAIL = 180;

export interface Candidate {
  mask: Mask;
  /** The model's estimate of its IoU with the true mask, where it is the model's. */
  score: number | undefined;
  shape: ImageBitmap;
}

/** The candidates to choose from: a radio group of thumbnails. */
export class Candidates {
  readonly #list = byId("candidates");
  readonly #choose: (index: number) => void;

  constructor(choose: (index: number) => void) {
    this.#choose = choose;
    this.#list.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const buttons = [...this.#list.children] as HTMLElement[];
      const now = buttons.indexOf(document.activeElement as HTMLElement);
      if (!step || now < 0) return;
      event.preventDefault();
      const next = (now + step + buttons.length) % buttons.length;
      choose(next);
      buttons[next]?.focus();
    });
  }

  show(candidates: readonly Candidate[], picture: HTMLImageElement | undefined): void {
    this.#list.replaceChildren(
      ...candidates.map(({ mask, score, shape }, index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.setAttribute("role", "radio");
        button.append(thumbnail(picture, mask, shape));
        button.ariaLabel = `Candidate ${index + 1}`;
        if (score !== undefined) {
          button.append(percent(score));
          button.ariaLabel += `, score ${percent(score)}`;
        }
        button.addEventListener("click", () => this.#choose(index));
        return button;
      }),
    );
  }

  mark(chosen: number): void {
    for (const [index, button] of [...this.#list.children].entries()) {
      button.setAttribute("aria-checked", String(index === chosen));
      (button as HTMLElement).tabIndex = index === chosen ? 0 : -1;
    }
  }
}

/** The cut-out on its own, framed by the mask's box. */
function thumbnail(picture: HTMLImageElement | undefined, mask: Mask, shape: ImageBitmap): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = THUMBNAIL;
  const context = canvas.getContext("2d");
  if (!context || !picture || !mask.box) return canvas;
  const [x0, y0, x1, y1] = mask.box;
  const scale = (THUMBNAIL * 0.9) / Math.max(x1 - x0 + 1, y1 - y0 + 1);
  context.translate(THUMBNAIL / 2, THUMBNAIL / 2);
  context.scale(scale, scale);
  context.translate(-(x0 + x1 + 1) / 2, -(y0 + y1 + 1) / 2);
  context.drawImage(shape, 0, 0, mask.width, mask.height);
  context.globalCompositeOperation = "source-in";
  context.drawImage(picture, 0, 0, mask.width, mask.height);
  return canvas;
}

/** Puts figures into the list of facts. */
export function showFacts(
  facts: Partial<Record<"encode" | "decode" | "step" | "tracked" | "size" | "model" | "device", string>>,
): void {
  for (const [id, text] of Object.entries(facts)) {
    byId(id).textContent = text;
    byId(id).hidden = false;
  }
}

/** Of a score, which may be a little over 1. */
export function percent(score: number): string {
  return `${Math.round(Math.max(0, Math.min(1, score)) * 100)} %`;
}

export function milliseconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
