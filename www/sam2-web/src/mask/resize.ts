import { byteCount } from "./bits.js";
import { runsOf, setRow } from "./runs.js";

interface Size {
  width: number;
  height: number;
}

/** Each new pixel is the old one that its middle lies in, as Pillow's `NEAREST`. */
export function resize(bits: Uint8Array, from: Size, to: Size): Uint8Array<ArrayBuffer> {
  const { ends, rowStart } = runsOf(bits, from.width, from.height);
  const resized = new Uint8Array(byteCount(to.width, to.height));
  // The first new column whose middle, (2 x + 1) / 2 columns of the new width, is not left of the old column.
  const column = (old: number) => Math.ceil((2 * old * to.width - from.width) / (2 * from.width));
  for (let y = 0; y < to.height; y++) {
    const row = Math.floor(((2 * y + 1) * from.height) / (2 * to.height));
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      setRow(resized, to.width, y, column(ends[2 * run] ?? 0), column(ends[2 * run + 1] ?? 0));
    }
  }
  return resized;
}
