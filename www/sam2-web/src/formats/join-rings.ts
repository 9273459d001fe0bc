import type { Polygon, Ring } from "../mask/types.js";

/**
 * Polygons with holes as one ring, for formats that have no more: from each ring to the next nearest a line goes there and
 * back, which encloses nothing, so that filled it is the same. Undefined for no polygons.
 */
export function joinRings(polygons: readonly Polygon[]): Ring | undefined {
  const [first, ...rest] = polygons.flat();
  if (!first) return undefined;
  let joined = first;
  for (const ring of rest) {
    const [x0, y0] = ring[0] as Ring[number];
    let [nearest, least] = [0, Number.POSITIVE_INFINITY];
    for (const [i, [x, y]] of joined.entries()) {
      const distance = (x - x0) ** 2 + (y - y0) ** 2;
      if (distance < least) [nearest, least] = [i, distance];
    }
    joined = [...joined.slice(0, nearest + 1), ...ring, [x0, y0], ...joined.slice(nearest)];
  }
  return joined;
}
