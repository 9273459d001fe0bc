// COCO's compressed run-length form of a mask, as `Mask.toRle` gives it: columns from left to right, each from top to
// bottom, as lengths of runs, the first of which is off.

/** Width and height in pixels. */
export interface Size {
  width: number;
  height: number;
}

/**
 * Lengths of the runs. The text holds each in groups of five bits, lowest first, with 32 for "goes on", from "0" up;
 * from the fourth on, a length is the difference to the one two before (pycocotools' `rleFrString`).
 */
export function runs(counts: string): number[] {
  const lengths: number[] = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let group: number;
    do {
      group = counts.charCodeAt(at++) - 48;
      value |= (group & 31) << shift;
      shift += 5;
    } while (group & 32);
    if (group & 16 && shift < 32) value |= -1 << shift; // negative
    if (lengths.length > 2) value += lengths.at(-2) ?? 0;
    lengths.push(value);
  }
  return lengths;
}

/** The mask as a picture, `on` where it is set and `off` elsewhere, as four bytes each. */
export function toImage(
  counts: string,
  { width, height }: Size,
  on: readonly number[] = [255, 255, 255, 255],
  off: readonly number[] = [0, 0, 0, 0],
): ImageData {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const [set = 0, unset = 0] = new Uint32Array(new Uint8Array([...on, ...off]).buffer);
  if (unset) pixels.fill(unset);
  let x = 0;
  let y = 0;
  let isOn = false;
  for (let length of runs(counts)) {
    while (length > 0 && x < width) {
      const end = Math.min(y + length, height);
      if (isOn) for (let i = y * width + x; i < end * width; i += width) pixels[i] = set;
      length -= end - y;
      y = end;
      if (y === height) {
        y = 0;
        x++;
      }
    }
    isOn = !isOn;
  }
  return image;
}

/** Pixels set, and the box around them as COCO has it: `[left, top, width, height]`, all 0 for an empty mask. */
export function measure(
  counts: string,
  { height }: Size,
): { area: number; bbox: [number, number, number, number] } {
  let area = 0;
  let [left, top, right, bottom] = [Number.POSITIVE_INFINITY, height, -1, -1];
  let position = 0;
  for (const [index, length] of runs(counts).entries()) {
    if (index % 2 && length) {
      const last = position + length - 1;
      const [x0, x1] = [Math.floor(position / height), Math.floor(last / height)];
      area += length;
      left = Math.min(left, x0);
      right = Math.max(right, x1);
      // A run that goes on in the next column touches both edges.
      top = x0 === x1 ? Math.min(top, position % height) : 0;
      bottom = x0 === x1 ? Math.max(bottom, last % height) : height - 1;
    }
    position += length;
  }
  return { area, bbox: area ? [left, top, right - left + 1, bottom - top + 1] : [0, 0, 0, 0] };
}
