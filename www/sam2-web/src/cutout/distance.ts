/** What of the mask is in a cell: some of it, some of the rest, or both. */
export const SOME_SET = 1;
export const SOME_UNSET = 2;

/**
 * How far each cell of a grid is from the mask's edge, in cells from middle to middle, by Euclid's measure: above 0 for
 * cells outside, to the nearest one with some of the mask; under 0 for cells inside, to the nearest one with some of the
 * rest; 0 for cells with both. Farther than `limit`, a whole number, is `limit`.
 */
export function signedDistance(
  kinds: Uint8Array,
  width: number,
  height: number,
  limit: number,
): Float32Array<ArrayBuffer> {
  const toSet = alongRows(kinds, width, limit, SOME_SET);
  const toUnset = alongRows(kinds, width, limit, SOME_UNSET);
  const distances = new Float32Array(kinds.length);
  for (let y = 0; y < height; y++) {
    const first = Math.max(y - limit, 0);
    const last = Math.min(y + limit, height - 1);
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const kind = kinds[at] as number;
      if (kind === (SOME_SET | SOME_UNSET)) continue;
      const along = kind === SOME_SET ? toUnset : toSet;
      let nearest = limit * limit;
      for (let row = first; row <= last; row++) {
        const across = along[row * width + x] as number;
        const squared = across * across + (row - y) * (row - y);
        if (squared < nearest) nearest = squared;
      }
      distances[at] = kind === SOME_SET ? -Math.sqrt(nearest) : Math.sqrt(nearest);
    }
  }
  return distances;
}

/** How far each cell is along its row from the nearest one of a kind. */
function alongRows(kinds: Uint8Array, width: number, limit: number, kind: number): Uint16Array {
  const distances = new Uint16Array(kinds.length);
  for (let row = 0; row < kinds.length; row += width) {
    for (let x = 0, distance = limit; x < width; x++) {
      distance = (kinds[row + x] as number) & kind ? 0 : Math.min(distance + 1, limit);
      distances[row + x] = distance;
    }
    for (let x = width - 1, distance = limit; x >= 0; x--) {
      distance = Math.min(distances[row + x] as number, distance + 1);
      distances[row + x] = distance;
    }
  }
  return distances;
}
