import { Sam2Error } from "./errors.js";
import { toPng } from "./pixels.js";
import type { Box, Rle } from "./types.js";
import type { WasmMask } from "./wasm-module.js";

/** What a mask asks of the engine that made it. */
export interface MaskTools {
  rle(bits: Uint8Array, width: number, height: number): Promise<string>;
  cutout(bits: Uint8Array, crop: Box): Promise<Blob>;
}

/** Which pixels belong to the object. Plain data: it stays valid after its image and model are disposed of. */
export class Mask {
  /** Picture width in pixels. */
  readonly width: number;
  /** Picture height in pixels. */
  readonly height: number;
  /** The model's own estimate of this mask's IoU with the true one, 0 to 1. */
  readonly score: number;
  /** Pixels set. */
  readonly area: number;
  /** First and last column and row that are set, inclusive, as `[x0, y0, x1, y1]`; null if the mask is empty. */
  readonly box: Box | null;
  /** One bit a pixel, row by row: pixel `i = y * width + x` is `(bits[i >> 3] >> (i & 7)) & 1`. */
  readonly bits: Uint8Array;
  /** The network's low-resolution logits, row by row, within ±32; above 0 is the object. Pass them as `mask` to refine. */
  readonly logits: Float32Array;
  readonly logitsWidth: number;
  readonly logitsHeight: number;
  readonly #tools: MaskTools;

  /** @internal */
  constructor(
    mask: WasmMask,
    size: { width: number; height: number; logitsWidth: number; logitsHeight: number },
    tools: MaskTools,
  ) {
    this.width = size.width;
    this.height = size.height;
    this.score = mask.score;
    this.area = mask.area;
    this.box = mask.box;
    this.bits = mask.bits;
    this.logits = mask.logits;
    this.logitsWidth = size.logitsWidth;
    this.logitsHeight = size.logitsHeight;
    this.#tools = tools;
  }

  /** Whether the pixel at column `x`, row `y` is set. */
  has(x: number, y: number): boolean {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return false;
    const pixel = Math.floor(y) * this.width + Math.floor(x);
    return (((this.bits[pixel >> 3] ?? 0) >> (pixel & 7)) & 1) === 1;
  }

  /**
   * The mask as a picture to lay over the original: `color` (red, green, blue, 0 to 255) with `alpha` (0 to 1) where
   * the mask is set, transparent elsewhere.
   */
  toImageData({
    color = [30, 144, 255],
    alpha = 0.6,
  }: {
    color?: readonly [red: number, green: number, blue: number];
    alpha?: number;
  } = {}): ImageData {
    const image = new ImageData(this.width, this.height);
    const pixel = new Uint8ClampedArray([...color, alpha * 255]);
    const [rgba = 0] = new Uint32Array(pixel.buffer);
    this.#paint(image, rgba);
    return image;
  }

  /** A PNG of the picture's size: white where the mask is set, black elsewhere. */
  async toPng(): Promise<Blob> {
    const image = new ImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    const [black = 0, white = 0] = new Uint32Array(new Uint8Array([0, 0, 0, 255, 255, 255, 255, 255]).buffer);
    pixels.fill(black);
    this.#paint(image, white);
    return toPng(image);
  }

  /** COCO's compressed run-length form, as pycocotools reads it. Needs the model, so not after its `dispose()`. */
  async toRle(): Promise<Rle> {
    const counts = await this.#tools.rle(this.bits, this.width, this.height);
    return { size: [this.height, this.width], counts };
  }

  /**
   * The picture's own pixels where the mask is set and transparent elsewhere, as a PNG. Needs the image, so not after
   * its `dispose()`.
   *
   * @param options.crop - Cut to the mask's box (default), or false for the whole picture's size.
   */
  async cutout({ crop = true }: { crop?: boolean } = {}): Promise<Blob> {
    if (crop && !this.box) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "The mask is empty, so there is nothing to cut out. Try another prompt.",
      );
    }
    const whole: Box = [0, 0, this.width - 1, this.height - 1];
    return this.#tools.cutout(this.bits, crop && this.box ? this.box : whole);
  }

  #paint(image: ImageData, rgba: number): void {
    if (!this.box) return;
    const pixels = new Uint32Array(image.data.buffer);
    const [x0, y0, x1, y1] = this.box;
    for (let y = y0; y <= y1; y++) {
      const row = y * this.width;
      for (let i = row + x0; i <= row + x1; i++) {
        if (((this.bits[i >> 3] ?? 0) >> (i & 7)) & 1) pixels[i] = rgba;
      }
    }
  }
}
