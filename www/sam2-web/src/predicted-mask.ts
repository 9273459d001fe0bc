import { Sam2Error } from "./errors.js";
import { Mask } from "./mask.js";
import type { Box } from "./types.js";

/** What the model says of a mask, beside its bits. */
export interface Predicted {
  score: number;
  bits: Uint8Array;
  logits: Float32Array;
}

/** Cuts the picture's own pixels out, of a `crop` region. */
export type CutOut = (bits: Uint8Array, crop: Box) => Promise<Blob>;

/** A mask as the model predicted it. It stays valid after its image and model are disposed of. */
export class PredictedMask extends Mask {
  /** The model's own estimate of this mask's IoU with the true one, 0 to 1. */
  readonly score: number;
  /** The network's low-resolution logits, row by row, within ±32; above 0 is the object. Pass them as `mask` to refine. */
  readonly logits: Float32Array;
  readonly logitsWidth: number;
  readonly logitsHeight: number;
  readonly #cutOut: CutOut;

  /** @internal */
  constructor(
    { bits, score, logits }: Predicted,
    size: { width: number; height: number; logitsWidth: number; logitsHeight: number },
    cutOut: CutOut,
  ) {
    super(size.width, size.height, bits);
    this.score = score;
    this.logits = logits;
    this.logitsWidth = size.logitsWidth;
    this.logitsHeight = size.logitsHeight;
    this.#cutOut = cutOut;
  }

  /**
   * The picture's own pixels where the mask is set and transparent elsewhere, as a PNG. Needs the image, so not after
   * its `dispose()`.
   *
   * @param options.crop - Cut to the mask's box (default), or false for the whole picture's size.
   */
  async cutout({ crop = true }: { crop?: boolean } = {}): Promise<Blob> {
    const { box } = this;
    if (crop && !box) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "The mask is empty, so there is nothing to cut out. Try another prompt.",
      );
    }
    return this.#cutOut(this.bits, crop && box ? box : [0, 0, this.width - 1, this.height - 1]);
  }
}
