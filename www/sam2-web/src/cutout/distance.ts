/**
 * How far each value of a plane is from the nearest one on the other side of 0, from middle to middle, by Euclid's measure:
 * under 0 for values above 0, which are inside, and above for the others. Farther than `limit`, a whole number, is `limit`.
 */
export function signedDistance(
  values: Float32Array,
  width: number,
  height: number,
  limit: number,
): Float32Array<ArrayBuffer> {
  const toInside = alongRows(values, width, limit, true);
  const toOutside = alongRows(values, width, limit, false);
  const distances = new Float32Array(values.length);
  for (let y = 0; y < height; y++) {
    const first = Math.max(y - limit, 0);
    const last = Math.min(y + limit, height - 1);
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const inside = (values[at] as number) > 0;
      const along = inside ? toOutside : toInside;
      let nearest = limit * limit;
      for (let row = first; row <= last; row++) {
        const across = along[row * width + x] as number;
        const squared = across * across + (row - y) * (row - y);
        if (squared < nearest) nearest = squared;
      }
      distances[at] = inside ? -Math.sqrt(nearest) : Math.sqrt(nearest);
    }
  }
  return distances;
}

/** How far each value is along its row from the nearest one that is inside, or outside. */
function alongRows(values: Float32Array, width: number, limit: number, inside: boolean): Uint16Array {
  const distances = new Uint16Array(values.length);
  for (let row = 0; row < values.length; row += width) {
    for (let x = 0, distance = limit; x < width; x++) {
      distance = (values[row + x] as number) > 0 === inside ? 0 : Math.min(distance + 1, limit);
      distances[row + x] = distance;
    }
    for (let x = width - 1, distance = limit; x >= 0; x--) {
      distance = Math.min(distances[row + x] as number, distance + 1);
      distances[row + x] = distance;
    }
  }
  return distances;
}
