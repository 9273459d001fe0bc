import { describe, expect, it } from "vitest";
import { bitsAbove } from "../src/mask/upscale.js";

/** Every pixel in single precision, as the official code enlarges. */
function everyPixel(
  values: Float32Array,
  [h, w]: [number, number],
  [height, width]: [number, number],
): Float32Array {
  const { fround } = Math;
  const tap = (i: number, input: number, output: number) => {
    const position = Math.max(0, fround(fround(fround(input / output) * fround(i + 0.5)) - 0.5));
    const low = Math.min(Math.floor(position), input - 1);
    return { low, high: Math.min(low + 1, input - 1), part: fround(position - low) };
  };
  const mix = (a: number, b: number, part: number) => fround(fround(a * fround(1 - part)) + fround(b * part));
  const at = (y: number, x: number) => values[y * w + x] ?? Number.NaN;
  const out = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const v = tap(y, h, height);
    for (let x = 0; x < width; x++) {
      const u = tap(x, w, width);
      out[y * width + x] = mix(
        mix(at(v.low, u.low), at(v.low, u.high), u.part),
        mix(at(v.high, u.low), at(v.high, u.high), u.part),
        v.part,
      );
    }
  }
  return out;
}

function noise(count: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

const smooth = Float32Array.from(
  { length: 600 },
  (_, i) => Math.sin((i % 20) * 0.4) + Math.cos(Math.floor(i / 20) * 0.3),
);

describe("bitsAbove", () => {
  it("equals comparing every pixel, in any size, part and threshold", () => {
    for (const values of [noise(600), smooth, new Float32Array(600), new Float32Array(600).fill(-1)]) {
      for (const [height, width] of [
        [90, 77],
        [30, 20],
        [7, 5],
        [1, 1],
        [301, 19],
      ] as const) {
        const whole = everyPixel(values, [30, 20], [height, width]);
        for (const threshold of [0, 0.5, -0.25, 3, -3]) {
          for (const part of [
            { left: 0, top: 0, right: width, bottom: height },
            { left: width >> 1, top: Math.floor(height / 3), right: width, bottom: height - (height >> 2) },
          ]) {
            const bits = bitsAbove({ values, width: 20, height: 30 }, { width, height }, part, threshold);
            let pixel = 0;
            let wrong = 0;
            for (let y = part.top; y < part.bottom; y++) {
              for (let x = part.left; x < part.right; x++, pixel++) {
                const is = (((bits[pixel >> 3] ?? 0) >> (pixel & 7)) & 1) === 1;
                if (is !== (whole[y * width + x] ?? 0) > threshold) wrong++;
              }
            }
            expect(wrong).toBe(0);
            expect(bits.length).toBe(Math.ceil(pixel / 8));
          }
        }
      }
    }
  });
});
