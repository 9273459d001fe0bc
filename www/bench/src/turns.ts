// Times of two sides that take turns.
import type { Plan } from "./plan.js";
import { median } from "./rows.js";
import type { Done } from "./side.js";

const AT_MOST = 40;

/** Both sides' medians, in milliseconds, of turns that are taken until the plan's budget is spent. */
export async function byTurns(
  plan: Plan,
  say: (doing: string) => void,
  turn: () => Promise<readonly [Done<unknown>, Done<unknown>]>,
): Promise<{ times: [number, number]; note: string }> {
  const first: number[] = [];
  const second: number[] = [];
  const start = performance.now();
  while (first.length < plan.least || performance.now() - start < plan.budgetMs) {
    say(`turn ${first.length + 1}`);
    const done = await turn();
    first.push(done[0].ms);
    second.push(done[1].ms);
    if (first.length >= AT_MOST) break;
  }
  return { times: [median(first), median(second)], note: `medians of ${first.length} turns` };
}
