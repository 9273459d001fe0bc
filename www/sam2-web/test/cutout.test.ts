// Cut-outs with a soft edge, on pictures of which all is known: opacity, the object's colours, the background.
import { describe, expect, it } from "vitest";
import { boxMean } from "../src/cutout/box-mean.js";
import { cutPixels } from "../src/cutout/cut-out.js";
import { SOME_SET, SOME_UNSET, signedDistance } from "../src/cutout/distance.js";
import { type Colours, GuidedFilter } from "../src/cutout/guided-filter.js";
import { everyNth, Interpolation, stretchedOver, tilesOf } from "../src/cutout/lattice.js";
import { toLogits } from "../src/mask/to-logits.js";
import { bitsAbove } from "../src/mask/upscale.js";
import { Mask } from "../src/mask.js";
import type { RawPicture } from "../src/protocol.js";
import { maskWhere, random } from "./drawn-masks.js";

function randoms(count: number, seed: number): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => next());
}

/** The indices of what lies within `radius` of a value of a plane, by both axes. */
function windowOf(at: number, width: number, height: number, radius: number): number[] {
  const [x, y] = [at % width, Math.floor(at / width)];
  const all = Array.from({ length: width * height }, (_, i) => i);
  return all.filter(
    (i) => Math.abs((i % width) - x) <= radius && Math.abs(Math.floor(i / width) - y) <= radius,
  );
}

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("boxMean", () => {
  it("is the mean of each window, also where the plane ends, or is smaller than the window", () => {
    for (const [width, height, radius] of [
      [7, 5, 1],
      [7, 5, 2],
      [1, 6, 3],
      [4, 3, 9],
      [5, 5, 0],
    ] as const) {
      const values = randoms(width * height, 3);
      const right = Array.from(values, (_, at) =>
        mean(windowOf(at, width, height, radius).map((i) => values[i] as number)),
      );
      boxMean(values, width, height, radius).forEach((value, i) => {
        expect(value).toBeCloseTo(right[i] as number, 6);
      });
    }
  });
});

describe("signedDistance", () => {
  it("is the distance to the nearest cell with some of the other side, up to the limit", () => {
    const [width, height, limit] = [11, 9, 4];
    // Few cells are set, and fewer have both.
    const kinds = Uint8Array.from(randoms(width * height, 8), (value) =>
      value > 0.97 ? SOME_SET | SOME_UNSET : value > 0.92 ? SOME_SET : SOME_UNSET,
    );
    const found = signedDistance(kinds, width, height, limit);
    const distance = (a: number, b: number) =>
      Math.hypot((a % width) - (b % width), Math.floor(a / width) - Math.floor(b / width));
    const nearest = (at: number, kind: number) =>
      Math.min(
        limit,
        ...[...kinds.keys()].filter((i) => (kinds[i] as number) & kind).map((i) => distance(at, i)),
      );
    for (const [at, value] of found.entries())
      expect(value).toBeCloseTo(nearest(at, SOME_SET) - nearest(at, SOME_UNSET), 5);
    expect(new Set(kinds).size).toBe(3);
  });
});

describe("GuidedFilter", () => {
  const [width, height, radius, epsilon] = [9, 7, 2, 0.01];
  const pixels = width * height;
  const guide: Colours = [randoms(pixels, 1), randoms(pixels, 2), randoms(pixels, 4)];
  const value = (linear: Record<string, Float32Array>, of: Colours, i: number) =>
    (linear.red?.[i] as number) * (of[0][i] as number) +
    (linear.green?.[i] as number) * (of[1][i] as number) +
    (linear.blue?.[i] as number) * (of[2][i] as number) +
    (linear.constant?.[i] as number);

  it("is the paper's formula", () => {
    const input = randoms(pixels, 5);
    // Of each window: slopes and constant, by Gauss's elimination of (covariances + epsilon) a = covariances with the input.
    const ofWindow = Array.from({ length: pixels }, (_, at) => {
      const window = windowOf(at, width, height, radius);
      const means = guide.map((colour) => mean(window.map((i) => colour[i] as number)));
      const meanOfInput = mean(window.map((i) => input[i] as number));
      const covariance = (a: Float32Array, b: Float32Array) =>
        mean(window.map((i) => (a[i] as number) * (b[i] as number))) -
        mean(window.map((i) => a[i] as number)) * mean(window.map((i) => b[i] as number));
      const rows = guide.map((a, row) => [
        ...guide.map((b, column) => covariance(a, b) + (row === column ? epsilon : 0)),
        covariance(a, input),
      ]);
      const slopes = solve(rows);
      return [...slopes, meanOfInput - mean(slopes.map((slope, i) => slope * (means[i] as number) * 3))];
    });
    const linear = new GuidedFilter(guide, width, height, radius, epsilon).fit(input);
    for (let at = 0; at < pixels; at++) {
      const window = windowOf(at, width, height, radius);
      const [red = 0, green = 0, blue = 0, constant = 0] = [0, 1, 2, 3].map((k) =>
        mean(window.map((i) => ofWindow[i]?.[k] as number)),
      );
      const right =
        red * (guide[0][at] as number) +
        green * (guide[1][at] as number) +
        blue * (guide[2][at] as number) +
        constant;
      expect(value({ ...linear }, guide, at)).toBeCloseTo(right, 4);
    }
  });

  it("gives back what is a linear function of the colours, and says that they explain it", () => {
    const input = guide[0].map((red, i) => 0.2 + 0.5 * red - 0.3 * (guide[2][i] as number));
    const explained = new Float32Array(pixels);
    const linear = new GuidedFilter(guide, width, height, radius, 1e-6).fit(input, explained);
    for (let i = 0; i < pixels; i++) {
      expect(value({ ...linear }, guide, i)).toBeCloseTo(input[i] as number, 3);
      expect(explained[i]).toBeCloseTo(1, 2);
    }
  });

  it("gives the mean of the mean where all is one colour, of which nothing is explained", () => {
    const one = new Float32Array(pixels).fill(0.4);
    const input = randoms(pixels, 6);
    const explained = new Float32Array(pixels).fill(9);
    const linear = new GuidedFilter([one, one, one], width, height, radius, epsilon).fit(input, explained);
    const right = boxMean(boxMean(input, width, height, radius), width, height, radius);
    for (let i = 0; i < pixels; i++) {
      expect(value({ ...linear }, [one, one, one], i)).toBeCloseTo(right[i] as number, 5);
      expect(explained[i]).toBeCloseTo(0, 5);
    }
  });
});

describe("a lattice", () => {
  it("has the middles of values that are stretched over a part of the picture", () => {
    const { across, down } = stretchedOver(
      { left: 10, top: 20, right: 30, bottom: 60 },
      { width: 5, height: 4 },
    );
    expect(across).toEqual({ start: 11.5, step: 4, count: 5 });
    expect(down).toEqual({ start: 24.5, step: 10, count: 4 });
  });

  it("has the points around a part that are in the picture, and interpolates between them", () => {
    const picture = { width: 50, height: 31 };
    const part = { left: 20, top: 10, right: 33, bottom: 31 };
    for (const step of [1, 3, 7, 40]) {
      const lattice = everyNth(picture, part, 5, step);
      const ramp = Float32Array.from({ length: lattice.across.count * lattice.down.count }, (_, i) => {
        const x = lattice.across.start + (i % lattice.across.count) * step;
        const y = lattice.down.start + Math.floor(i / lattice.across.count) * step;
        expect(x).toBeLessThan(picture.width);
        expect(y).toBeLessThan(picture.height);
        return 2 * x + y;
      });
      const row = new Float32Array(13);
      const lines = new Interpolation(lattice, part.left, 13);
      const last = lattice.down.start + (lattice.down.count - 1) * step;
      lines.row(ramp, 15, row);
      for (const [i, found] of row.entries()) {
        const x = Math.min(part.left + i, lattice.across.start + (lattice.across.count - 1) * step);
        expect(found).toBeCloseTo(
          2 * Math.max(x, lattice.across.start) + Math.max(Math.min(15, last), lattice.down.start),
          3,
        );
      }
    }
  });

  it("is made tile by tile, and each pixel is in one tile", () => {
    const part = { left: 3, top: 5, right: 24, bottom: 19 };
    const seen = new Uint8Array(30 * 30);
    for (const { left, top, right, bottom } of tilesOf(part, 8))
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) (seen[y * 30 + x] as number)++;
    for (let y = 0; y < 30; y++)
      for (let x = 0; x < 30; x++)
        expect(seen[y * 30 + x]).toBe(Number(x >= 3 && x < 24 && y >= 5 && y < 19));
  });
});

/** Solves linear equations given as rows, the right side last. */
function solve(rows: number[][]): number[] {
  for (let pivot = 0; pivot < rows.length; pivot++) {
    for (const [i, row] of rows.entries()) {
      if (i === pivot) continue;
      const times = (row[pivot] as number) / (rows[pivot]?.[pivot] as number);
      rows[i] = row.map((value, k) => value - times * (rows[pivot]?.[k] as number));
    }
  }
  return rows.map((row, i) => (row[rows.length] as number) / (row[i] as number));
}

/** A disc with hair on a background of another colour, as a photograph of it would be. */
function hairyDisc(width: number, height: number, { x: middleX = width / 2, hair = true } = {}) {
  const [middleY, radius, fine] = [height / 2, Math.min(width, height) / 4, 4];
  const alpha = new Float32Array(width * height);
  for (let at = 0; at < alpha.length; at++) {
    let inside = 0;
    for (let sub = 0; sub < fine * fine; sub++) {
      const x = (at % width) + ((sub % fine) + 0.5) / fine - middleX;
      const y = Math.floor(at / width) + (Math.floor(sub / fine) + 0.5) / fine - middleY;
      const distance = Math.hypot(x, y);
      // 90 strands that stand off, get thinner and bend.
      const strand = ((((Math.atan2(y, x) + 0.004 * distance) / (2 * Math.PI)) * 90) % 1) + 1;
      const thickness = 0.45 * (1 - (distance - radius) / 10);
      inside += Number(distance < radius || (hair && distance < radius + 10 && strand % 1 < thickness));
    }
    alpha[at] = inside / fine ** 2;
  }
  const grain = randoms(alpha.length, 11);
  const of = (at: number, [r, g, b]: readonly [number, number, number], by: number) =>
    [r, g, b].map((value) => value + by * ((grain[at] as number) - 0.5));
  const object = (at: number) => of(at, [70, 45, 30], 24);
  const background = (at: number) => of(at, [110 + 60 * ((at % width) / width), 170, 205], 16);
  const data = new Uint8ClampedArray(alpha.length * 4);
  for (let at = 0; at < alpha.length; at++) {
    const share = alpha[at] as number;
    const [front, back] = [object(at), background(at)];
    for (let c = 0; c < 3; c++)
      data[4 * at + c] = share * (front[c] as number) + (1 - share) * (back[c] as number);
    data[4 * at + 3] = 255;
  }
  return { alpha, object, picture: { data, width, height } };
}

/** A mask like the network's: it follows the object's opacity at a quarter of the picture's size, and is off in places. */
function coarseMask(alpha: Float32Array, width: number, height: number, side = 32) {
  const coarse = new Float32Array(side * side);
  const count = new Float32Array(side * side);
  for (const [at, value] of alpha.entries()) {
    const x = Math.floor(((at % width) * side) / width);
    const cell = Math.floor((Math.floor(at / width) * side) / height) * side + x;
    coarse[cell] = (coarse[cell] as number) + value;
    count[cell] = (count[cell] as number) + 1;
  }
  const shares = coarse.map((sum, i) => sum / (count[i] as number));
  const values = boxMean(shares, side, side, 1).map(
    (share, i) => 12 * (share - 0.5 + 0.15 * Math.sin(i / 5)),
  );
  const logits = { values, width: side, height: side };
  return { logits, mask: maskOf(logits, width, height) };
}

function maskOf(
  logits: { values: Float32Array; width: number; height: number },
  width: number,
  height: number,
) {
  const part = { left: 0, top: 0, right: width, bottom: height };
  return new Mask(width, height, bitsAbove(logits, { width, height }, part, 0));
}

/** A cut-out of the picture's size. */
function cut(picture: RawPicture, mask: Mask, edge?: Parameters<typeof cutPixels>[1]["edge"], crop = false) {
  return cutPixels(picture, { bits: mask.bits, box: mask.box, crop, edge });
}

/** Of the opacity, in the mean of all pixels. */
const errorOf = (image: ImageData, right: Float32Array) =>
  mean(Array.from(opacity(image), (value, i) => Math.abs(value / 255 - (right[i] as number))));

const opacity = (image: ImageData) => Uint8Array.from(image.data.filter((_, i) => i % 4 === 3));

describe("a soft cut-out", () => {
  const [width, height] = [128, 120];
  const { alpha, object, picture } = hairyDisc(width, height);
  const { logits, mask } = coarseMask(alpha, width, height);
  const edge = { radius: 12, strength: 1, logits };
  const soft = cut(picture, mask, edge);

  it("has less than half of the hard mask's error", () => {
    const [hard, found] = [errorOf(cut(picture, mask), alpha), errorOf(soft, alpha)];
    console.log(`mean error of the opacity: ${hard.toFixed(4)} hard, ${found.toFixed(4)} soft`);
    expect(found).toBeLessThan(hard / 2);
  });

  it("has the object's colours where the picture has the background's as well", () => {
    const error = (data: Uint8ClampedArray) =>
      mean(
        [...alpha.keys()]
          .filter((at) => (alpha[at] as number) > 0 && ![0, 255].includes(soft.data[4 * at + 3] as number))
          .flatMap((at) => object(at).map((right, c) => Math.abs((data[4 * at + c] as number) - right))),
      );
    const [own, found] = [error(picture.data), error(soft.data)];
    console.log(`mean error of the colours: ${own.toFixed(1)} in the picture, ${found.toFixed(1)} cut out`);
    expect(found).toBeLessThan(own / 2);
  });

  it("is soft in the band only, and elsewhere the picture's own pixels or nothing", () => {
    const [inside, outside] = [mask.shrink(12), mask.grow(12)];
    const partly = { in: 0, out: 0 };
    for (let at = 0; at < width * height; at++) {
      const [x, y] = [at % width, Math.floor(at / width)];
      const pixel = [...soft.data.subarray(4 * at, 4 * at + 4)];
      if (inside.has(x, y)) expect(pixel).toEqual([...picture.data.subarray(4 * at, 4 * at + 4)]);
      else if (!outside.has(x, y)) expect(pixel).toEqual([0, 0, 0, 0]);
      if ((pixel[3] as number) > 0 && (pixel[3] as number) < 255) partly[mask.has(x, y) ? "in" : "out"]++;
    }
    expect(inside.area).toBeGreaterThan(500);
    expect(partly.in).toBeGreaterThan(200);
    expect(partly.out).toBeGreaterThan(200);
  });

  it("reaches no farther than its radius, whatever that is", () => {
    for (const radius of [1, 2.5, 5, 8, 20, 33]) {
      const image = cut(picture, mask, { ...edge, radius });
      const [inside, outside] = [mask.shrink(radius), mask.grow(radius)];
      const alpha = opacity(image);
      const wrong = alpha.filter((value, at) => {
        const [x, y] = [at % width, Math.floor(at / width)];
        return inside.has(x, y) ? value < 255 : !outside.has(x, y) && value > 0;
      });
      expect(wrong.length, `radius ${radius}`).toBe(0);
    }
  });

  it("is trimmed to what is seen of it", () => {
    const trimmed = cut(picture, mask, edge, true);
    const seen = maskWhere(width, height, (x, y) => soft.data[4 * (y * width + x) + 3] !== 0);
    const [x0, y0, x1, y1] = seen.box ?? [0, 0, 0, 0];
    expect([trimmed.width, trimmed.height]).toEqual([x1 - x0 + 1, y1 - y0 + 1]);
    for (let y = y0; y <= y1; y++) {
      const row = (y - y0) * trimmed.width * 4;
      const same = soft.data.subarray((y * width + x0) * 4, (y * width + x1 + 1) * 4);
      const found = trimmed.data.subarray(row, row + trimmed.width * 4);
      // Colours are means of a window's pixels, at other places where the part begins elsewhere.
      for (const [i, value] of found.entries()) expect(Math.abs(value - (same[i] as number))).toBeLessThan(3);
    }
  });

  it("follows the mask's edge where nothing of it is asked of the colours", () => {
    const own = cut(picture, mask, { ...edge, strength: 0 });
    const [inside, outside] = [mask.shrink(1.5), mask.grow(1.5)];
    for (let at = 0; at < width * height; at++) {
      const [x, y, value] = [at % width, Math.floor(at / width), own.data[4 * at + 3] as number];
      if (inside.has(x, y)) expect(value).toBe(255);
      else if (!outside.has(x, y)) expect(value).toBe(0);
    }
  });

  it("keeps the mask's edge where the picture is all one colour", () => {
    const data = new Uint8ClampedArray(width * height * 4).fill(200);
    for (let i = 3; i < data.length; i += 4) data[i] = 255;
    const flat = cut({ data, width, height }, mask, edge);
    const [inside, outside] = [mask.shrink(2), mask.grow(2)];
    for (let at = 0; at < width * height; at++) {
      const [value, pixel] = [flat.data[4 * at + 3] as number, flat.data.subarray(4 * at, 4 * at + 3)];
      const [x, y] = [at % width, Math.floor(at / width)];
      if (inside.has(x, y)) expect(value).toBe(255);
      else if (!outside.has(x, y)) expect(value).toBe(0);
      if (value) expect([...pixel]).toEqual([200, 200, 200]);
    }
  });

  it("is what it is in the middle also where the object leaves the picture", () => {
    const beside = hairyDisc(width, height, { x: 12 });
    const { logits, mask } = coarseMask(beside.alpha, width, height);
    const image = cut(beside.picture, mask, { ...edge, logits });
    expect(mask.box?.[0]).toBe(0);
    for (let y = 50; y < 70; y++) expect(image.data[4 * y * width + 3]).toBe(255);
    expect(errorOf(image, beside.alpha)).toBeLessThan(errorOf(cut(beside.picture, mask), beside.alpha) / 2);
  });

  it("is the whole picture where the mask is, and nothing where there is none", () => {
    const all = new Mask(width, height).not();
    const of = (value: number) => ({
      ...edge,
      logits: { values: Float32Array.of(value), width: 1, height: 1 },
    });
    for (const crop of [true, false]) {
      const image = cut(picture, all, of(8), crop);
      expect([image.width, image.height]).toEqual([width, height]);
      expect(image.data).toEqual(picture.data);
    }
    const none = cut(picture, new Mask(width, height), of(-8));
    expect([none.width, none.height, none.data.some((value) => value > 0)]).toEqual([width, height, false]);
  });

  it("leaves what the picture hides hidden, and is no more opaque than the picture", () => {
    const data = picture.data.slice();
    for (let at = 0; at < width * height; at++) {
      if (at % width >= width / 2) continue;
      const hidden = Math.floor(at / width) % 2 === 0;
      // A glaring colour under no opacity at all: it must be neither seen nor mixed into what is.
      if (hidden) data.set([255, 0, 255, 0], 4 * at);
      else data[4 * at + 3] = 100;
    }
    const image = cut({ data, width, height }, mask, edge);
    for (let at = 0; at < width * height; at++) {
      const [r = 0, g = 0, b = 0, a = 0] = image.data.subarray(4 * at, 4 * at + 4);
      expect(a).toBeLessThanOrEqual(data[4 * at + 3] as number);
      if (a === 0) expect([r, g, b]).toEqual([0, 0, 0]);
      else expect(r > 200 && g < 60 && b > 200).toBe(false);
    }
  });

  it("gives what was drawn or read a soft edge too, by its pixels alone", () => {
    const drawn = { values: toLogits(mask.bits, width, height, width), width, height: width };
    const found = cut(picture, mask, { ...edge, logits: drawn });
    expect(errorOf(found, alpha)).toBeLessThan(errorOf(cut(picture, mask), alpha) / 2);
  });

  it("keeps what is thinner than the points that are looked at, however wide the edge", () => {
    const wire = maskWhere(width, height, (x) => x >= 61 && x < 63);
    const data = new Uint8ClampedArray(width * height * 4);
    for (let at = 0; at < width * height; at++)
      data.set(
        wire.has(at % width, Math.floor(at / width)) ? [200, 40, 30, 255] : [60, 90, 160, 255],
        4 * at,
      );
    const logits = { values: toLogits(wire.bits, width, height, width), width, height: width };
    for (const radius of [2, 12, 40, 100]) {
      const image = cut({ data, width, height }, wire, { radius, strength: 1, logits });
      for (let y = 0; y < height; y++) {
        // Where no point falls on it, it has the mask's own edge, of which a third is outside.
        expect(image.data[4 * (y * width + 61) + 3]).toBeGreaterThan(160);
        expect(image.data[4 * (y * width + 40) + 3]).toBeLessThan(30);
      }
    }
  });

  it("does not lose a speck, nor stumble over pictures and radii of any size", () => {
    for (const [w, h] of [
      [1, 1],
      [1, 40],
      [40, 1],
      [3, 2],
      [64, 33],
    ] as const) {
      const data = Uint8ClampedArray.from(randoms(w * h * 4, w + h), (value) => value * 255);
      for (let i = 3; i < data.length; i += 4) data[i] = 255;
      const bits = new Uint8Array(Math.ceil((w * h) / 8));
      bits[0] = 1;
      const speck = new Mask(w, h, bits);
      const logits = { values: toLogits(bits, w, h, 64), width: 64, height: 64 };
      for (const radius of [1, 1.5, 7, 500]) {
        const image = cut({ data, width: w, height: h }, speck, { radius, strength: 1, logits }, true);
        expect(opacity(image).some((value) => value > 0)).toBe(true);
      }
    }
  });
});
