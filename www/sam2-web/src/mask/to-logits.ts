import { forEachRun } from "./runs.js";

/** What is fully on the object, or off it, as a logit (`SAM2Base._use_mask_as_output`: 20 times the mask, less 10). */
const SURE = 10;

/** The mask as logits of a square that the picture is stretched to: by how much of each of its pixels is set. */
export function toLogits(
  bits: Uint8Array,
  width: number,
  height: number,
  side: number,
): Float32Array<ArrayBuffer> {
  const logits = new Float32Array(side * side).fill(-SURE);
  forEachRun(bits, width, height, (y, from, end) => {
    const [left, right] = [(from * side) / width, (end * side) / width];
    const [top, bottom] = [(y * side) / height, ((y + 1) * side) / height];
    for (let row = Math.floor(top); row < bottom; row++) {
      const rise = Math.min(row + 1, bottom) - Math.max(row, top);
      for (let column = Math.floor(left); column < right; column++) {
        const at = row * side + column;
        const share = rise * (Math.min(column + 1, right) - Math.max(column, left));
        logits[at] = (logits[at] ?? 0) + 2 * SURE * share;
      }
    }
  });
  return logits;
}
