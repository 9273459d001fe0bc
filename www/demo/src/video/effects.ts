import { paintShape } from "../silhouette.js";

export type EffectName = "highlight" | "outline" | "cutout" | "blur" | "grey" | "replace";

export interface Effect {
  name: EffectName;
  /** What `replace` puts around the objects. */
  color: string;
}

/** An object's silhouette, white on transparent, and its colour. */
export interface Shape {
  image: OffscreenCanvas;
  color: string;
}

type Context = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** How many times a picture is halved to blur it: each doubles the blur's radius. */
const BLUR_HALVINGS = 4;

/** Paints frames with an effect. Keeps its scratch canvases, so that a frame costs no allocation. */
export class Painter {
  readonly #scratch: OffscreenCanvas[] = [];

  /**
   * Paints `picture` under `effect`.
   *
   * @param shapes - undefined where nothing is known of the frame: it is then shown as it is.
   */
  paint(
    context: Context,
    picture: CanvasImageSource,
    shapes: readonly Shape[] | undefined,
    effect: Effect,
  ): void {
    const { width, height } = context.canvas;
    context.clearRect(0, 0, width, height);
    if (!shapes || effect.name === "highlight" || effect.name === "outline") {
      context.drawImage(picture, 0, 0, width, height);
      const lineWidth = Math.max(1.5, Math.max(width, height) / 500);
      for (const { image, color } of shapes ?? []) {
        const style =
          effect.name === "outline"
            ? { color, fill: 0, line: color, lineWidth: 1.6 * lineWidth }
            : { color, fill: 0.5, line: "#fff", lineWidth };
        paintShape(context, image, style);
      }
      return;
    }
    if (effect.name === "blur") this.#blur(context, picture);
    if (effect.name === "replace") {
      context.fillStyle = effect.color;
      context.fillRect(0, 0, width, height);
    }
    if (effect.name === "grey") {
      context.drawImage(picture, 0, 0, width, height);
      context.globalCompositeOperation = "saturation"; // takes that of black: none
      context.fillStyle = "#000";
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "source-over";
    }
    context.drawImage(this.#cutout(picture, shapes, width, height), 0, 0);
  }

  /** The objects' own pixels, their edge softened by a pixel. */
  #cutout(
    picture: CanvasImageSource,
    shapes: readonly Shape[],
    width: number,
    height: number,
  ): OffscreenCanvas {
    const [canvas, context] = this.#canvas(0, width, height);
    context.filter = "blur(0.7px)";
    for (const { image } of shapes) context.drawImage(image, 0, 0, width, height);
    context.filter = "none";
    context.globalCompositeOperation = "source-in";
    context.drawImage(picture, 0, 0, width, height);
    context.globalCompositeOperation = "source-over";
    return canvas;
  }

  /** By halving and doubling: a canvas's own blur is slow on large pictures, and not every browser has it. */
  #blur(context: Context, picture: CanvasImageSource): void {
    const { width, height } = context.canvas;
    const half = (times: number) => [Math.max(1, width >> times), Math.max(1, height >> times)] as const;
    let from = picture;
    for (let i = 1; i <= BLUR_HALVINGS; i++) {
      const [canvas, small] = this.#canvas(i, ...half(i));
      small.drawImage(from, 0, 0, ...half(i));
      from = canvas;
    }
    for (let i = BLUR_HALVINGS - 1; i >= 1; i--) {
      const [canvas, larger] = this.#canvas(i, ...half(i));
      larger.drawImage(from, 0, 0, ...half(i));
      from = canvas;
    }
    context.drawImage(from, 0, 0, width, height);
  }

  #canvas(
    index: number,
    width: number,
    height: number,
  ): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] {
    const canvas = this.#scratch[index] ?? new OffscreenCanvas(width, height);
    this.#scratch[index] = canvas;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    if (!context) throw new Error("The browser gives no canvas to draw on.");
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    return [canvas, context];
  }
}
