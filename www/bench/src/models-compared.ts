// One of our models beside another, both by sam2-web on the CPU, by turns.
import { CLICK } from "./pair.js";
import type { Plan } from "./plan.js";
import { type Row, row } from "./rows.js";
import { type Calls, type Done, type ModelFiles, Remote } from "./side.js";
import { byTurns } from "./turns.js";

/** What is aimed at for EdgeTAM's video step beside tiny's. */
const STEP_TARGET = 0.2;

/** The rows have the model in the column of ours, and the other in the column of theirs. */
export async function compareModels(
  model: ModelFiles,
  other: ModelFiles,
  plan: Plan,
  say: (doing: string) => void,
): Promise<Row[]> {
  const sides = [model, other].map((files) => ({
    files,
    remote: new Remote(new Worker(new URL("./ours.worker.ts", import.meta.url), { type: "module" })),
  }));
  const each = async <M extends keyof Calls>(
    method: M,
    args: (files: ModelFiles) => Calls[M]["args"],
  ): Promise<[Done<Calls[M]["result"]>, Done<Calls[M]["result"]>]> => {
    const done = [];
    for (const { files, remote } of sides) done.push(await remote.call(method, args(files)));
    return done as [Done<Calls[M]["result"]>, Done<Calls[M]["result"]>];
  };
  const rows: Row[] = [];
  const timed = async (
    work: string,
    turn: () => Promise<[Done<unknown>, Done<unknown>]>,
    target?: number,
  ) => {
    const title = `${work}, cpu, ${model.name} (theirs: ${other.name} by sam2-web)`;
    const { times, note } = await byTurns(plan, (doing) => say(`${title}, ${doing}`), turn);
    rows.push(row(title, times, "ms", target ?? null, note));
  };
  try {
    say(`loading ${model.name} and ${other.name}`);
    await each("load", (files) => ({ model: files, device: "cpu", dry: false }));
    const encode = () => each("encode", () => undefined);
    const click = () => each("decode", () => ({ clicks: [CLICK] }));
    await encode();
    await click();
    await timed("encode", encode);
    await each("beforeDecodes", () => undefined);
    await timed("decode of one click", click);
    await each("beginVideo", () => ({ click: CLICK }));
    for (let frame = 1; frame <= Math.max(model.memories, other.memories); frame++) {
      say(`frame ${frame + 1} of a video with ${model.name} and ${other.name}`);
      await each("follow", () => ({ frame }));
    }
    await timed("video step of an encoded frame", () => each("follow", () => ({})), STEP_TARGET);
  } finally {
    for (const { remote } of sides) remote.close();
  }
  return rows;
}
