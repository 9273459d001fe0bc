/**
 * What a search finds, one by one: `found` grows with each batch that `more` asks for, until it answers that the search is
 * through.
 */
export async function* asTheyCome<T>(
  found: readonly T[],
  more: () => Promise<boolean>,
): AsyncGenerator<T, void, undefined> {
  for (let at = 0; ; at++) {
    while (at >= found.length && (await more())) {}
    const next = found[at];
    if (next === undefined) return;
    yield next;
  }
}
