import { nextSet, nextUnset, setRun } from "./bits.js";

/**
 * A mask's runs of set pixels, row by row: run `i` covers the columns from `ends[2 * i]` up to, but without,
 * `ends[2 * i + 1]`. The runs of row `y` are `rowStart[y]` to `rowStart[y + 1]`.
 */
export interface Runs {
  ends: Int32Array;
  rowStart: Int32Array;
}

export function forEachRun(
  bits: Uint8Array,
  width: number,
  height: number,
  visit: (y: number, from: number, end: number) => void,
): void {
  const pixels = width * height;
  let at = nextSet(bits, 0, pixels);
  while (at < pixels) {
    const y = Math.floor(at / width);
    const row = y * width;
    const rowEnd = row + width;
    while (at < rowEnd) {
      const end = nextUnset(bits, at, rowEnd);
      visit(y, at - row, end - row);
      at = nextSet(bits, end, rowEnd);
    }
    at = nextSet(bits, rowEnd, pixels);
  }
}

export function runsOf(bits: Uint8Array, width: number, height: number): Runs {
  let ends = new Int32Array(4 * height);
  let count = 0;
  const rowStart = new Int32Array(height + 1);
  forEachRun(bits, width, height, (y, from, end) => {
    if (2 * count === ends.length) {
      const longer = new Int32Array(2 * ends.length);
      longer.set(ends);
      ends = longer;
    }
    ends[2 * count] = from;
    ends[2 * count + 1] = end;
    count++;
    rowStart[y + 1] = count;
  });
  // Rows without runs begin where the next one does.
  for (let y = 1; y <= height; y++) rowStart[y] = Math.max(rowStart[y] ?? 0, rowStart[y - 1] ?? 0);
  return { ends: ends.subarray(0, 2 * count), rowStart };
}

export function setRow(bits: Uint8Array, width: number, y: number, from: number, end: number): void {
  setRun(bits, y * width + from, y * width + end);
}
