import { encodePicture } from "./canvas.js";
import { checkNumber } from "./check-number.js";
import { Sam2Error } from "./errors.js";
import { and, byteCount, countSet, isSet, not, or } from "./mask/bits.js";
import { checkPolygons } from "./mask/check-polygons.js";
import { largestComponent } from "./mask/components.js";
import { fillPolygons } from "./mask/fill-polygons.js";
import { grow } from "./mask/grow.js";
import { bitsOfPicture } from "./mask/of-picture.js";
import { outlines } from "./mask/outline.js";
import { resize } from "./mask/resize.js";
import { compress, decompress, fromCounts, toCounts } from "./mask/rle.js";
import { forEachRun, runsOf } from "./mask/runs.js";
import { simplify, withoutStairs } from "./mask/simplify.js";
import type { Box, Polygon, Ring, Rle, UncompressedRle } from "./mask/types.js";
import { checkSize } from "./size.js";

type Color = readonly [red: number, green: number, blue: number];

export interface PolygonOptions {
  /**
   * How far from the exact outline the polygons may be, in pixels; under 0.5 they are exact. Default 0.
   */
  tolerance?: number;
  /**
   * The least IoU of the polygons with the mask, 0 to 1, where a tolerance costs more in a small or ragged mask: the
   * tolerance is then halved until it holds. Default 0.99.
   */
  minIou?: number;
}

/**
 * Which pixels belong to an object. Plain data that needs no model and does not change: every operation makes a new mask.
 *
 * @throws {@link Sam2Error} `INVALID_MASK` for masks of two sizes, or what makes no mask; `IMAGE_TOO_LARGE` for one of more
 * than 64 megapixels; `UNSUPPORTED_INPUT` for an option out of range.
 */
export class Mask {
  /** In pixels. */
  readonly width: number;
  /** In pixels. */
  readonly height: number;
  #bits: Uint8Array | (() => Uint8Array);
  #area: number | undefined;
  #box: Box | null | undefined;

  /**
   * `bits` is taken, not copied; a function is asked for them when they are first needed. Without it the mask is empty.
   */
  constructor(width: number, height: number, bits?: Uint8Array | (() => Uint8Array)) {
    checkMaskSize(width, height);
    const bytes = byteCount(width, height);
    const isMask = typeof bits === "function" || (bits instanceof Uint8Array && bits.length === bytes);
    if (bits !== undefined && !isMask) {
      throw new Sam2Error(
        "INVALID_MASK",
        `A mask of ${width} x ${height} pixels is a Uint8Array of ${bytes} bytes, one bit a pixel, not ` +
          `${bits instanceof Uint8Array ? `of ${bits.length}` : typeof bits}.`,
      );
    }
    this.width = width;
    this.height = height;
    this.#bits = bits ?? new Uint8Array(bytes);
  }

  /** One bit a pixel, row by row: pixel `i = y * width + x` is `(bits[i >> 3] >> (i & 7)) & 1`. To read only. */
  get bits(): Uint8Array {
    if (typeof this.#bits === "function") this.#bits = this.#bits();
    return this.#bits;
  }

  /** From COCO's run lengths, compressed (text) or not (numbers), as pycocotools has them. */
  static fromRle(rle: Rle | { size: readonly number[]; counts: string | ArrayLike<number> }): Mask {
    const [height = 0, width = 0] = Array.isArray(rle?.size) ? rle.size : [];
    const counts = rle?.counts;
    if (rle?.size?.length !== 2 || !(typeof counts === "string" || typeof counts?.length === "number")) {
      throw new Sam2Error(
        "INVALID_MASK",
        "A run-length encoding is { size: [height, width], counts }, where counts is COCO's text or an array of numbers.",
      );
    }
    checkMaskSize(width, height);
    const lengths = typeof counts === "string" ? decompress(counts) : counts;
    return new Mask(width, height, fromCounts(lengths, width, height));
  }

  /**
   * From a picture of a mask: set where a value is at least half of the largest, of the alpha if that is not the same
   * everywhere, else of the brightest colour. So masks of 0 and 1, of 0 and 255, in any colour, with soft edges, and our own
   * `toImageData()` are all right.
   */
  static fromImageData({ data, width, height }: ImageData): Mask {
    checkMaskSize(width, height);
    if (data.length !== width * height * 4)
      throw new Sam2Error("INVALID_MASK", "The ImageData has lost its pixels: pass it anew.");
    return new Mask(width, height, bitsOfPicture(data, width, height));
  }

  /**
   * From polygons: set are the pixels whose middle is inside an outline and in none of its holes (the even-odd rule), in
   * any of the polygons. This is what pycocotools' `frPyObjects` does, but for its rounding to fifths of a pixel. Parts out
   * of the picture are left out.
   *
   * @param options.crossing - `"error"` (default): a ring that crosses itself, or a hole another ring, by a hundredth of a
   * pixel or more along the middle of a row, is an error. `"even-odd"`: every second overlap is left out.
   */
  static fromPolygons(
    polygons: readonly (readonly (readonly (readonly [x: number, y: number])[])[])[],
    { width, height, crossing = "error" }: { width: number; height: number; crossing?: "error" | "even-odd" },
  ): Mask {
    checkMaskSize(width, height);
    if (crossing !== "error" && crossing !== "even-odd")
      throw new Sam2Error("UNSUPPORTED_INPUT", `crossing must be "error" or "even-odd", not "${crossing}".`);
    checkPolygons(polygons);
    return new Mask(
      width,
      height,
      fillPolygons(polygons as readonly Polygon[], width, height, crossing === "error"),
    );
  }

  /** Pixels set. */
  get area(): number {
    this.#area ??= countSet(this.bits, this.width * this.height);
    return this.#area;
  }

  /** First and last column and row that are set, inclusive, as `[x0, y0, x1, y1]`; null if the mask is empty. */
  get box(): Box | null {
    if (this.#box !== undefined) return this.#box;
    let [x0, y0, x1, y1] = [this.width, this.height, -1, -1];
    this.#forEachRun((y, from, end) => {
      if (from < x0) x0 = from;
      if (end > x1) x1 = end;
      if (y < y0) y0 = y;
      y1 = y;
    });
    this.#box = x1 < 0 ? null : [x0, y0, x1 - 1, y1];
    return this.#box;
  }

  /**
   * The mean of the set pixels' middles; that of the pixel at the top left is (0.5, 0.5). Null if the mask is empty. It may
   * lie out of the mask.
   */
  get centroid(): { x: number; y: number } | null {
    let [area, x, y] = [0, 0, 0];
    this.#forEachRun((row, from, end) => {
      area += end - from;
      x += ((end - from) * (from + end)) / 2;
      y += (end - from) * (row + 0.5);
    });
    return area ? { x: x / area, y: y / area } : null;
  }

  /** Whether the pixel at column `x`, row `y` is set. */
  has(x: number, y: number): boolean {
    if (!(x >= 0 && y >= 0 && x < this.width && y < this.height)) return false;
    return isSet(this.bits, Math.floor(y) * this.width + Math.floor(x));
  }

  /** What is in both. */
  and(other: Mask): Mask {
    return this.#of(and(this.bits, this.#like(other).bits));
  }

  /** What is in either. */
  or(other: Mask): Mask {
    return this.#of(or(this.bits, this.#like(other).bits));
  }

  /** What is in this one and not in the other. */
  minus(other: Mask): Mask {
    return this.and(this.#like(other).not());
  }

  /** All that is not in this one. */
  not(): Mask {
    return this.#of(not(this.bits, this.width * this.height));
  }

  /** Intersection over union, 0 to 1; 1 of two empty masks. */
  iou(other: Mask): number {
    const both = this.and(other).area;
    const either = this.area + other.area - both;
    return either ? both / either : 1;
  }

  /**
   * Grown by a disc: set is what lies within `radius` pixels of the mask, from pixel middle to pixel middle, by Euclid's
   * distance. `radius` need not be whole.
   */
  grow(radius: number): Mask {
    checkNumber("radius", radius, 0);
    return this.#of(grow(this.bits, this.width, this.height, radius));
  }

  /**
   * Shrunk by a disc: set stays what is farther than `radius` pixels from all that is not set. What lies out of the picture
   * takes nothing away.
   */
  shrink(radius: number): Mask {
    return this.not().grow(radius).not();
  }

  /** The largest part whose pixels are joined at edges or corners. */
  largestComponent(): Mask {
    return this.#of(largestComponent(this.bits, this.width, this.height));
  }

  /** Of another size: each new pixel is the old one in which its middle lies. */
  resize(width: number, height: number): Mask {
    checkMaskSize(width, height);
    return new Mask(width, height, resize(this.bits, this, { width, height }));
  }

  /**
   * COCO's run-length form, as pycocotools has it: compressed to text, or with `compressed: false` the lengths as numbers.
   */
  toRle(options?: { compressed?: true }): Rle;
  toRle(options: { compressed: false }): UncompressedRle;
  toRle({ compressed = true }: { compressed?: boolean } = {}): Rle | UncompressedRle {
    const counts = toCounts(this.bits, this.width, this.height);
    const size: [height: number, width: number] = [this.height, this.width];
    return compressed ? { size, counts: compress(counts) } : { size, counts: Array.from(counts) };
  }

  /**
   * The outlines along the pixels' edges, with their holes; empty for an empty mask. Pixels that touch at a corner only are
   * not joined. As one looks at the picture, outlines go counterclockwise and holes clockwise. With `tolerance: 0`,
   * {@link Mask.fromPolygons} gives the same mask again.
   */
  toPolygons({ tolerance = 0, minIou = 0.99 }: PolygonOptions = {}): Polygon[] {
    checkNumber("tolerance", tolerance, 0);
    checkNumber("minIou", minIou, 0, 1);
    const exact = outlines(runsOf(this.bits, this.width, this.height));
    if (tolerance < 0.5) return exact;
    const smooth = withoutStairs(exact);
    for (let within = tolerance - 0.5; within > 0.05; within /= 2) {
      const simple = simplify(smooth, within);
      if (this.#isLike(simple, minIou)) return simple;
    }
    return smooth;
  }

  /** The outlines as the `d` of an SVG `<path>`, in pixels; holes stay open by either fill rule. */
  toSvgPath(options: PolygonOptions = {}): string {
    const path = (ring: Ring) => `M${ring.map((point) => point.join(" ")).join("L")}Z`;
    return this.toPolygons(options).flat().map(path).join("");
  }

  /**
   * The mask as a picture to lay over the original: `color` (red, green, blue, 0 to 255) with `alpha` (0 to 1) where
   * the mask is set, transparent elsewhere.
   */
  toImageData({ color = [30, 144, 255], alpha = 0.6 }: { color?: Color; alpha?: number } = {}): ImageData {
    return this.#paint(new ImageData(this.width, this.height), [...color, alpha * 255]);
  }

  /** {@link Mask.toImageData} as a bitmap, to draw or to hand to a worker. */
  toBitmap(options?: { color?: Color; alpha?: number }): Promise<ImageBitmap> {
    return createImageBitmap(this.toImageData(options));
  }

  /**
   * A picture file of the mask's size: white where the mask is set, black elsewhere.
   *
   * @param options.type - `"image/png"` (default), `"image/webp"`, `"image/jpeg"`, or what else this browser writes.
   * @param options.quality - Of a type with losses, 0 to 1.
   */
  async toBlob({ type = "image/png", quality }: { type?: string; quality?: number } = {}): Promise<Blob> {
    const image = new ImageData(this.width, this.height);
    new Uint32Array(image.data.buffer).fill(word([0, 0, 0, 255]));
    return encodePicture(this.#paint(image, [255, 255, 255, 255]), type, quality);
  }

  #paint(image: ImageData, color: readonly number[]): ImageData {
    const pixels = new Uint32Array(image.data.buffer);
    const value = word(color);
    this.#forEachRun((y, from, end) => pixels.fill(value, y * this.width + from, y * this.width + end));
    return image;
  }

  #forEachRun(visit: (y: number, from: number, end: number) => void): void {
    forEachRun(this.bits, this.width, this.height, visit);
  }

  #isLike(polygons: readonly Polygon[], minIou: number): boolean {
    try {
      return Mask.fromPolygons(polygons, this).iou(this) >= minIou;
    } catch (error) {
      if (error instanceof Sam2Error) return false; // With points left out, it crosses itself.
      throw error;
    }
  }

  /** The other, where it is of this one's size. */
  #like(other: Mask): Mask {
    if (!(other instanceof Mask)) throw new Sam2Error("INVALID_MASK", "The other mask is not a Mask.");
    if (other.width !== this.width || other.height !== this.height) {
      throw new Sam2Error(
        "INVALID_MASK",
        `One mask is ${this.width} x ${this.height} pixels and the other ${other.width} x ${other.height}: resize one.`,
      );
    }
    return other;
  }

  #of(bits: Uint8Array): Mask {
    return new Mask(this.width, this.height, bits);
  }
}

/** Four bytes as one number, in this machine's order. */
function word(bytes: readonly number[]): number {
  return new Uint32Array(Uint8ClampedArray.from(bytes).buffer)[0] ?? 0;
}

function checkMaskSize(width: unknown, height: unknown): void {
  if (!(Number.isInteger(width) && Number.isInteger(height) && Number(width) > 0 && Number(height) > 0)) {
    throw new Sam2Error(
      "INVALID_MASK",
      `A mask's width and height are whole numbers from 1, not ${width} x ${height}.`,
    );
  }
  checkSize(Number(width), Number(height));
}
