/**
 * Means over the square of side `2 * radius + 1` around each value of a `width` x `height` plane, of what of the square lies
 * in the plane. The time does not depend on the radius.
 */
export function boxMean(
  values: Float32Array,
  width: number,
  height: number,
  radius: number,
): Float32Array<ArrayBuffer> {
  const means = new Float32Array(width * height);
  const ofColumns = shares(width, radius);
  const ofRows = shares(height, radius);
  // In doubles: what is added and taken away again must leave nothing behind.
  const columns = new Float64Array(width);
  /** Sums of the columns before each one. */
  const before = new Float64Array(width + 1);
  const inner = Math.max(width - radius, 0);
  for (let y = -radius; y < height; y++) {
    if (y + radius < height) addRow(columns, values, (y + radius) * width, 1);
    if (y - radius > 0) addRow(columns, values, (y - radius - 1) * width, -1);
    if (y < 0) continue;
    for (let x = 0, sum = 0; x < width; x++) {
      sum += columns[x] as number;
      before[x + 1] = sum;
    }
    const share = ofRows[y] as number;
    for (let x = 0, at = y * width; x < width; x++, at++) {
      const end = x < inner ? x + radius + 1 : width;
      const start = x > radius ? x - radius : 0;
      means[at] = ((before[end] as number) - (before[start] as number)) * share * (ofColumns[x] as number);
    }
  }
  return means;
}

function addRow(columns: Float64Array, values: Float32Array, row: number, times: 1 | -1): void {
  for (let x = 0; x < columns.length; x++)
    columns[x] = (columns[x] as number) + times * (values[row + x] as number);
}

/** For each of `count` values in a row: one by how many are within `radius` of it. */
function shares(count: number, radius: number): Float64Array {
  const within = (i: number) => Math.min(i + radius, count - 1) - Math.max(i - radius, 0) + 1;
  return Float64Array.from({ length: count }, (_, i) => 1 / within(i));
}
