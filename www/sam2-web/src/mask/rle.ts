// COCO's run-length encoding (cocoapi, maskApi.c): lengths of runs down the columns, from left to right, the first of
// pixels that are not set.

import { Sam2Error } from "../errors.js";
import { byteAt, byteCount, clearTail, isSet, nextSet, setRun } from "./bits.js";

/** As text: lengths in digits of five bits, lowest first, with 32 for "goes on", from "0" up. */
const [FIRST_CHARACTER, GOES_ON, SIGN] = [48, 32, 16];
/** Five bits each; a length, or the difference of two, of a mask that is not too large has no more. */
const MOST_DIGITS = 6;

/** The lengths of a mask's runs. */
export function toCounts(bits: Uint8Array, width: number, height: number): Uint32Array {
  const pixels = width * height;
  // Where a column changes: each pixel against the one above. All but the first row at once, as one long shift.
  const changes = new Uint8Array(bits.length);
  for (let i = width >> 3; i < bits.length; i++) changes[i] = (bits[i] ?? 0) ^ byteAt(bits, i * 8 - width);
  clearTail(changes, pixels);
  // The first pixel of a column is against the last of the column before.
  const atTop: number[] = [];
  for (let x = 0; x < width; x++) {
    if (isSet(bits, x) !== (x > 0 && isSet(bits, pixels - width + x - 1))) atTop.push(x);
  }

  // Sorted by columns: how many each has, where each begins, and the changes to their places.
  const next = new Uint32Array(width + 1);
  const countOne = (x: number) => {
    next[x + 1] = (next[x + 1] ?? 0) + 1;
  };
  atTop.forEach(countOne);
  forEachSet(changes, width, pixels, (i) => countOne(i % width));
  for (let x = 0; x < width; x++) next[x + 1] = (next[x + 1] ?? 0) + (next[x] ?? 0);
  const positions = new Uint32Array(next[width] ?? 0);
  const place = (x: number, y: number) => {
    const at = next[x] ?? 0;
    positions[at] = x * height + y;
    next[x] = at + 1;
  };
  for (const x of atTop) place(x, 0);
  forEachSet(changes, width, pixels, (i) => place(i % width, Math.floor(i / width)));

  const counts = new Uint32Array(positions.length + 1);
  let before = 0;
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i] ?? 0;
    counts[i] = position - before;
    before = position;
  }
  counts[positions.length] = pixels - before;
  return counts;
}

/** The bits of a mask whose runs have these lengths. */
export function fromCounts(
  counts: ArrayLike<number>,
  width: number,
  height: number,
): Uint8Array<ArrayBuffer> {
  checkCounts(counts, width, height);
  const pixels = width * height;
  const bits = new Uint8Array(byteCount(width, height));
  const change = (position: number) => {
    const y = position % height;
    if (y && position < pixels) flip(bits, y * width + (position - y) / height);
  };
  let at = 0;
  for (let run = 0; run < counts.length; run++) {
    const end = at + (counts[run] ?? 0);
    if (run % 2 && end > at) {
      setRun(bits, Math.ceil(at / height), Math.ceil(end / height)); // in the first row
      change(at);
      change(end);
    }
    at = end;
  }
  // Each pixel is the one above, or the opposite where the column changes.
  if (width < 8) {
    for (let i = width; i < pixels; i++) if (isSet(bits, i - width)) flip(bits, i);
  } else {
    for (let i = width >> 3; i < bits.length; i++) bits[i] = (bits[i] ?? 0) ^ byteAt(bits, i * 8 - width);
    clearTail(bits, pixels);
  }
  return bits;
}

/** The lengths as COCO's text; from the fourth on, each is the difference to the one two before. */
export function compress(counts: Uint32Array): string {
  const text = new Uint8Array(MOST_DIGITS * counts.length);
  let at = 0;
  for (let i = 0; i < counts.length; i++) {
    let rest = (counts[i] ?? 0) - (i > 2 ? (counts[i - 2] ?? 0) : 0);
    for (let more = true; more; ) {
      const digit = rest & 31;
      rest >>= 5;
      more = digit & SIGN ? rest !== -1 : rest !== 0;
      text[at++] = (more ? digit | GOES_ON : digit) + FIRST_CHARACTER;
    }
  }
  return new TextDecoder().decode(text.subarray(0, at));
}

export function decompress(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    let digit = GOES_ON;
    for (let digits = 0; digit & GOES_ON; digits++) {
      if (at === text.length) fail("the text ends within a number");
      digit = text.charCodeAt(at) - FIRST_CHARACTER;
      if (!(digit >= 0 && digit < 64)) fail(`"${text[at]}" is none of its characters`);
      if (digits === MOST_DIGITS) fail("a number is too long");
      value |= (digit & 31) << (5 * digits);
      if (!(digit & GOES_ON) && digit & SIGN) value |= -1 << (5 * (digits + 1));
      at++;
    }
    counts.push(counts.length > 2 ? value + (counts[counts.length - 2] ?? 0) : value);
  }
  return counts;
}

function checkCounts(counts: ArrayLike<number>, width: number, height: number): void {
  let sum = 0;
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i];
    if (typeof count !== "number" || !Number.isInteger(count) || count < 0)
      fail(`a run's length is ${count}`);
    sum += count;
  }
  if (sum !== width * height)
    fail(`its runs add up to ${sum} pixels, and its size of ${width} x ${height} asks for ${width * height}`);
}

function flip(bits: Uint8Array, pixel: number): void {
  bits[pixel >> 3] = (bits[pixel >> 3] ?? 0) ^ (1 << (pixel & 7));
}

function forEachSet(bits: Uint8Array, from: number, end: number, visit: (pixel: number) => void): void {
  for (let i = nextSet(bits, from, end); i < end; i = nextSet(bits, i + 1, end)) visit(i);
}

function fail(reason: string): never {
  throw new Sam2Error(
    "INVALID_MASK",
    `This is no run-length encoding as COCO has it: ${reason}. size is [height, width]; counts is COCO's text, or the ` +
      "lengths of the runs, the first of pixels that are not set.",
  );
}
