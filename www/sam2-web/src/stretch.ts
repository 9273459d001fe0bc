import { Sam2Error } from "./errors.js";

/** Of a picture's colours: the values that become black and white. */
export type Range = readonly [low: number, high: number];

/** @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for what is no range. */
export function checkRange(range: unknown): Range | undefined {
  if (range === undefined) return undefined;
  const [low, high, ...rest]: unknown[] = Array.isArray(range) ? range : [];
  if (Number.isFinite(low) && Number.isFinite(high) && (low as number) < (high as number) && !rest.length)
    return [low as number, high as number];
  throw new Sam2Error(
    "UNSUPPORTED_INPUT",
    `range must be [low, high] such as [0, 4095], two numbers of which the first is less, not ${String(range)}.`,
  );
}

/**
 * The range that a picture's values use: from 0 to all bits of the largest integer (cameras and microscopes write 12
 * bits into 16), or from 0, or the smallest value below, to the largest.
 */
export function rangeOf(samples: ArrayLike<number>, channels: number, integers: boolean): Range {
  const colours = channels - (channels % 2 ? 0 : 1);
  let [low, high] = [0, 0];
  for (let pixel = 0; pixel < samples.length; pixel += channels) {
    for (let i = pixel; i < pixel + colours; i++) {
      const value = samples[i] ?? 0;
      if (!Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (!integers || low < 0) return [low, high];
  return [0, 2 ** Math.max(8, Math.ceil(Math.log2(high + 1))) - 1];
}

/**
 * Grey, grey and alpha, RGB or RGBA, by the number of channels, to RGBA bytes: `low` is black and `high` white, and may
 * be the lesser; alpha goes from 0 to `opaque`.
 */
export function toRgbaBytes(
  samples: ArrayLike<number>,
  channels: number,
  [low, high]: Range,
  opaque: number,
): Uint8ClampedArray<ArrayBuffer> {
  const pixels = samples.length / channels;
  const rgba = new Uint8ClampedArray(pixels * 4);
  const scale = high !== low ? 255 / (high - low) : 0;
  const hasAlpha = channels % 2 === 0;
  const [green, blue] = channels > 2 ? [1, 2] : [0, 0];
  for (let from = 0, to = 0; to < rgba.length; from += channels, to += 4) {
    // What is no number is black.
    rgba[to] = ((samples[from] ?? 0) - low) * scale;
    rgba[to + 1] = ((samples[from + green] ?? 0) - low) * scale;
    rgba[to + 2] = ((samples[from + blue] ?? 0) - low) * scale;
    rgba[to + 3] = hasAlpha ? ((samples[from + channels - 1] ?? 0) / opaque) * 255 : 255;
  }
  return rgba;
}
