// Both libraries with one model on one device in alternation, and the rows that come of it.
import type { Counts } from "./counters.js";
import type { Conditions, Manifest, Plan } from "./plan.js";
import { median, type Row, row, unmeasured } from "./rows.js";
import { type Calls, type Click, type Device, type Done, type ModelFiles, Remote } from "./side.js";
import { byTurns } from "./turns.js";

type Gflop = Manifest[string]["gflop"];

export const CLICK: Click = [0.3, 0.45];
/** An even grid. */
const CLICKS: Click[] = Array.from({ length: 64 }, (_, i) => [
  ((i % 8) + 0.5) / 8,
  (Math.floor(i / 8) + 0.5) / 8,
]);
/** Logits beyond this are cut off by sam2-web, as by the official predictor. */
const LOGIT_LIMIT = 32;
/** The outputs must be this close, or the timings compare different work. */
const CLOSE = 0.02;
/** In a video memories are rounded to bfloat16, so that the least difference between two frames grows in the next. */
const CLOSE_IN_VIDEO = 0.05;
/** A video step that costs more operations than this takes half a minute on a CPU, whose bank is then filled less. */
const LONG_STEP_GFLOP = 200;
/** What is aimed at for every time of EdgeTAM on a CPU. */
const EDGETAM_TARGET = 0.7;

/** The rows that are times: what is aimed at, and how many operations it is. */
const TIMES: readonly {
  work: string;
  targets: Record<Device, number | null>;
  operations: (gflop: Gflop) => number;
}[] = [
  { work: "encode", targets: { cpu: 0.8, webgpu: 0.5 }, operations: ({ encode }) => encode },
  { work: "decode of one click", targets: { cpu: 0.5, webgpu: 0.5 }, operations: ({ decode }) => decode },
  {
    work: "decode of 64 clicks",
    targets: { cpu: 0.6, webgpu: null },
    operations: ({ decode64 }) => decode64,
  },
  {
    work: "video step",
    targets: { cpu: null, webgpu: null },
    operations: ({ encode, track }) => encode + track,
  },
  {
    work: "video step of an encoded frame",
    targets: { cpu: null, webgpu: null },
    operations: ({ track }) => track,
  },
];

function targetOf(work: string, device: Device, model: string): number | null {
  if (model === "edgetam" && device === "cpu") return EDGETAM_TARGET;
  return TIMES.find((time) => time.work === work)?.targets[device] ?? null;
}

const titleOf = (work: string, device: Device, model: string) => `${work}, ${device}, ${model}`;

/** The times of a model on a device, where they can't be taken. */
export function timesMissing(model: string, device: Device, reason: string): Row[] {
  return TIMES.map(({ work }) =>
    unmeasured(titleOf(work, device, model), "ms", targetOf(work, device, model), reason),
  );
}

export class Pair {
  readonly #ours: Remote;
  readonly #theirs: Remote;
  readonly #files: ModelFiles;
  readonly #device: Device;
  readonly #gflop: Gflop;
  readonly #conditions: Conditions;
  readonly #plan: Plan;
  readonly #say: (doing: string) => void;
  readonly #tell: (...rows: Row[]) => void;
  readonly #times = new Map<string, Row>();
  /** Dispatches are counted, not run. */
  #dry = false;

  constructor(
    files: ModelFiles,
    device: Device,
    gflop: Gflop,
    conditions: Conditions,
    plan: Plan,
    say: (doing: string) => void,
    tell: (...rows: Row[]) => void,
  ) {
    this.#files = files;
    this.#device = device;
    this.#gflop = gflop;
    this.#conditions = conditions;
    this.#plan = plan;
    this.#say = (doing) => say(`${files.name}, ${device}: ${doing}`);
    this.#tell = tell;
    this.#ours = new Remote(new Worker(new URL("./ours.worker.ts", import.meta.url), { type: "module" }));
    this.#theirs = new Remote(
      device === "cpu"
        ? new Worker(new URL("./theirs-cpu.worker.ts", import.meta.url), { type: "module" })
        : new Worker(new URL("./theirs-webgpu.worker.ts", import.meta.url), { type: "module" }),
    );
  }

  close(): void {
    this.#ours.close();
    this.#theirs.close();
  }

  /** On a software GPU nano takes minutes a turn and tiny half an hour, so that there most is only counted. */
  async measure(software: boolean): Promise<void> {
    this.#dry = software && !(this.#plan.slow && this.#gflop.encode < 50);
    this.#say("loading");
    await this.#both("load", { model: this.#files, device: this.#device, dry: this.#dry });
    await this.#picture(software);
    if (software && !this.#dry) {
      this.#dry = true;
      await this.#both("countOnly", undefined);
    }
    try {
      await this.#video();
    } catch (error) {
      this.#missing(`stopped: ${error instanceof Error ? error.message : error}`);
    }
    this.#missing("minutes a turn on a software adapter; the counts are of dispatches that were not run");
    if (this.#device === "webgpu") this.#shares();
  }

  /** Encodes and decodes of one picture. */
  async #picture(software: boolean): Promise<void> {
    // The first of each is not timed: pipelines are made, and code is compiled.
    this.#say("first encode");
    const first = await this.#both("encode", undefined);
    this.#say("first decode");
    const click = await this.#both("decode", { clicks: [CLICK] });
    if (!this.#dry) {
      const mask = click[0].result[1];
      const refined = mask && (await this.#both("decode", { clicks: [CLICK], mask }));
      const difference = Math.max(apart(...click), refined ? apart(...refined) : 0);
      this.#conditions.differences[`${this.#files.name}, ${this.#device}`] = difference;
      if (!(difference < CLOSE)) throw new Error(this.#otherWork(difference));
    }

    // Once more, warm: what an encode and a click cost in calls to the GPU.
    if (this.#device === "webgpu") {
      this.#say("counting");
      const encode = software ? await this.#both("encode", undefined) : first;
      const decode = await this.#both("decode", { clicks: [CLICK] });
      this.#counted("encode", encode);
      this.#counted("decode of one click", decode);
      this.#tell(
        row(
          this.#title("pipelines made by the first encode and decode"),
          pipelines(first, click),
          "pipelines",
        ),
        row(
          this.#title("GPU buffers, at most at once, encode and decode"),
          pick(decode, "peakBuffers", 1e6),
          "MB",
        ),
      );
      if (software && !this.#dry) {
        // Minutes each, so the counted turn is the timed one, and one turn more is taken.
        const again = await this.#both("encode", undefined);
        const encodes = [0, 1].map((side) => median([encode[side]?.ms ?? NaN, again[side]?.ms ?? NaN]));
        this.#time("encode", encodes, "medians of 2 turns");
        await this.#timed("decode of one click", () => this.#both("decode", { clicks: [CLICK] }));
      }
    }
    if (software) return;
    await this.#timed("encode", () => this.#both("encode", undefined));
    this.#say("ready for prompts");
    await this.#ours.call("beforeDecodes", undefined);
    await this.#timed("decode of one click", () => this.#both("decode", { clicks: [CLICK] }));
    await this.#both("decode", { clicks: CLICKS });
    await this.#timed("decode of 64 clicks", () => this.#both("decode", { clicks: CLICKS }));
    await this.#wasmMemory("encode and decode");
  }

  /** An object followed through a made-up clip until what is remembered of it is full, and from there on timed. */
  async #video(): Promise<void> {
    const { name, memories, pointers } = this.#files;
    const long = this.#device === "cpu" && this.#gflop.track > LONG_STEP_GFLOP;
    const fill = long ? memories : pointers;
    this.#say("first frame of a video");
    const prompted = await this.#both("beginVideo", { click: CLICK });
    let difference = 0;
    let seen = 0;
    const compare = ([ours, theirs]: Pairs<Float32Array>) => {
      if (this.#dry) return;
      if (ours.result.some((logit) => logit > 0)) seen++;
      difference = Math.max(difference, apart({ result: [ours.result] }, { result: [theirs.result] }));
      if (!(difference < CLOSE_IN_VIDEO)) throw new Error(this.#otherWork(difference));
    };
    compare(prompted);
    let frame = 0;
    const step = async (): Promise<Pairs<Float32Array>> => {
      const done = await this.#both("follow", { frame: ++frame });
      compare(done);
      return done;
    };
    while (frame < fill) {
      this.#say(`frame ${frame + 1} of a video, until ${fill} are remembered`);
      await step();
    }
    if (this.#device === "webgpu") {
      const done = await step();
      this.#counted("video step", done);
      this.#tell(
        row(this.#title("GPU buffers, at most at once, video too"), pick(done, "peakBuffers", 1e6), "MB"),
      );
    }
    if (this.#dry) return;
    const bank = `${memories} memories, ${long ? `${fill} or more` : fill} pointers`;
    await this.#timed("video step", step, bank);
    const again = async () => {
      const done = await this.#both("follow", {});
      compare(done);
      return done;
    };
    await this.#timed("video step of an encoded frame", again, bank);
    this.#conditions.differences[`${name}, ${this.#device}, video of ${frame} frames`] = difference;
    this.#conditions.seen[`${name}, ${this.#device}`] = seen > 0;
    await this.#wasmMemory("encode, decode and video");
  }

  /** Turns, ours and theirs, until the budget is spent. */
  async #timed(work: string, turn: () => Promise<Pairs<unknown>>, more?: string): Promise<void> {
    const { times, note } = await byTurns(this.#plan, (doing) => this.#say(`${work}, ${doing}`), turn);
    this.#time(work, times, more ? `${note}; ${more}` : note);
  }

  #time(work: string, [ours = NaN, theirs = NaN]: readonly number[], note: string): void {
    const target = targetOf(work, this.#device, this.#files.name);
    const timed = row(this.#title(work), [ours, theirs], "ms", target, note);
    this.#times.set(work, timed);
    this.#tell(timed);
  }

  /** The times that have not been taken. */
  #missing(reason: string): void {
    for (const [i, missing] of timesMissing(this.#files.name, this.#device, reason).entries()) {
      const { work } = TIMES[i] ?? { work: "" };
      if (this.#times.has(work)) continue;
      this.#times.set(work, missing);
      this.#tell(missing);
    }
  }

  /** Of the speed at which this adapter multiplies plain matrices. */
  #shares(): void {
    const { matmul } = this.#conditions;
    for (const { work, operations } of TIMES) {
      const time = this.#times.get(work);
      const share = (ms: number | null | undefined) =>
        ms && matmul ? (operations(this.#gflop) / ms / matmul) * 1e5 : null;
      this.#tell(
        row(
          this.#title(`share of a plain matrix product's speed: ${work}`),
          [share(time?.ours), share(time?.theirs)],
          "%",
          null,
          time?.ours === null ? time.note : undefined,
        ),
      );
    }
  }

  #counted(work: string, done: Pairs<unknown>): void {
    this.#tell(
      row(this.#title(`dispatches of ${work}`), pick(done, "dispatches"), "dispatches", 0.7),
      row(this.#title(`bytes bound to the kernels of ${work}`), pick(done, "bound", 1e6), "MB"),
      row(this.#title(`bytes uploaded by ${work}`), pick(done, "uploaded", 1e3), "kB"),
      row(this.#title(`bytes read back by ${work}`), pick(done, "readBack", 1e3), "kB"),
    );
  }

  async #wasmMemory(after: string): Promise<void> {
    const levels = await this.#both("decode", { clicks: [CLICK] });
    this.#tell(row(this.#title(`wasm memory, ${after}`), pick(levels, "wasm", 1e6), "MB"));
  }

  #title(work: string): string {
    return titleOf(work, this.#device, this.#files.name);
  }

  #otherWork(difference: number): string {
    return `${this.#files.name} on ${this.#device}: the logits differ by ${difference}, so this is not the same work`;
  }

  async #both<M extends keyof Calls>(method: M, args: Calls[M]["args"]): Promise<Pairs<Calls[M]["result"]>> {
    const ours = await this.#ours.call(method, args);
    return [ours, await this.#theirs.call(method, args)];
  }
}

/** A call's outcome, ours and theirs. */
export type Pairs<T> = [Done<T>, Done<T>];

function pick([ours, theirs]: Pairs<unknown>, what: keyof Counts, unit = 1): [number, number] {
  return [ours.counts[what] / unit, theirs.counts[what] / unit];
}

function pipelines(first: Pairs<unknown>, second: Pairs<unknown>): [number, number] {
  const [a, b] = [pick(first, "pipelines"), pick(second, "pipelines")];
  return [a[0] + b[0], a[1] + b[1]];
}

/** The greatest difference between both sides' logits; NaN if they are not as many. */
function apart(ours: { result: Float32Array[] }, theirs: { result: Float32Array[] }): number {
  const cut = (logit = NaN) => Math.max(-LOGIT_LIMIT, Math.min(LOGIT_LIMIT, logit));
  let difference = ours.result.length === theirs.result.length ? 0 : NaN;
  ours.result.forEach((mask, m) => {
    for (let i = 0; i < mask.length; i++) {
      const here = Math.abs(cut(mask[i]) - cut(theirs.result[m]?.[i]));
      if (!(here <= difference)) difference = here;
    }
  });
  return difference;
}
