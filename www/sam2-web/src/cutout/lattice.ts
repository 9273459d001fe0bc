import type { Part } from "../mask/upscale.js";

export interface Size {
  width: number;
  height: number;
}

/** Points along a picture's row or column: the `i`th is at pixel `start + i * step`, which need not be whole. */
interface Axis {
  start: number;
  step: number;
  count: number;
}

/** Points of a picture at which something is known: planes of values, row by row. */
export interface Lattice {
  across: Axis;
  down: Axis;
}

/** `part` in squares of `side` pixels, or what of them is in it. */
export function* tilesOf({ left, top, right, bottom }: Part, side: number): Generator<Part> {
  for (let y = top; y < bottom; y += side) {
    for (let x = left; x < right; x += side)
      yield { left: x, top: y, right: Math.min(x + side, right), bottom: Math.min(y + side, bottom) };
  }
}

/** Every `step`th pixel of a picture, by which those of `part` are interpolated, and those up to `reach` pixels around. */
export function everyNth({ width, height }: Size, part: Part, reach: number, step: number): Lattice {
  const first = Math.min(step >> 1, width - 1, height - 1);
  const along = (from: number, end: number, size: number): Axis => {
    const last = Math.floor((size - 1 - first) / step);
    const low = Math.min(Math.max(Math.floor((from - reach - first) / step), 0), last);
    const high = Math.max(Math.min(Math.ceil((end - 1 + reach - first) / step), last), low);
    return { start: first + low * step, step, count: high - low + 1 };
  };
  return { across: along(part.left, part.right, width), down: along(part.top, part.bottom, height) };
}

/** The middles of a plane's values where the plane is stretched over a part of a picture. */
export function stretchedOver({ left, top, right, bottom }: Part, plane: Size): Lattice {
  const along = (from: number, end: number, count: number): Axis => {
    const step = (end - from) / count;
    return { start: from + step / 2 - 0.5, step, count };
  };
  return { across: along(left, right, plane.width), down: along(top, bottom, plane.height) };
}

/**
 * Interpolates planes on a lattice, bilinear, a row of pixels at a time. Beyond the outermost points a plane is as there.
 */
export class Interpolation {
  readonly #lattice: Lattice;
  readonly #low: Int32Array;
  readonly #ofHigh: Float32Array;
  readonly #line: Float64Array;

  /** At `count` pixels of a row: every `step`th from the column `left` on. */
  constructor(lattice: Lattice, left: number, count: number, step = 1) {
    this.#lattice = lattice;
    this.#low = new Int32Array(count);
    this.#ofHigh = new Float32Array(count);
    this.#line = new Float64Array(lattice.across.count + 1);
    for (let i = 0; i < count; i++) {
      const [low, ofHigh] = between(lattice.across, left + i * step);
      this.#low[i] = low;
      this.#ofHigh[i] = ofHigh;
    }
  }

  /** The `from`th of the pixels to before the `end`th, in the picture's row `y`. */
  row(plane: Float32Array, y: number, to: Float32Array, from = 0, end = this.#low.length): void {
    if (from >= end) return;
    const { across, down } = this.#lattice;
    const [low, ofLower] = between(down, y);
    const upper = low * across.count;
    const lower = Math.min(low + 1, down.count - 1) * across.count;
    const [line, lows, shares] = [this.#line, this.#low, this.#ofHigh];
    const last = (lows[end - 1] as number) + 1;
    // The plane's row between its rows, first, as it has fewer points than the picture. Its end is there twice.
    for (let i = lows[from] as number; i < across.count && i <= last; i++)
      line[i] = (plane[upper + i] as number) * (1 - ofLower) + (plane[lower + i] as number) * ofLower;
    line[across.count] = line[across.count - 1] as number;
    for (let i = from; i < end; i++) {
      const left = line[lows[i] as number] as number;
      to[i] = left + ((line[(lows[i] as number) + 1] as number) - left) * (shares[i] as number);
    }
  }
}

/** The values of a plane on one lattice at the points of another. */
export function resample(plane: Float32Array, of: Lattice, { across, down }: Lattice): Float32Array {
  const values = new Float32Array(across.count * down.count);
  const interpolation = new Interpolation(of, across.start, across.count, across.step);
  for (let i = 0; i < down.count; i++) {
    const row = values.subarray(i * across.count, (i + 1) * across.count);
    interpolation.row(plane, down.start + i * down.step, row);
  }
  return values;
}

function between({ start, step, count }: Axis, at: number): [low: number, ofHigh: number] {
  const position = Math.min(Math.max((at - start) / step, 0), count - 1);
  const low = Math.floor(position);
  return [low, position - low];
}
