import { byteCount, setRun } from "./mask/bits.js";
import { forEachRun } from "./mask/runs.js";
import type { Box } from "./mask/types.js";
import type { Part } from "./mask/upscale.js";
import type { RawPicture } from "./protocol.js";

/** The part's side, as a multiple of the object's longer side. */
const CONTEXT = 2;

/**
 * A square around an object's box, or what of it fits into the picture, moved so that it lies inside. Its side is at least half
 * of the network's `imageSize`, as smaller parts would only be enlarged. (`part_around` of the crate `sam2-predict`.)
 */
export function partAround(
  [x0, y0, x1, y1]: Box,
  { width, height }: { width: number; height: number },
  imageSize: number,
): Part {
  const side = Math.max(CONTEXT * Math.max(x1 + 1 - x0, y1 + 1 - y0), Math.floor(imageSize / 2));
  const along = (low: number, end: number, size: number) => {
    const length = Math.min(side, size);
    const first = Math.max(Math.floor((low + end) / 2) - Math.floor(length / 2), 0);
    const from = Math.min(first, size - length);
    return [from, from + length] as const;
  };
  const [left, right] = along(x0, x1 + 1, width);
  const [top, bottom] = along(y0, y1 + 1, height);
  return { left, top, right, bottom };
}

/** A part's pixels. */
export function cropPixels({ data, width }: RawPicture, { left, top, right, bottom }: Part): RawPicture {
  const part = new Uint8ClampedArray((right - left) * (bottom - top) * 4);
  for (let y = top; y < bottom; y++) {
    const row = data.subarray((y * width + left) * 4, (y * width + right) * 4);
    part.set(row, (y - top) * (right - left) * 4);
  }
  return { data: part, width: right - left, height: bottom - top };
}

/** A part of a mask's bits. */
export function cropBits(
  bits: Uint8Array,
  { width, height }: { width: number; height: number },
  { left, top, right, bottom }: Part,
): Uint8Array {
  const across = right - left;
  const part = new Uint8Array(byteCount(across, bottom - top));
  forEachRun(bits, width, height, (y, from, end) => {
    if (y < top || y >= bottom) return;
    const row = (y - top) * across - left;
    setRun(part, row + Math.max(from, left), row + Math.min(end, right));
  });
  return part;
}
