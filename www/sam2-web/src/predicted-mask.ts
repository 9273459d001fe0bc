import type { CutOut } from "./cutout/cut.js";
import type { Size } from "./cutout/lattice.js";
import { cutOutOf } from "./cutout/of-mask.js";
import { Sam2Error } from "./errors.js";
import { bitsAbove, type LowRes } from "./mask/upscale.js";
import { Mask } from "./mask.js";
import type { Box, CutoutOptions } from "./types.js";

/** What the model says of a mask. */
export interface Predicted {
  score: number;
  /** Within ±32. */
  logits: Float32Array;
  /** What masks are made of, where it differs from `logits`. */
  maskLogits?: Float32Array | undefined;
  /** Where they are known already. */
  bits?: Uint8Array;
}

/**
 * A mask as the model predicted it. Its pixels are made of the logits when they are first asked for. It stays valid after
 * its image and model are disposed of.
 */
export class PredictedMask extends Mask {
  /** The model's own estimate of this mask's IoU with the true one, 0 to 1. */
  readonly score: number;
  /** The network's low-resolution logits, row by row, within ±32; above 0 is the object. Pass them as `mask` to refine. */
  readonly logits: Float32Array;
  readonly logitsWidth: number;
  readonly logitsHeight: number;
  /** What the mask is made of. */
  readonly #lowRes: LowRes;
  readonly #picture: Size;
  readonly #cutOut: CutOut;

  /** @internal */
  constructor(
    { score, logits, maskLogits = logits, bits }: Predicted,
    { logitsWidth, logitsHeight }: { logitsWidth: number; logitsHeight: number },
    picture: Size,
    size: Size,
    cutOut: CutOut,
  ) {
    super(size.width, size.height, bits ?? (() => this.#upscale(size, wholeOf(size), 0)));
    this.score = score;
    this.logits = logits;
    this.logitsWidth = logitsWidth;
    this.logitsHeight = logitsHeight;
    this.#lowRes = { values: maskLogits, width: logitsWidth, height: logitsHeight };
    this.#picture = picture;
    this.#cutOut = cutOut;
  }

  /**
   * How little the mask depends on the threshold, 0 to 1: the IoU of the masks at logits of 1 and -1, at low resolution.
   * Not a number where both are empty, or where only the mask is left.
   */
  get stability(): number {
    let [above, below] = [0, 0];
    for (const logit of this.#lowRes.values) {
      if (logit > 1) above++;
      if (logit > -1) below++;
    }
    return above / below;
  }

  /**
   * The mask in the picture's size at another threshold than 0, or of a part of the picture. A higher threshold gives a
   * smaller mask.
   *
   * @param options.crop - The part's first and last column and row, as {@link Mask.box}. Default: the whole picture.
   * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for a part outside the picture, or where only the mask is left of a
   * video's frame.
   */
  at({ threshold = 0, crop }: { threshold?: number; crop?: Readonly<Box> } = {}): Mask {
    const whole = wholeOf(this.#picture);
    const [left, top, right, bottom] = crop ?? whole;
    const inOrder = left <= right && top <= bottom;
    if (
      !(
        [left, top, right, bottom].every(Number.isInteger) &&
        inOrder &&
        isIn(whole, left, top, right, bottom)
      )
    ) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `crop is [x0, y0, x1, y1], whole pixels of the picture of ${this.#picture.width} x ${this.#picture.height}, the ` +
          `last ones included, not [${crop}].`,
      );
    }
    if (!Number.isFinite(threshold))
      throw new Sam2Error("UNSUPPORTED_INPUT", `threshold must be a finite number, not ${threshold}.`);
    if (!this.lowRes) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "Of this frame only the mask is left: its logits went when tracking had passed. Propagate over it again.",
      );
    }
    const part: Box = [left, top, right, bottom];
    return new Mask(right - left + 1, bottom - top + 1, () => this.#upscale(this.#picture, part, threshold));
  }

  /**
   * The object as a picture file, transparent elsewhere. Made in the worker. Needs the image, so not after its `dispose()`.
   *
   * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for an empty mask that is to be cropped, one of the logits' size, a type
   * without transparency, and options out of range.
   */
  async cutout(options: CutoutOptions = {}): Promise<Blob> {
    return cutOutOf(this, this.lowRes, this.#picture, options, this.#cutOut);
  }

  /** What the mask is made of, where it is still there. @internal */
  get lowRes(): LowRes | undefined {
    return this.#lowRes.values.length > 0 ? this.#lowRes : undefined;
  }

  #upscale(to: Size, [left, top, right, bottom]: Box, threshold: number): Uint8Array {
    return bitsAbove(this.#lowRes, to, { left, top, right: right + 1, bottom: bottom + 1 }, threshold);
  }
}

function wholeOf({ width, height }: Size): Box {
  return [0, 0, width - 1, height - 1];
}

function isIn([x0, y0, x1, y1]: Box, left: number, top: number, right: number, bottom: number): boolean {
  return left >= x0 && top >= y0 && right <= x1 && bottom <= y1;
}
