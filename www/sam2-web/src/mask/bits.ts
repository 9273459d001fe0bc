// A mask's pixels as bits: pixel i, counted row by row, is (bits[i >> 3] >> (i & 7)) & 1.

const SET_IN_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  let set = 0;
  for (let rest = byte; rest; rest &= rest - 1) set++;
  return set;
});

export function byteCount(width: number, height: number): number {
  return Math.ceil((width * height) / 8);
}

export function isSet(bits: Uint8Array, pixel: number): boolean {
  return (((bits[pixel >> 3] ?? 0) >> (pixel & 7)) & 1) === 1;
}

/** Sets the pixels from `from` up to, but without, `end`. */
export function setRun(bits: Uint8Array, from: number, end: number): void {
  if (from >= end) return;
  const [first, last] = [from >> 3, (end - 1) >> 3];
  const head = 0xff << (from & 7);
  const tail = 0xff >> (7 - ((end - 1) & 7));
  if (first === last) {
    bits[first] = (bits[first] ?? 0) | (head & tail);
    return;
  }
  bits[first] = (bits[first] ?? 0) | head;
  bits.fill(0xff, first + 1, last);
  bits[last] = (bits[last] ?? 0) | tail;
}

/** The first set pixel from `from` on, or `end`. */
export function nextSet(bits: Uint8Array, from: number, end: number): number {
  return next(bits, from, end, 0);
}

/** The first pixel from `from` on that is not set, or `end`. */
export function nextUnset(bits: Uint8Array, from: number, end: number): number {
  return next(bits, from, end, 0xff);
}

function next(bits: Uint8Array, from: number, end: number, skipped: 0 | 0xff): number {
  if (from >= end) return end;
  let at = from >> 3;
  let found = ((bits[at] ?? 0) ^ skipped) & (0xff << (from & 7));
  const last = (end - 1) >> 3;
  while (!(found & 0xff) && at < last) found = (bits[++at] ?? 0) ^ skipped;
  found &= 0xff;
  if (!found) return end;
  return Math.min(at * 8 + 31 - Math.clz32(found & -found), end);
}

/** How many of the first `pixels` are set. */
export function countSet(bits: Uint8Array, pixels: number): number {
  const whole = pixels >> 3;
  let count = 0;
  for (let i = 0; i < whole; i++) count += SET_IN_BYTE[bits[i] ?? 0] ?? 0;
  const rest = pixels & 7;
  return rest ? count + (SET_IN_BYTE[(bits[whole] ?? 0) & (0xff >> (8 - rest))] ?? 0) : count;
}

/** Unsets what the last byte has beyond the last pixel. */
export function clearTail(bits: Uint8Array, pixels: number): void {
  const rest = pixels & 7;
  if (rest) bits[pixels >> 3] = (bits[pixels >> 3] ?? 0) & (0xff >> (8 - rest));
}

/** The eight bits from pixel `from` on, which may be less than 0: those before the first are 0. */
export function byteAt(bits: Uint8Array, from: number): number {
  const shift = from & 7;
  const at = from >> 3;
  const low = bits[at] ?? 0;
  return shift ? ((low >> shift) | ((bits[at + 1] ?? 0) << (8 - shift))) & 0xff : low;
}

export function and(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length);
  for (let i = 0; i < a.length; i++) both[i] = (a[i] ?? 0) & (b[i] ?? 0);
  return both;
}

export function or(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const either = new Uint8Array(a.length);
  for (let i = 0; i < a.length; i++) either[i] = (a[i] ?? 0) | (b[i] ?? 0);
  return either;
}

/** Of `pixels` bits. */
export function not(bits: Uint8Array, pixels: number): Uint8Array<ArrayBuffer> {
  const inverse = new Uint8Array(bits.length);
  for (let i = 0; i < bits.length; i++) inverse[i] = ~(bits[i] ?? 0);
  clearTail(inverse, pixels);
  return inverse;
}
