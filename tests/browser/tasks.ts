// How long a page's thread is busy at a time.
import type { Browser, Page } from "@playwright/test";

/** Events of Chromium's trace that are looked at here. */
interface TraceEvent {
  name: string;
  pid: number;
  tid: number;
  args: { name?: string };
  /** Microseconds: how long it lasted, and for how long of that a processor worked on it. */
  dur?: number;
  tdur?: number;
}

/**
 * The longest task of the page's thread during `work`, in milliseconds: of the processor's time, which does not depend on
 * what else the machine does, and by the clock, as `longtask` entries have it.
 */
export async function longestTask(
  browser: Browser,
  page: Page,
  work: () => Promise<void>,
): Promise<{ processorMs: number; clockMs: number }> {
  await browser.startTracing(page, { categories: ["disabled-by-default-devtools.timeline", "__metadata"] });
  await work();
  const { traceEvents }: { traceEvents: TraceEvent[] } = JSON.parse((await browser.stopTracing()).toString());
  const thread = ({ pid, tid }: TraceEvent) => `${pid} ${tid}`;
  const named = traceEvents.filter(({ name }) => name === "thread_name");
  const mains = new Set(named.filter(({ args }) => args.name === "CrRendererMain").map(thread));
  // One that has not ended with the trace came after the work.
  const tasks = traceEvents.filter(
    (event) => event.name === "RunTask" && mains.has(thread(event)) && event.dur !== undefined,
  );
  if (!tasks.length) throw new Error("the trace has no tasks of the page's thread");
  const longest = (of: (task: TraceEvent) => number | undefined) =>
    Math.max(...tasks.map((task) => (of(task) ?? Number.NaN) / 1000));
  return { processorMs: longest(({ tdur }) => tdur), clockMs: longest(({ dur }) => dur) };
}
