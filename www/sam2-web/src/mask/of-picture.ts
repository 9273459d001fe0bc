import { byteCount } from "./bits.js";

/**
 * The object in an RGBA picture of its mask, by one rule for what people and tools save masks as: set is where a value is
 * at least half of the largest; of the alpha if that has a shape (it is not the same everywhere), else of the brightest
 * colour. The engine has the same rule for a video's mask prompts (`object_in_mask_picture`).
 */
export function bitsOfPicture(
  rgba: Uint8ClampedArray,
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> {
  const alpha = rgba[3] ?? 0;
  let shaped = false;
  for (let i = 7; i < rgba.length && !shaped; i += 4) shaped = rgba[i] !== alpha;
  const bits = new Uint8Array(byteCount(width, height));
  if (!shaped && alpha === 0) return bits;
  // The alpha three times, or the three colours.
  const [r, g, b] = shaped ? [3, 3, 3] : [0, 1, 2];
  let largest = 0;
  for (let i = 0; i < rgba.length && largest < 255; i += 4)
    largest = Math.max(largest, rgba[i + r] ?? 0, rgba[i + g] ?? 0, rgba[i + b] ?? 0);
  if (largest === 0) return bits;
  const least = Math.ceil(largest / 2);
  for (let byte = 0, i = 0; byte < bits.length; byte++) {
    let set = 0;
    for (let bit = 1; bit < 256; bit <<= 1, i += 4) {
      if ((rgba[i + r] ?? 0) >= least || (rgba[i + g] ?? 0) >= least || (rgba[i + b] ?? 0) >= least)
        set |= bit;
    }
    bits[byte] = set;
  }
  return bits;
}
