// The table: what is compared, and what was asked for.

export interface Row {
  work: string;
  /** Nothing where it could not be measured; `note` then says why. */
  ours: number | null;
  theirs: number | null;
  unit: string;
  ratio: number | null;
  /** The ratio aimed at; nothing for rows that only inform. */
  target: number | null;
  note?: string;
}

export function row(
  work: string,
  [ours, theirs]: readonly [number | null, number | null],
  unit: string,
  target: number | null = null,
  note?: string,
): Row {
  const ratio = ours !== null && theirs ? ours / theirs : null;
  return { work, ours, theirs, unit, ratio, target, ...(note && { note }) };
}

export function unmeasured(work: string, unit: string, target: number | null, note: string): Row {
  return row(work, [null, null], unit, target, note);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Three figures that count, no more. */
export function figure(value: number | null): string {
  if (value === null) return "not measured";
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(3)));
}
