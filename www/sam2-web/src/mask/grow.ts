import { byteCount } from "./bits.js";
import { runsOf, setRow } from "./runs.js";

/**
 * The pixels whose middle is within `radius` of the middle of a set one: each pixel becomes a disc. A disc is a run in each
 * of its rows, so a row is the union of the runs around it, each longer at both ends by what the disc has there.
 */
export function grow(
  bits: Uint8Array,
  width: number,
  height: number,
  radius: number,
): Uint8Array<ArrayBuffer> {
  const { ends, rowStart } = runsOf(bits, width, height);
  const grown = new Uint8Array(byteCount(width, height));
  const rows = Math.min(Math.floor(radius), height);
  /** How many runs begin, less how many end, at each column. */
  const steps = new Int32Array(width + 1);
  for (let y = 0; y < height; y++) {
    let [left, right] = [width, 0];
    for (let near = Math.max(y - rows, 0); near <= Math.min(y + rows, height - 1); near++) {
      // A radius such as the root of 13, squared, falls short of it.
      const more = Math.floor(Math.sqrt(radius * radius - (near - y) * (near - y)) + 1e-9);
      const last = 2 * (rowStart[near + 1] ?? 0);
      for (let i = 2 * (rowStart[near] ?? 0); i < last; i += 2) {
        const from = Math.max((ends[i] ?? 0) - more, 0);
        const end = Math.min((ends[i + 1] ?? 0) + more, width);
        steps[from] = (steps[from] ?? 0) + 1;
        steps[end] = (steps[end] ?? 0) - 1;
        if (from < left) left = from;
        if (end > right) right = end;
      }
    }
    for (let x = left, inside = 0, from = 0; x <= right; x++) {
      const step = steps[x] ?? 0;
      if (step === 0) continue;
      if (inside === 0) from = x;
      inside += step;
      if (inside === 0) setRow(grown, width, y, from, x);
      steps[x] = 0;
    }
  }
  return grown;
}
