/**
 * Means over the square of side `2 * radius + 1` around each value of a `width` x `height` plane, of what of the square lies
 * in the plane. The time does not depend on the radius.
 *
 * @param means - where they are written to: another plane than `values`.
 */
export function boxMean(
  values: Float32Array,
  width: number,
  height: number,
  radius: number,
  means: Float32Array = new Float32Array(width * height),
): Float32Array {
  const nothing = new Float32Array(width);
  // In doubles: what is added and taken away again must leave nothing behind.
  const columns = new Float64Array(width);
  /** Sums of the columns before each one. */
  const before = new Float64Array(width + 1);
  for (let y = -radius; y < height; y++) {
    const [enters, leaves] = [y + radius, y - radius - 1];
    const [entering, enteringRow] = enters < height ? [values, enters * width] : [nothing, 0];
    const [leaving, leavingRow] = leaves >= 0 ? [values, leaves * width] : [nothing, 0];
    for (let x = 0, sum = 0; x < width; x++) {
      const more = (entering[enteringRow + x] as number) - (leaving[leavingRow + x] as number);
      const column = (columns[x] as number) + more;
      columns[x] = column;
      sum += column;
      before[x + 1] = sum;
    }
    if (y < 0) continue;
    const rows = Math.min(enters, height - 1) - Math.max(leaves, -1);
    const row = y * width;
    const [first, end] = [Math.min(radius, width), Math.max(width - radius, 0)];
    const share = 1 / (rows * (2 * radius + 1));
    for (let x = first; x < end; x++)
      means[row + x] = ((before[x + radius + 1] as number) - (before[x - radius] as number)) * share;
    // Where the plane cuts the square.
    for (let x = 0; x < width; x = x + 1 === first && first < end ? end : x + 1) {
      const [from, to] = [Math.max(x - radius, 0), Math.min(x + radius + 1, width)];
      means[row + x] = ((before[to] as number) - (before[from] as number)) / (rows * (to - from));
    }
  }
  return means;
}
