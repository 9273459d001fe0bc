import { fromCounts } from "../mask/rle.js";
import type { Ring } from "../mask/types.js";
import { Mask } from "../mask.js";

/** Outlines are rounded to fifths of a pixel. */
const SCALE = 5;

/** Beyond it, in pixels, going along an outline step by step would take too long. */
const FARTHEST = 2 ** 17;

/**
 * An outline's pixels as pycocotools has them, to the pixel: `rleFrPoly` of cocoapi's maskApi.c (Piotr Dollar and Tsung-Yi
 * Lin, Simplified BSD License). The outline is gone along in fifths of a pixel, and where it comes to the middle of a
 * column, the column changes.
 */
export function cocoPolygon(ring: Ring, { width, height }: { width: number; height: number }): Mask {
  if (ring.some((point) => point.some((value) => Math.abs(value) > FARTHEST)))
    return Mask.fromPolygons([[ring]], { width, height, crossing: "even-odd" });

  const changes: number[] = [];
  let [u, v] = [Number.NaN, Number.NaN];
  const visit = (nextU: number, nextV: number) => {
    if (nextU !== u && !Number.isNaN(u)) {
      const x = (Math.min(nextU, u) + 0.5) / SCALE - 0.5;
      if (Number.isInteger(x) && x >= 0 && x < width) {
        const y = (Math.min(nextV, v) + 0.5) / SCALE - 0.5;
        changes.push(x * height + Math.ceil(Math.min(Math.max(y, 0), height)));
      }
    }
    [u, v] = [nextU, nextV];
  };
  const points = ring.map(([x, y]) => [Math.trunc(SCALE * x + 0.5), Math.trunc(SCALE * y + 0.5)] as const);
  for (const [i, from] of points.entries()) {
    const to = points[(i + 1) % points.length] ?? from;
    const [dx, dy] = [Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
    // Drawn from the same end in both directions.
    const flip = (dx >= dy && from[0] > to[0]) || (dx < dy && from[1] > to[1]);
    const [[x0, y0], [x1, y1]] = flip ? [to, from] : [from, to];
    const steps = Math.max(dx, dy);
    for (let step = 0; step <= steps; step++) {
      const at = flip ? steps - step : step;
      if (dx >= dy) visit(x0 + at, Math.trunc(y0 + (dx && ((y1 - y0) / dx) * at) + 0.5));
      else visit(Math.trunc(x0 + ((x1 - x0) / dy) * at + 0.5), y0 + at);
    }
  }

  changes.push(width * height);
  changes.sort((a, b) => a - b);
  return new Mask(
    width,
    height,
    fromCounts(
      changes.map((change, i) => change - (changes[i - 1] ?? 0)),
      width,
      height,
    ),
  );
}
