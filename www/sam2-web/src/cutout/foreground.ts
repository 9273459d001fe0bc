import type { Part } from "../mask/upscale.js";
import type { RawPicture } from "../protocol.js";
import { boxMean } from "./box-mean.js";
import { everyNth, Interpolation, type Lattice, tilesOf } from "./lattice.js";

/** The windows' radii, of the edge's. */
const WIDE = 2;
const NARROW = 0.4;
/** A tile's side, in points that are looked at. */
const TILE = 256;
/** Less of a layer than this is none. */
const LEAST = 1e-4;

/** Three planes a layer, of values from 0 to 255. */
type Layer = Float32Array[];

/**
 * Takes the background's colours out of a cut-out's soft edge: `rgba`, of `part`, has the picture's own colours, and its
 * alpha is the object's opacity. Blur fusion (Forte and Pitié, "Approximate Fast Foreground Colour Estimation", 2021): the
 * colours of object and background are means around each pixel, and what is left between their mixture and the picture is
 * the object's. In a wide window first, then with what came of that in a narrow one. The means change slowly, so they are
 * made of a part of the pixels.
 *
 * @param radius - the edge's, in pixels.
 */
export function decontaminate(
  picture: RawPicture,
  rgba: Uint8ClampedArray,
  part: Part,
  radius: number,
): void {
  const [wide, narrow] = [Math.max(radius * WIDE, 3), Math.max(radius * NARROW, 1)];
  const step = Math.max(1, Math.floor(narrow / 2));
  const windows = [wide, narrow].map((pixels) => Math.max(1, Math.round(pixels / step)));
  const [widest = 1, narrowest = 1] = windows;
  const reach = (widest + narrowest + 1) * step;
  for (const tile of tilesOf(part, Math.max(TILE, 2 * widest) * step)) {
    if (!isSoft(rgba, part, tile)) continue;
    const lattice = everyNth(picture, tile, reach, step);
    const { object, background } = layersAt(picture, rgba, part, lattice, windows);
    paint(picture, rgba, part, tile, new Interpolation(lattice, tile.left, tile.right - tile.left), [
      ...object,
      ...background,
    ]);
  }
}

function isSoft(rgba: Uint8ClampedArray, part: Part, tile: Part): boolean {
  for (let y = tile.top; y < tile.bottom; y++) {
    const row = ((y - part.top) * (part.right - part.left) - part.left) * 4;
    for (let x = tile.left; x < tile.right; x++) if (partly(rgba, row, x)) return true;
  }
  return false;
}

/** The colours of object and background at the points of a lattice. */
function layersAt(
  { data, width }: RawPicture,
  rgba: Uint8ClampedArray,
  part: Part,
  { across, down }: Lattice,
  windows: readonly number[],
): { object: Layer; background: Layer } {
  const plane = () => new Float32Array(across.count * down.count);
  const alpha = plane();
  /** How much of the object, and of the background, a point shows. */
  const [ofObject, ofBackground] = [plane(), plane()];
  const colours = [plane(), plane(), plane()];
  for (let i = 0, at = 0; i < down.count; i++) {
    const y = down.start + i * down.step;
    for (let j = 0; j < across.count; j++, at++) {
      const x = across.start + j * across.step;
      const pixel = (y * width + x) * 4;
      for (let channel = 0; channel < 3; channel++)
        (colours[channel] as Float32Array)[at] = data[pixel + channel] as number;
      const opacity = (data[pixel + 3] as number) / 255;
      const inPart = x >= part.left && x < part.right && y >= part.top && y < part.bottom;
      const cut = ((y - part.top) * (part.right - part.left) + x - part.left) * 4 + 3;
      // Of what the picture itself shows, as `rgba` has both in one.
      const share = inPart && opacity ? Math.min((rgba[cut] as number) / 255 / opacity, 1) : 0;
      alpha[at] = share;
      ofObject[at] = share * opacity;
      ofBackground[at] = (1 - share) * opacity;
    }
  }
  let [object, background]: [Layer, Layer] = [colours, colours];
  for (const [pass, window] of windows.entries()) {
    const means = (layer: Layer, weights: Float32Array) =>
      weightedMeans(layer, weights, across.count, down.count, window);
    object = means(object, ofObject);
    background = means(background, ofBackground);
    if (pass < windows.length - 1) fuse(object, background, alpha, colours);
  }
  return { object, background };
}

/** Means of a layer's colours around each point, by how much of it is seen; where nothing is, the layer's own. */
function weightedMeans(
  layer: Layer,
  weights: Float32Array,
  width: number,
  height: number,
  window: number,
): Layer {
  const all = boxMean(weights, width, height, window);
  const weighted = new Float32Array(weights.length);
  return layer.map((plane) => {
    for (let i = 0; i < plane.length; i++) weighted[i] = (plane[i] as number) * (weights[i] as number);
    const means = boxMean(weighted, width, height, window);
    for (let i = 0; i < plane.length; i++) {
      const weight = all[i] as number;
      means[i] = weight > LEAST ? (means[i] as number) / weight : (plane[i] as number);
    }
    return means;
  });
}

/** Turns the object's means into its colours at each point. */
function fuse(object: Layer, background: Layer, alpha: Float32Array, colours: Layer): void {
  for (const [channel, plane] of object.entries()) {
    const behind = background[channel] as Float32Array;
    const colour = colours[channel] as Float32Array;
    for (let i = 0; i < plane.length; i++) {
      const opacity = alpha[i] as number;
      plane[i] = fused(plane[i] as number, behind[i] as number, opacity, colour[i] as number);
    }
  }
}

/** The object's colour, of its mean and the background's around, its opacity and the picture's colour there. */
function fused(object: number, background: number, alpha: number, colour: number): number {
  const value = object + alpha * (colour - alpha * object - (1 - alpha) * background);
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Sets the colours where a tile is soft. */
function paint(
  { data, width }: RawPicture,
  rgba: Uint8ClampedArray,
  part: Part,
  tile: Part,
  interpolation: Interpolation,
  planes: readonly Float32Array[],
): void {
  const count = tile.right - tile.left;
  const lines = planes.map(() => new Float32Array(count));
  for (let y = tile.top; y < tile.bottom; y++) {
    const to = ((y - part.top) * (part.right - part.left) + tile.left - part.left) * 4;
    for (let from = 0, end = 0; from < count; from = end) {
      while (from < count && !partly(rgba, to, from)) from++;
      for (end = from; end < count && partly(rgba, to, end); ) end++;
      planes.forEach((plane, i) => {
        interpolation.row(plane, y, lines[i] as Float32Array, from, end);
      });
      for (let x = from; x < end; x++) {
        const pixel = (y * width + tile.left + x) * 4;
        const alpha = (rgba[to + x * 4 + 3] as number) / (data[pixel + 3] as number);
        if (!(alpha > 0 && alpha < 1)) continue;
        for (let channel = 0; channel < 3; channel++) {
          const object = (lines[channel] as Float32Array)[x] as number;
          const background = (lines[channel + 3] as Float32Array)[x] as number;
          rgba[to + x * 4 + channel] = fused(object, background, alpha, data[pixel + channel] as number);
        }
      }
    }
  }
}

/** Whether a pixel of the row that begins at `row` is neither opaque nor clear. */
function partly(rgba: Uint8ClampedArray, row: number, x: number): boolean {
  const alpha = rgba[row + x * 4 + 3];
  return alpha !== 0 && alpha !== 255;
}
