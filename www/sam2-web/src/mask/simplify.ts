import type { Polygon, Ring } from "./types.js";

/**
 * Exact outlines without their stairs: where an edge is one pixel long, its corners give way to the middles of it and of
 * its neighbours. No corner is farther than half a pixel from what takes its place, and the same pixels' middles are inside.
 */
export function withoutStairs(polygons: readonly Polygon[]): Polygon[] {
  return polygons.map((rings) => rings.map(smoothRing));
}

function smoothRing(ring: Ring): Ring {
  const smooth: Ring = [];
  const at = (i: number) => ring[(i + ring.length) % ring.length] as Ring[number];
  const isStep = (i: number) => Math.abs(at(i + 1)[0] - at(i)[0]) + Math.abs(at(i + 1)[1] - at(i)[1]) === 1;
  for (let i = 0; i < ring.length; i++) {
    const [[x0, y0], [x1, y1]] = [at(i), at(i + 1)];
    const here = isStep(i);
    if (!here && !isStep(i - 1)) smooth.push([x0, y0]);
    if (here || isStep(i - 1) || isStep(i + 1)) smooth.push([(x0 + x1) / 2, (y0 + y1) / 2]);
  }
  return smooth;
}

/**
 * The polygons with fewer points: what is left out lies within `tolerance` of what stays (Ramer, Douglas and Peucker). A
 * ring has an area, and keeps one: where two points would be left, half of the tolerance counts.
 */
export function simplify(polygons: readonly Polygon[], tolerance: number): Polygon[] {
  return polygons.map((rings) => rings.map((ring) => simplifyRing(ring, tolerance)));
}

function simplifyRing(ring: Ring, tolerance: number): Ring {
  const kept = new Uint8Array(ring.length);
  // The ring is cut at two places that stay: the first point, which is a corner, and the one farthest from it.
  const far = farthest(ring, 0, 0, ring.length).index;
  kept[0] = 1;
  kept[far] = 1;
  const open: [from: number, to: number][] = [
    [0, far],
    [far, ring.length],
  ];
  for (let part = open.pop(); part; part = open.pop()) {
    const [from, to] = part;
    const { index, distance } = farthest(ring, from, to % ring.length, to);
    if (distance <= tolerance) continue;
    kept[index] = 1;
    open.push([from, index], [index, to]);
  }
  const simple = ring.filter((_, i) => kept[i]);
  return simple.length < 3 ? simplifyRing(ring, tolerance / 2) : simple;
}

/** Of the points after `from` and before `end`, the farthest from the segment between the points `from` and `to`. */
function farthest(ring: Ring, from: number, to: number, end: number): { index: number; distance: number } {
  const [[x0, y0], [x1, y1]] = [ring[from], ring[to]] as [Ring[number], Ring[number]];
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  let [index, square] = [from, -1];
  for (let i = from + 1; i < end; i++) {
    const [x, y] = ring[i] as Ring[number];
    const along = length && Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / length, 0), 1);
    const [ex, ey] = [x - x0 - along * dx, y - y0 - along * dy];
    if (ex * ex + ey * ey > square) [index, square] = [i, ex * ex + ey * ey];
  }
  return { index, distance: Math.sqrt(Math.max(square, 0)) };
}
