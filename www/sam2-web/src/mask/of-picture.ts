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
  const value = (i: number) =>
    shaped ? (rgba[i + 3] ?? 0) : Math.max(rgba[i] ?? 0, rgba[i + 1] ?? 0, rgba[i + 2] ?? 0);
  let largest = 0;
  for (let i = 0; i < rgba.length && largest < 255; i += 4) largest = Math.max(largest, value(i));
  if (largest === 0) return bits;
  for (let pixel = 0; pixel < width * height; pixel++) {
    if (2 * value(4 * pixel) >= largest) bits[pixel >> 3] = (bits[pixel >> 3] ?? 0) | (1 << (pixel & 7));
  }
  return bits;
}
