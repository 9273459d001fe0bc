import { Sam2Error } from "../errors.js";

/** Throws `INVALID_MASK` unless these are polygons: lists of rings of three points or more, of finite numbers. */
export function checkPolygons(polygons: unknown): void {
  if (!Array.isArray(polygons)) fail("polygons must be an array of polygons");
  for (const [p, rings] of polygons.entries()) {
    if (!Array.isArray(rings)) fail(`polygon ${p} is not an array of rings`);
    for (const [r, ring] of rings.entries()) {
      const name = `ring ${r} of polygon ${p}`;
      if (!Array.isArray(ring)) fail(`${name} is not an array of points`);
      if (ring.length < 3) fail(`${name} has ${ring.length} points, and an area has three or more`);
      const bad = ring.findIndex(
        (point) =>
          !(Array.isArray(point) && point.length >= 2 && point.every((value) => Number.isFinite(value))),
      );
      if (bad !== -1) fail(`point ${bad} of ${name} is not two finite numbers`);
    }
  }
}

function fail(reason: string): never {
  throw new Sam2Error(
    "INVALID_MASK",
    `${reason[0]?.toUpperCase()}${reason.slice(1)} (counted from 0). A polygon is an outline and its holes, each an array of [x, y].`,
  );
}
