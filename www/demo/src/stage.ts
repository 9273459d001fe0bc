import type { Box, Point } from "sam2-web";
import { paintShape } from "./silhouette.js";

export type Tool = "add" | "subtract" | "box";

/** What is shown over the picture. */
export interface View {
  shape?: ImageBitmap | undefined;
  /** Masks to choose from, where there is no shape; and the one under the pointer. */
  layers?: readonly OffscreenCanvas[] | undefined;
  /** The mask a click under the pointer would give. */
  preview?: ImageBitmap | undefined;
  points: readonly Point[];
  box?: Readonly<Box> | undefined;
}

/** What the stage shows: a loaded picture, or a canvas or a playing video of the clip's size. */
export type Exhibit = HTMLImageElement | HTMLCanvasElement | HTMLVideoElement;

export interface StageEvents {
  point(point: Point): void;
  box(box: Box): void;
  /** The pointer rests on the picture, or has left it. */
  hover(at: { x: number; y: number } | undefined): void;
}

/** CSS pixels that a pointer must travel for a press to be a drag. */
const DRAG_DISTANCE = 5;

/** The picture, what is painted over it, and the pointer and keys on it. Speaks in picture pixels. */
export class Stage {
  tool: Tool = "add";
  /** Where the plain arrow keys mean something else, Shift and the arrows move the cross-hair. */
  #arrowsWithShift = false;
  readonly #frame: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #events: StageEvents;
  #picture: Exhibit | undefined;
  #view: View = { points: [] };
  #press: { x: number; y: number; button: number; id: number } | undefined;
  #draft: Box | undefined;
  #crosshair: { x: number; y: number } | undefined;
  #frameRequest = 0;

  constructor(frame: HTMLElement, canvas: HTMLCanvasElement, events: StageEvents) {
    this.#frame = frame;
    this.#canvas = canvas;
    this.#events = events;
    new ResizeObserver(() => this.#repaint()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    canvas.addEventListener("pointerleave", () => events.hover(undefined));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => {
      this.#crosshair = undefined;
      this.#repaint();
    });
  }

  /**
   * Shows a picture, or none.
   *
   * @param options.label - what it is, for those who do not see it.
   * @param options.arrowsWithShift - for where the plain arrow keys mean something else.
   */
  setPicture(picture: Exhibit | undefined, { label = "Picture", arrowsWithShift = false } = {}): void {
    const arrows = arrowsWithShift ? "Shift and the arrow keys" : "Arrow keys";
    this.#canvas.ariaLabel = `${label}. ${arrows} move a cross-hair, Enter adds a point there, Backspace subtracts one.`;
    this.#arrowsWithShift = arrowsWithShift;
    this.#picture?.remove();
    this.#picture = picture;
    this.#cancel();
    if (!picture) return;
    if (picture instanceof HTMLImageElement) picture.alt = "";
    const [width, height] = this.#size();
    this.#frame.parentElement?.style.setProperty("--ratio", String(width / height));
    this.#frame.prepend(picture);
    requestAnimationFrame(() => picture.classList.add("shown"));
  }

  show(view: View): void {
    this.#view = view;
    this.#repaint();
  }

  #size(): [width: number, height: number] {
    const picture = this.#picture;
    if (picture instanceof HTMLImageElement) return [picture.naturalWidth, picture.naturalHeight];
    if (picture instanceof HTMLVideoElement) return [picture.videoWidth, picture.videoHeight];
    return [picture?.width ?? 1, picture?.height ?? 1];
  }

  /** Where the event is, in picture pixels, kept inside the picture. */
  #at(event: { clientX: number; clientY: number }): { x: number; y: number } {
    const area = this.#canvas.getBoundingClientRect();
    const [width, height] = this.#size();
    const clamp = (part: number, size: number) => Math.min(Math.max(part * size, 0), size - 1);
    return {
      x: clamp((event.clientX - area.left) / area.width, width),
      y: clamp((event.clientY - area.top) / area.height, height),
    };
  }

  #down(event: PointerEvent): void {
    if (!this.#picture || event.button === 1 || !event.isPrimary) return;
    this.#press = { x: event.clientX, y: event.clientY, button: event.button, id: event.pointerId };
    this.#crosshair = undefined;
    this.#canvas.setPointerCapture(event.pointerId);
  }

  #move(event: PointerEvent): void {
    const press = this.#press;
    if (!press) {
      if (event.pointerType !== "touch" && this.#picture) this.#events.hover(this.#at(event));
      return;
    }
    const far = Math.hypot(event.clientX - press.x, event.clientY - press.y) > DRAG_DISTANCE;
    // A finger that drags scrolls the page, unless the box tool is chosen.
    const mayDrag = press.button === 0 && (event.pointerType !== "touch" || this.tool === "box");
    if (!mayDrag || !(far || this.#draft)) return;
    const from = this.#at({ clientX: press.x, clientY: press.y });
    const to = this.#at(event);
    this.#draft = [
      Math.min(from.x, to.x),
      Math.min(from.y, to.y),
      Math.max(from.x, to.x),
      Math.max(from.y, to.y),
    ];
    this.#events.hover(undefined);
    this.#repaint();
  }

  #up(event: PointerEvent): void {
    const press = this.#press;
    const draft = this.#draft;
    this.#cancel();
    if (!press) return;
    if (draft) {
      if (draft[2] - draft[0] >= 1 && draft[3] - draft[1] >= 1) this.#events.box(draft);
      return;
    }
    const subtract = press.button === 2 || event.altKey || this.tool === "subtract";
    this.#events.point({ ...this.#at(event), label: subtract ? 0 : 1 });
  }

  /** Gives a drag up; false if there is none. */
  cancelDrag(): boolean {
    if (!this.#press) return false;
    this.#cancel();
    return true;
  }

  #cancel(): void {
    this.#press = undefined;
    this.#draft = undefined;
    this.#repaint();
  }

  #key(event: KeyboardEvent): void {
    if (!this.#picture || event.ctrlKey || event.metaKey) return;
    const [width, height] = this.#size();
    const isArrow = event.key.startsWith("Arrow");
    if (isArrow && this.#arrowsWithShift && !event.shiftKey) return;
    const step = (event.shiftKey && !this.#arrowsWithShift ? 0.1 : 0.02) * Math.max(width, height);
    const at = this.#crosshair ?? { x: width / 2, y: height / 2 };
    const move = (dx: number, dy: number) => {
      at.x = Math.min(Math.max(at.x + dx * step, 0), width - 1);
      at.y = Math.min(Math.max(at.y + dy * step, 0), height - 1);
      this.#events.hover(at);
    };
    if (event.key === "ArrowLeft") move(-1, 0);
    else if (event.key === "ArrowRight") move(1, 0);
    else if (event.key === "ArrowUp") move(0, -1);
    else if (event.key === "ArrowDown") move(0, 1);
    else if (event.key === "Enter") this.#events.point({ ...at, label: this.tool === "subtract" ? 0 : 1 });
    else if (event.key === "Backspace" || event.key === "Delete") this.#events.point({ ...at, label: 0 });
    else return;
    this.#crosshair = at;
    event.preventDefault();
    event.stopPropagation();
    this.#repaint();
  }

  #repaint(): void {
    cancelAnimationFrame(this.#frameRequest);
    this.#frameRequest = requestAnimationFrame(() => this.#paint());
  }

  #paint(): void {
    const canvas = this.#canvas;
    const context = canvas.getContext("2d");
    if (!context || !canvas.clientWidth) return;
    const pixel = devicePixelRatio;
    const size = [Math.round(canvas.clientWidth * pixel), Math.round(canvas.clientHeight * pixel)] as const;
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    context.clearRect(0, 0, ...size);
    if (!this.#picture) return;

    const { shape, layers = [], preview, points, box } = this.#view;
    if (shape) {
      context.fillStyle = "#0006";
      context.fillRect(0, 0, ...size);
      cut(context, shape);
      paintShape(context, shape, { color: "#5b5bf6", fill: 0.38, line: "#fff", lineWidth: 2 * pixel });
    } else {
      for (const layer of layers) context.drawImage(layer, 0, 0, ...size);
      if (preview)
        paintShape(context, preview, { color: "#8b87ff", fill: 0.35, line: "#fffd", lineWidth: 1.5 * pixel });
    }

    const [width, height] = this.#size();
    const toCanvas = (x: number, y: number) => [(x / width) * size[0], (y / height) * size[1]] as const;
    const shownBox = this.#draft ?? box;
    if (shownBox) {
      const [x0, y0] = toCanvas(shownBox[0], shownBox[1]);
      const [x1, y1] = toCanvas(shownBox[2], shownBox[3]);
      context.lineWidth = 4 * pixel;
      context.strokeStyle = "#0006";
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      context.lineWidth = 2 * pixel;
      context.strokeStyle = "#fff";
      context.setLineDash(this.#draft ? [6 * pixel, 4 * pixel] : []);
      context.strokeRect(x0, y0, x1 - x0, y1 - y0);
      context.setLineDash([]);
    }
    for (const { x, y, label } of points) dot(context, toCanvas(x, y), label, pixel);
    if (this.#crosshair) crosshair(context, toCanvas(this.#crosshair.x, this.#crosshair.y), pixel);
  }
}

/** Clears what lies under the shape, so that the object keeps its light while the rest is dimmed. */
function cut(context: CanvasRenderingContext2D, shape: ImageBitmap): void {
  context.globalCompositeOperation = "destination-out";
  context.drawImage(shape, 0, 0, context.canvas.width, context.canvas.height);
  context.globalCompositeOperation = "source-over";
}

/** A plus or a minus on a disc, so that the two differ by more than colour. */
function dot(
  context: CanvasRenderingContext2D,
  [x, y]: readonly [number, number],
  label: 0 | 1,
  pixel: number,
): void {
  context.beginPath();
  context.arc(x, y, 8 * pixel, 0, 2 * Math.PI);
  context.fillStyle = label ? "#16a34a" : "#e11d48";
  context.shadowColor = "#0008";
  context.shadowBlur = 5 * pixel;
  context.fill();
  context.shadowBlur = 0;
  context.lineWidth = 2 * pixel;
  context.strokeStyle = "#fff";
  context.stroke();
  context.beginPath();
  const arm = 3.5 * pixel;
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  if (label) {
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
  }
  context.stroke();
}

function crosshair(
  context: CanvasRenderingContext2D,
  [x, y]: readonly [number, number],
  pixel: number,
): void {
  for (const [width, color] of [
    [4, "#000a"],
    [2, "#fff"],
  ] as const) {
    context.lineWidth = width * pixel;
    context.strokeStyle = color;
    context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ] as const) {
      context.moveTo(x + dx * 4 * pixel, y + dy * 4 * pixel);
      context.lineTo(x + dx * 16 * pixel, y + dy * 16 * pixel);
    }
    context.stroke();
  }
}
