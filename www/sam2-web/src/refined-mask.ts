import type { CutOut } from "./cutout/cut.js";
import { cutOutOf } from "./cutout/of-mask.js";
import { byteCount, setRun } from "./mask/bits.js";
import { forEachRun } from "./mask/runs.js";
import { bitsAbove, type LowRes, type Part } from "./mask/upscale.js";
import { Mask } from "./mask.js";
import type { Box, CutoutOptions } from "./types.js";
import type { WasmPrediction } from "./wasm-module.js";

/**
 * A mask that was predicted again on the part of the picture around it, by {@link ImageEmbedding.refine}. It has the
 * picture's size, and stays valid after its image and model are disposed of.
 */
export class RefinedMask extends Mask {
  /** The model's own estimate of this mask's IoU with the true one, 0 to 1. */
  readonly score: number;
  /** Logit of whether there is an object at all: below 0, probably not. */
  readonly objectScore: number;
  /** The part's first and last column and row, as {@link Mask.box}. */
  readonly part: Box;
  /** Milliseconds the engine took. */
  readonly refineMs: number;
  /** What the mask is made of. @internal */
  readonly lowRes: LowRes;
  readonly #cutOut: CutOut;

  /** @internal */
  constructor(
    { masks, objectScore, logitsWidth, logitsHeight }: WasmPrediction,
    { part, refineMs }: { part: Part; refineMs: number },
    size: { width: number; height: number },
    cutOut: CutOut,
  ) {
    const { score = 0, logits = new Float32Array() } = masks[0] ?? {};
    const lowRes = { values: logits, width: logitsWidth, height: logitsHeight, part };
    super(size.width, size.height, () => bitsOf(lowRes, part, size));
    this.score = score;
    this.objectScore = objectScore;
    this.refineMs = refineMs;
    this.part = [part.left, part.top, part.right - 1, part.bottom - 1];
    this.lowRes = lowRes;
    this.#cutOut = cutOut;
  }

  /** As {@link PredictedMask.cutout}. */
  async cutout(options: CutoutOptions = {}): Promise<Blob> {
    return cutOutOf(this, this.lowRes, this, options, this.#cutOut);
  }
}

/** The bits of a picture whose mask is known on a part of it. */
function bitsOf(
  lowRes: LowRes,
  { left, top, right, bottom }: Part,
  size: { width: number; height: number },
): Uint8Array {
  const [width, height] = [right - left, bottom - top];
  const bits = new Uint8Array(byteCount(size.width, size.height));
  const ofPart = bitsAbove(lowRes, { width, height }, { left: 0, top: 0, right: width, bottom: height }, 0);
  forEachRun(ofPart, width, height, (y, from, end) => {
    const row = (top + y) * size.width + left;
    setRun(bits, row + from, row + end);
  });
  return bits;
}
