import { setRun } from "./bits.js";

/** Low-resolution logits; above 0 is the object. */
export interface LowRes {
  /** Row by row. */
  values: Float32Array;
  width: number;
  height: number;
  /** The part of the picture that they are stretched over, if that is not the whole of it. */
  part?: Part;
}

/** Columns from `left` to before `right`, rows from `top` to before `bottom`. */
export interface Part {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Rounding moves an interpolated value by no more than this part of the largest value that it is made of. */
const ROUNDING = 8 * 2 ** -23;

/** The two values that a pixel is made of along one axis, and how much of each. */
interface Taps {
  low: Uint32Array;
  high: Uint32Array;
  ofLow: Float32Array;
  ofHigh: Float32Array;
}

const ABOVE = 0;
const BELOW = 1;
const MIXED = 2;

/**
 * Which pixels of `part` are above `threshold` where the logits are enlarged to `width` x `height`, bilinear with corners
 * not aligned: one bit a pixel of the part, row by row, the first in the lowest bit. Interpolated values lie between the
 * four that they are made of, so only where these fall on both sides is a pixel looked at. In the arithmetic of the
 * engine, bit for bit (`bilinear_above` of its crate for resampling).
 */
export function bitsAbove(
  { values, width: fromWidth, height: fromHeight }: LowRes,
  { width, height }: { width: number; height: number },
  part: Part,
  threshold: number,
): Uint8Array {
  const columns = taps(fromWidth, width, part.left, part.right);
  const rows = taps(fromHeight, height, part.top, part.bottom);
  const across = part.right - part.left;
  const down = part.bottom - part.top;
  const bits = new Uint8Array(Math.ceil((across * down) / 8));
  const cells = runsOfEqual(columns.low);
  const bands = runsOfEqual(rows.low);
  // Neighbouring cells of a kind together.
  const starts = new Uint32Array(cells.length);
  const kinds = new Uint8Array(cells.length);
  const upper = new Float32Array(across);
  const lower = new Float32Array(across);
  for (let band = 0; band + 1 < bands.length; band++) {
    const first = bands[band] as number;
    const up = (rows.low[first] as number) * fromWidth;
    const down = (rows.high[first] as number) * fromWidth;
    let spans = 0;
    for (let cell = 0; cell + 1 < cells.length; cell++) {
      const start = cells[cell] as number;
      const left = columns.low[start] as number;
      const right = columns.high[start] as number;
      const kind = kindOf(
        values[up + left] as number,
        values[up + right] as number,
        values[down + left] as number,
        values[down + right] as number,
        threshold,
      );
      if (kind === MIXED) {
        const end = cells[cell + 1] as number;
        stretch(values, up, columns, start, end, upper);
        stretch(values, down, columns, start, end, lower);
      }
      if (spans > 0 && kinds[spans - 1] === kind) continue;
      starts[spans] = start;
      kinds[spans++] = kind;
    }
    starts[spans] = across;
    for (let y = first; y < (bands[band + 1] as number); y++) {
      const ofUpper = rows.ofLow[y] as number;
      const ofLower = rows.ofHigh[y] as number;
      for (let span = 0; span < spans; span++) {
        const kind = kinds[span];
        if (kind === BELOW) continue;
        const start = starts[span] as number;
        const end = starts[span + 1] as number;
        if (kind === ABOVE) setRun(bits, y * across + start, y * across + end);
        else setAbove(bits, y * across, start, end, upper, ofUpper, lower, ofLower, threshold);
      }
    }
  }
  return bits;
}

function taps(input: number, output: number, from: number, to: number): Taps {
  const count = to - from;
  const made = {
    low: new Uint32Array(count),
    high: new Uint32Array(count),
    ofLow: new Float32Array(count),
    ofHigh: new Float32Array(count),
  };
  const scale = Math.fround(input / output);
  for (let i = 0; i < count; i++) {
    const position = Math.max(0, Math.fround(Math.fround(scale * Math.fround(from + i + 0.5)) - 0.5));
    const low = Math.min(Math.floor(position), input - 1);
    const ofHigh = Math.fround(position - low);
    made.low[i] = low;
    made.high[i] = Math.min(low + 1, input - 1);
    made.ofHigh[i] = ofHigh;
    made.ofLow[i] = Math.fround(1 - ofHigh);
  }
  return made;
}

/** Where runs of equal values begin, and the end of the last one. */
function runsOfEqual(values: Uint32Array): number[] {
  const starts: number[] = [];
  for (let i = 0; i < values.length; i++) if (i === 0 || values[i] !== values[i - 1]) starts.push(i);
  starts.push(values.length);
  return starts;
}

/** What is known of the pixels between four values. What is not a number is on neither side. */
function kindOf(a: number, b: number, c: number, d: number, threshold: number): number {
  const rounding = ROUNDING * Math.max(Math.abs(a), Math.abs(b), Math.abs(c), Math.abs(d));
  if (Math.min(a, b, c, d) - rounding > threshold) return ABOVE;
  if (Math.max(a, b, c, d) + rounding < threshold) return BELOW;
  return MIXED;
}

/** Pixels `start` to before `end` of an enlarged row whose values begin at `row`. */
function stretch(
  values: Float32Array,
  row: number,
  { low, high, ofLow, ofHigh }: Taps,
  start: number,
  end: number,
  to: Float32Array,
): void {
  for (let x = start; x < end; x++) {
    const left = values[row + (low[x] as number)] as number;
    const right = values[row + (high[x] as number)] as number;
    to[x] = Math.fround(left * (ofLow[x] as number)) + Math.fround(right * (ofHigh[x] as number));
  }
}

/** Compares pixels `start` to before `end` of the row whose bits begin at `row`. */
function setAbove(
  bits: Uint8Array,
  row: number,
  start: number,
  end: number,
  upper: Float32Array,
  ofUpper: number,
  lower: Float32Array,
  ofLower: number,
  threshold: number,
): void {
  const { fround } = Math;
  for (let x = start; x < end; x++) {
    const value = fround(fround((upper[x] as number) * ofUpper) + fround((lower[x] as number) * ofLower));
    if (!(value > threshold)) continue;
    const pixel = row + x;
    bits[pixel >> 3] = (bits[pixel >> 3] as number) | (1 << (pixel & 7));
  }
}
