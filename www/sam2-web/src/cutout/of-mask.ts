import { checkNumber } from "../check-number.js";
import { Sam2Error } from "../errors.js";
import { toLogits } from "../mask/to-logits.js";
import type { LowRes } from "../mask/upscale.js";
import type { Mask } from "../mask.js";
import type { CutoutOptions } from "../types.js";
import type { CutOut } from "./cut.js";
import type { Size } from "./lattice.js";

/** Of the types that browsers write, those that keep transparency. */
const TYPES = ["image/png", "image/webp"];
/** In pixels. */
const RADIUS = { least: 1, most: 500 };
/** The default radius is the picture's longer side by this. */
const RADII_A_SIDE = 50;
/** The longest side of logits that are made of a mask's pixels. */
const LOGITS_SIDE = 1024;

/** A mask's cut-out, by the options of {@link PredictedMask.cutout}. `logits` is what the mask was made of, where it is known. */
export async function cutOutOf(
  mask: Mask,
  logits: LowRes | undefined,
  picture: Size,
  { crop = true, softEdge = false, type = "image/png", quality }: CutoutOptions,
  cutOut: CutOut,
): Promise<Blob> {
  if (mask.width !== picture.width || mask.height !== picture.height)
    fail('The mask is not of the picture\'s size: resize it, or predict without size: "logits".');
  if (typeof crop !== "boolean") fail(`crop must be true or false, not ${crop}.`);
  if (!TYPES.includes(type))
    fail(`A cut-out's type is "image/png" or "image/webp", which keep transparency, not "${type}".`);
  const edge = edgeOf(softEdge, picture);
  const { bits, box } = mask;
  if (crop && !box) fail("The mask is empty, so there is nothing to cut out. Try another prompt.");
  return cutOut({
    bits,
    box,
    crop,
    type,
    ...(quality !== undefined && { quality }),
    ...(edge && { edge: { ...edge, logits: logits ?? logitsOf(mask) } }),
  });
}

function edgeOf(softEdge: CutoutOptions["softEdge"], { width, height }: Size) {
  if (softEdge === false) return undefined;
  if (softEdge !== true && (typeof softEdge !== "object" || softEdge === null))
    fail(`softEdge must be true, false or { radius, strength }, not ${softEdge}.`);
  const natural = Math.max(width, height) / RADII_A_SIDE;
  const given = softEdge === true ? {} : softEdge;
  const { radius = Math.min(Math.max(natural, RADIUS.least), RADIUS.most), strength = 1 } = given;
  checkNumber("softEdge.radius", radius, RADIUS.least, RADIUS.most);
  checkNumber("softEdge.strength", strength, 0, 1);
  return { radius, strength };
}

/** Of a mask that was not predicted, or of which only the pixels are left. */
function logitsOf({ bits, width, height }: Mask): LowRes {
  const side = Math.min(Math.max(width, height), LOGITS_SIDE);
  return { values: toLogits(bits, width, height, side), width: side, height: side };
}

function fail(message: string): never {
  throw new Sam2Error("UNSUPPORTED_INPUT", message);
}
