import { byteCount } from "./bits.js";
import { runsOf, setRow } from "./runs.js";

/** The largest part whose pixels are joined at edges or corners; of equals, the first from the top left. */
export function largestComponent(bits: Uint8Array, width: number, height: number): Uint8Array<ArrayBuffer> {
  const { ends, rowStart } = runsOf(bits, width, height);
  // Runs of neighbouring rows that touch are of one part; a part is known by its first run.
  const parent = Int32Array.from({ length: ends.length / 2 }, (_, run) => run);
  const root = (run: number) => {
    let at = run;
    for (let up = parent[at] ?? at; up !== at; up = parent[at] ?? at) {
      parent[at] = parent[up] ?? up;
      at = up;
    }
    return at;
  };
  for (let y = 1; y < height; y++) {
    const [start, middle, end] = [rowStart[y - 1] ?? 0, rowStart[y] ?? 0, rowStart[y + 1] ?? 0];
    for (let above = start, below = middle; above < middle && below < end; ) {
      const [endAbove, endBelow] = [ends[2 * above + 1] ?? 0, ends[2 * below + 1] ?? 0];
      if ((ends[2 * above] ?? 0) <= endBelow && (ends[2 * below] ?? 0) <= endAbove) {
        const [a, b] = [root(above), root(below)];
        parent[Math.max(a, b)] = Math.min(a, b);
      }
      if (endAbove < endBelow) above++;
      else below++;
    }
  }

  const area = new Float64Array(parent.length);
  let largest = 0;
  for (let run = 0; run < parent.length; run++) {
    const part = root(run);
    area[part] = (area[part] ?? 0) + (ends[2 * run + 1] ?? 0) - (ends[2 * run] ?? 0);
  }
  for (let part = 1; part < area.length; part++) {
    if ((area[part] ?? 0) > (area[largest] ?? 0)) largest = part;
  }
  const found = new Uint8Array(byteCount(width, height));
  for (let y = 0; y < height; y++) {
    for (let run = rowStart[y] ?? 0; run < (rowStart[y + 1] ?? 0); run++) {
      if (root(run) === largest) setRow(found, width, y, ends[2 * run] ?? 0, ends[2 * run + 1] ?? 0);
    }
  }
  return found;
}
