import { isSet, nextSet, nextUnset } from "../mask/bits.js";
import type { Part } from "../mask/upscale.js";
import type { RawPicture } from "../protocol.js";
import type { Edge } from "./cut.js";
import { SOME_SET, SOME_UNSET, signedDistance } from "./distance.js";
import { type Colours, GuidedFilter, type Linear } from "./guided-filter.js";
import {
  everyNth,
  Interpolation,
  type Lattice,
  resample,
  type Size,
  stretchedOver,
  tilesOf,
} from "./lattice.js";

/** The guided filter's penalty, for colours from 0 to 1. Larger values lose thin hair, smaller ones follow noise. */
const EPSILON = 1e-4;
/** The filter's output is its next input: a mask that is off by some pixels is drawn to the edge that the colours show. */
const PASSES = 3;
/** Least squares of a mask that is off give values too close to the middle. */
const CONTRAST = 1.3;
/** Where the colours explain less of the mask than this, its own edge counts as well. */
const ENOUGH_EXPLAINED = 0.3;
/** A window's radius in points that the filter looks at. */
const WINDOW = 4;
/** A tile's side, in such points. */
const TILE = 256;

/**
 * The opacity of the object in `part` of the picture, 0 to 255, row by row: the mask, and in a band round its edge what the
 * guided filter makes of its logits by the picture's colours.
 *
 * @param bits - the mask, of the picture's size.
 */
export function matte(
  picture: RawPicture,
  bits: Uint8Array,
  edge: Edge,
  part: Part,
): Uint8Array<ArrayBuffer> {
  const { logits, radius } = edge;
  const whole = { left: 0, top: 0, right: picture.width, bottom: picture.height };
  const ofLogits = stretchedOver(logits.part ?? whole, logits);
  const step = Math.max(1, Math.floor(radius / WINDOW));
  const window = Math.max(1, Math.round(radius / step));
  // In steps. A pixel is up to half a diagonal from its cell's middle, and interpolation is off by up to half a step.
  const limit = radius / step - (Math.SQRT1_2 + 0.5) * (1 - 1 / step);
  const reach = PASSES * (2 * window + 1) * step;
  const columns = part.right - part.left;
  const alpha = new Uint8Array(columns * (part.bottom - part.top));
  for (const tile of tilesOf(part, Math.max(TILE, 4 * window) * step)) {
    const all = allOrNone(bits, picture, tile, radius + 2 * step);
    if (all !== undefined) {
      for (let y = tile.top; all && y < tile.bottom; y++) {
        const row = (y - part.top) * columns - part.left;
        alpha.fill(255, row + tile.left, row + tile.right);
      }
      continue;
    }
    const lattice = everyNth(picture, tile, reach, step);
    const values = resample(logits.values, ofLogits, lattice);
    const { across, down } = lattice;
    const kinds = kindsOf(bits, picture, lattice);
    const distance = signedDistance(kinds, across.count, down.count, Math.ceil(limit) + 1);
    const linear = filter(coloursAt(picture, lattice), values, distance, lattice, window, limit);
    paint(picture, bits, { linear, distance, lattice, limit }, edge.strength, tile, alpha, part);
  }
  return alpha;
}

/** Whether all pixels of a tile and up to `reach` around are set, or none; undefined where some are. */
function allOrNone(bits: Uint8Array, { width, height }: Size, tile: Part, reach: number) {
  const [left, right] = [Math.max(Math.floor(tile.left - reach), 0), Math.min(tile.right + reach, width)];
  const [top, bottom] = [Math.max(Math.floor(tile.top - reach), 0), Math.min(tile.bottom + reach, height)];
  const all = isSet(bits, top * width + left);
  const next = all ? nextUnset : nextSet;
  for (let y = top; y < bottom; y++) {
    const end = y * width + Math.ceil(right);
    if (next(bits, y * width + left, end) !== end) return undefined;
  }
  return all;
}

/** What of the mask is in the cell round each point of a lattice. What remains at the picture's end is the last cells'. */
function kindsOf(bits: Uint8Array, { width, height }: Size, { across, down }: Lattice): Uint8Array {
  const kinds = new Uint8Array(across.count * down.count);
  const { step } = across;
  const half = Math.min(step >> 1, width - 1, height - 1);
  const endOf = ({ start, count }: Lattice["across"], size: number) =>
    start + count * step < size ? start - half + count * step : size;
  const [left, right] = [across.start - half, endOf(across, width)];
  const bottom = endOf(down, height);
  const cellOf = (pixel: number, start: number, count: number) =>
    Math.min(Math.floor((pixel - start) / step), count - 1);
  for (let y = down.start - half; y < bottom; y++) {
    const to = cellOf(y, down.start - half, down.count) * across.count;
    for (let x = left, end = left; x < right; x = end) {
      const set = isSet(bits, y * width + x);
      end = (set ? nextUnset : nextSet)(bits, y * width + x, y * width + right) - y * width;
      const last = cellOf(end - 1, left, across.count);
      for (let cell = cellOf(x, left, across.count); cell <= last; cell++)
        kinds[to + cell] = (kinds[to + cell] as number) | (set ? SOME_SET : SOME_UNSET);
    }
  }
  return kinds;
}

/** A channel of a pixel from 0 to 1, on grey where the picture is transparent: what that hides is not to be seen. */
function seen(data: Uint8ClampedArray, pixel: number, channel: number): number {
  const opacity = (data[pixel + 3] as number) / 255;
  return ((data[pixel + channel] as number) / 255) * opacity + (1 - opacity) / 2;
}

function coloursAt({ data, width }: RawPicture, { across, down }: Lattice): Colours {
  const plane = () => new Float32Array(across.count * down.count);
  const [red, green, blue]: Colours = [plane(), plane(), plane()];
  for (let i = 0, at = 0; i < down.count; i++) {
    let pixel = ((down.start + i * down.step) * width + across.start) * 4;
    for (let j = 0; j < across.count; j++, at++, pixel += across.step * 4) {
      red[at] = seen(data, pixel, 0);
      green[at] = seen(data, pixel, 1);
      blue[at] = seen(data, pixel, 2);
    }
  }
  return [red, green, blue];
}

/** What the guided filter makes of logits, where `distance` and `limit` are in the lattice's steps. */
function filter(
  colours: Colours,
  logits: Float32Array,
  distance: Float32Array,
  { across, down }: Lattice,
  window: number,
  limit: number,
): Linear & { explained: Float32Array } {
  const guided = new GuidedFilter(colours, across.count, down.count, window, EPSILON);
  const input = logits;
  for (let i = 0; i < input.length; i++) input[i] = 1 / (1 + Math.exp(-(input[i] as number)));
  const explained = new Float32Array(input.length);
  let linear = guided.fit(input);
  const [red, green, blue] = colours;
  for (let pass = 1; pass < PASSES; pass++) {
    for (let i = 0; i < input.length; i++) {
      const value =
        (linear.red[i] as number) * (red[i] as number) +
        (linear.green[i] as number) * (green[i] as number) +
        (linear.blue[i] as number) * (blue[i] as number) +
        (linear.constant[i] as number);
      input[i] = inBand(stretched(value), distance[i] as number, limit);
    }
    linear = guided.fit(input, pass === PASSES - 1 ? explained : undefined);
  }
  return { ...linear, explained };
}

function stretched(value: number): number {
  return between0And1((value - 0.5) * CONTRAST + 0.5);
}

/** An opacity, less and less free from half of the limit on, at the limit 0 outside and 1 inside. */
function inBand(value: number, distance: number, limit: number): number {
  const most = 2 - (2 * distance) / limit;
  const least = (-2 * distance) / limit - 1;
  return between0And1(Math.min(Math.max(value, least), most));
}

function between0And1(value: number): number {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}

/** The opacity of a tile's pixels. */
function paint(
  { data, width, height }: RawPicture,
  bits: Uint8Array,
  {
    linear,
    distance,
    lattice,
    limit,
  }: { linear: ReturnType<typeof filter>; distance: Float32Array; lattice: Lattice; limit: number },
  strength: number,
  tile: Part,
  alpha: Uint8Array,
  part: Part,
): void {
  const count = tile.right - tile.left;
  const interpolation = new Interpolation(lattice, tile.left, count);
  const line = () => new Float32Array(count);
  const [far, red, green, blue, constant, explained] = [line(), line(), line(), line(), line(), line()];
  for (let y = tile.top; y < tile.bottom; y++) {
    const to = (y - part.top) * (part.right - part.left) + tile.left - part.left;
    interpolation.row(distance, y, far);
    for (let from = 0, end = 0; from < count; from = end) {
      for (; from < count && Math.abs(far[from] as number) >= limit; from++)
        if ((far[from] as number) < 0) alpha[to + from] = 255;
      for (end = from; end < count && Math.abs(far[end] as number) < limit; ) end++;
      interpolation.row(linear.red, y, red, from, end);
      interpolation.row(linear.green, y, green, from, end);
      interpolation.row(linear.blue, y, blue, from, end);
      interpolation.row(linear.constant, y, constant, from, end);
      interpolation.row(linear.explained, y, explained, from, end);
      for (let x = from; x < end; x++) {
        const pixel = (y * width + tile.left + x) * 4;
        const byColours =
          (red[x] as number) * seen(data, pixel, 0) +
          (green[x] as number) * seen(data, pixel, 1) +
          (blue[x] as number) * seen(data, pixel, 2) +
          (constant[x] as number);
        const share = strength * between0And1((explained[x] as number) / ENOUGH_EXPLAINED);
        const own = share < 1 ? covered(bits, width, height, tile.left + x, y) : 0;
        const value = share * stretched(byColours) + (1 - share) * own;
        alpha[to + x] = Math.round(255 * inBand(value, far[x] as number, limit));
      }
    }
  }
}

/** How much of the square of three by three pixels around one is set. */
function covered(bits: Uint8Array, width: number, height: number, x: number, y: number): number {
  let [set, all] = [0, 0];
  for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
    for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
      all++;
      if (isSet(bits, row * width + column)) set++;
    }
  }
  return set / all;
}
