import { Sam2Error } from "./errors.js";
import { bitsAbove } from "./mask/upscale.js";
import { Mask } from "./mask.js";
import type { Box } from "./types.js";

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

/** Cuts the picture's own pixels out, of a `crop` region. */
export type CutOut = (bits: Uint8Array, crop: Box) => Promise<Blob>;

interface Size {
  width: number;
  height: number;
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
  readonly #maskLogits: Float32Array;
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
    this.#maskLogits = maskLogits;
    this.#picture = picture;
    this.#cutOut = cutOut;
  }

  /**
   * How little the mask depends on the threshold, 0 to 1: the IoU of the masks at logits of 1 and -1, at low resolution.
   * Not a number where both are empty, or where only the mask is left.
   */
  get stability(): number {
    let [above, below] = [0, 0];
    for (const logit of this.#maskLogits) {
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
    if (this.#maskLogits.length === 0) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "Of this frame only the mask is left: its logits went when tracking had passed. Propagate over it again.",
      );
    }
    const part: Box = [left, top, right, bottom];
    return new Mask(right - left + 1, bottom - top + 1, () => this.#upscale(this.#picture, part, threshold));
  }

  /**
   * The picture's own pixels where the mask is set and transparent elsewhere, as a PNG. Needs the image, so not after
   * its `dispose()`.
   *
   * @param options.crop - Cut to the mask's box (default), or false for the whole picture's size.
   */
  async cutout(options: { crop?: boolean } = {}): Promise<Blob> {
    return cutOutOf(this, this.#picture, options, this.#cutOut);
  }

  #upscale(to: Size, [left, top, right, bottom]: Box, threshold: number): Uint8Array {
    const logits = { values: this.#maskLogits, width: this.logitsWidth, height: this.logitsHeight };
    return bitsAbove(logits, to, { left, top, right: right + 1, bottom: bottom + 1 }, threshold);
  }
}

/** What a mask covers of its picture: see {@link PredictedMask.cutout}. @internal */
export async function cutOutOf(
  mask: Mask,
  picture: Size,
  { crop = true }: { crop?: boolean },
  cutOut: CutOut,
): Promise<Blob> {
  if (mask.width !== picture.width || mask.height !== picture.height) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      'The mask is not of the picture\'s size: resize it, or predict without size: "logits".',
    );
  }
  const { box } = mask;
  if (crop && !box) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "The mask is empty, so there is nothing to cut out. Try another prompt.",
    );
  }
  return cutOut(mask.bits, crop && box ? box : wholeOf(mask));
}

function wholeOf({ width, height }: Size): Box {
  return [0, 0, width - 1, height - 1];
}

function isIn([x0, y0, x1, y1]: Box, left: number, top: number, right: number, bottom: number): boolean {
  return left >= x0 && top >= y0 && right <= x1 && bottom <= y1;
}
