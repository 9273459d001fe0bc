import { Sam2Error } from "../errors.js";

/** In pixels; farther out, an outline's place in the picture is lost in rounding. */
const FARTHEST = 2 ** 31;

/** Throws `INVALID_MASK` unless these are polygons: lists of rings of three points or more, of numbers. */
export function checkPolygons(polygons: unknown): void {
  if (!Array.isArray(polygons)) fail("polygons must be an array of polygons");
  for (const [p, rings] of polygons.entries()) {
    if (!Array.isArray(rings)) fail(`polygon ${p} is not an array of rings`);
    for (const [r, ring] of rings.entries()) {
      const name = `ring ${r} of polygon ${p}`;
      if (!Array.isArray(ring)) fail(`${name} is not an array of points`);
      if (ring.length < 3) fail(`${name} has ${ring.length} points, and an area has three or more`);
      const bad = ring.findIndex(
        (point) => !(Array.isArray(point) && isPlace(point[0]) && isPlace(point[1])),
      );
      if (bad !== -1) fail(`point ${bad} of ${name} is not two numbers, or farther out than 2^31 pixels`);
    }
  }
}

function isPlace(value: unknown): boolean {
  return typeof value === "number" && Math.abs(value) <= FARTHEST;
}

function fail(reason: string): never {
  throw new Sam2Error(
    "INVALID_MASK",
    `${reason[0]?.toUpperCase()}${reason.slice(1)} (counted from 0). A polygon is an outline and its holes, each an array of [x, y].`,
  );
}
