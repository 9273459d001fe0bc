// What is measured, in which order. Both libraries are loaded at the same time and take turns, so that whatever else
// the machine does meets both alike.
import type { Counts } from "./counters.js";
import { matmulSpeed } from "./matmul.js";
import { median, type Row, row, unmeasured } from "./rows.js";
import { type Calls, type Click, type Device, type Done, type ModelFiles, Remote } from "./side.js";

export interface Plan {
  devices: Device[];
  models: string[];
  /** Milliseconds spent on a row once both sides are warm; at least `least` turns each, in any case. */
  budgetMs: number;
  least: number;
  /** On a software adapter, also runs what it counts: half an hour and more. */
  slow: boolean;
}

export interface Manifest {
  [model: string]: { side: number; gflop: { encode: number; decode: number; decode64: number } };
}

export interface Conditions {
  userAgent: string;
  cores: number;
  adapter: string | null;
  /** GFLOP/s of a plain matrix product on the adapter. */
  matmul: number | null;
  /** Greatest difference of logits between the two, of a click and of a refined one, by model and device. */
  differences: Record<string, number>;
}

export interface Report {
  conditions: Conditions;
  rows: Row[];
}

const CLICK: Click = [0.3, 0.45];
/** An even grid. */
const CLICKS: Click[] = Array.from({ length: 64 }, (_, i) => [
  ((i % 8) + 0.5) / 8,
  (Math.floor(i / 8) + 0.5) / 8,
]);
/** Logits beyond this are cut off by sam2-web, as by the official predictor. */
const LOGIT_LIMIT = 32;
/** The outputs must be this close, or the timings compare different work. */
const CLOSE = 0.02;

export async function measure(
  plan: Plan,
  say: (doing: string) => void,
  tell: (row: Row) => void,
): Promise<Report> {
  const base = new URL("models/", document.baseURI).href;
  const manifest = (await (await fetch(`${base}manifest.json`)).json()) as Manifest;
  const adapter = plan.devices.includes("webgpu") ? await navigator.gpu?.requestAdapter() : null;
  const software = !!adapter && isSoftware(adapter);
  const rows: Row[] = [];
  const add = (...more: Row[]) => {
    for (const each of more) {
      rows.push(each);
      tell(each);
    }
  };
  const conditions: Conditions = {
    userAgent: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    adapter: adapter ? describe(adapter) : null,
    matmul: null,
    differences: {},
  };
  if (adapter) {
    say("a plain matrix product on the GPU");
    conditions.matmul = await matmulSpeed(adapter, software);
  }
  for (const device of plan.devices) {
    for (const name of plan.models) {
      const model = manifest[name];
      if (!model) throw new Error(`models/manifest.json has no ${name}: run ./pkg-scripts/bench`);
      const files: ModelFiles = { name, side: model.side, base };
      if (device === "webgpu" && !adapter) {
        add(unmeasured(`encode, webgpu, ${name}`, "ms", 0.5, "this browser has no WebGPU adapter"));
        continue;
      }
      // A software adapter takes minutes for nano and half an hour for tiny: there dispatches are only counted.
      const dry = device === "webgpu" && software && !(plan.slow && model.gflop.encode < 50);
      const run = new Pair(files, device, dry, plan, say);
      try {
        add(...(await run.measure(model.gflop, conditions, software)));
      } finally {
        run.close();
      }
    }
  }
  return { conditions, rows };
}

/** Both libraries with one model on one device. */
class Pair {
  readonly #ours: Remote;
  readonly #theirs: Remote;
  readonly #files: ModelFiles;
  readonly #device: Device;
  readonly #dry: boolean;
  readonly #plan: Plan;
  readonly #say: (doing: string) => void;

  constructor(files: ModelFiles, device: Device, dry: boolean, plan: Plan, say: (doing: string) => void) {
    this.#files = files;
    this.#device = device;
    this.#dry = dry;
    this.#plan = plan;
    this.#say = (doing) => say(`${files.name}, ${device}: ${doing}`);
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

  async measure(gflop: Manifest[string]["gflop"], conditions: Conditions, software: boolean): Promise<Row[]> {
    const { name } = this.#files;
    const device = this.#device;
    const title = (work: string) => `${work}, ${device}, ${name}`;
    this.#say("loading");
    await this.#both("load", { model: this.#files, device: this.#device, dry: this.#dry });

    // The first of each is not timed: pipelines are made, and code is compiled.
    this.#say("first encode");
    const first = await this.#both("encode", undefined);
    this.#say("first decode");
    const click = await this.#both("decode", { clicks: [CLICK] });
    const rows: Row[] = [];
    if (!this.#dry) {
      const mask = click[0].result[1];
      const refined = mask && (await this.#both("decode", { clicks: [CLICK], mask }));
      const difference = Math.max(greatest(click), refined ? greatest(refined) : 0);
      conditions.differences[`${name}, ${device}`] = difference;
      if (!(difference < CLOSE)) {
        throw new Error(
          `${name} on ${device}: the logits differ by ${difference}, so this is not the same work`,
        );
      }
    }

    // Once more, warm: what an encode and a click cost in calls to the GPU.
    if (device === "webgpu") {
      this.#say("counting");
      const encode = this.#dry || software ? await this.#both("encode", undefined) : first;
      const decode = await this.#both("decode", { clicks: [CLICK] });
      rows.push(
        ...this.#counterRows("encode", encode, title),
        ...this.#counterRows("decode of one click", decode, title),
      );
      rows.push(
        row(title("pipelines made by the first encode and decode"), pipelines(first, click), "pipelines"),
        row(title("GPU buffers, at most at once"), pick(decode, "peakBuffers", 1e6), "MB"),
      );
      if (!this.#dry && software) {
        // Minutes each, so the counted turn is the timed one, and one turn more is taken.
        const again = await this.#both("encode", undefined);
        const encodes = [0, 1].map((side) =>
          median([encode[side]?.ms ?? Number.NaN, again[side]?.ms ?? Number.NaN]),
        );
        rows.push(row(title("encode"), pair(encodes), "ms", 0.5));
        rows.push(await this.#timed(title("decode of one click"), 0.5, { clicks: [CLICK] }));
      }
    }
    if (this.#dry) {
      const reason = "minutes a turn on a software adapter; what is above was counted without being run";
      for (const work of ["encode", "decode of one click"]) {
        rows.push(unmeasured(title(work), "ms", 0.5, reason));
      }
    } else if (!(device === "webgpu" && software)) {
      const cpu = device === "cpu";
      rows.push(await this.#timed(title("encode"), cpu ? 0.8 : 0.5));
      this.#say("ready for prompts");
      await this.#ours.call("beforeDecodes", undefined);
      rows.push(await this.#timed(title("decode of one click"), 0.5, { clicks: [CLICK] }));
      await this.#both("decode", { clicks: CLICKS });
      rows.push(await this.#timed(title("decode of 64 clicks"), cpu ? 0.6 : null, { clicks: CLICKS }));
    }
    if (device === "cpu") {
      const levels = await this.#both("decode", { clicks: [CLICK] });
      rows.push(row(title("wasm memory after all that"), pick(levels, "wasm", 1e6), "MB"));
    } else if (conditions.matmul && !this.#dry) {
      const timed = rows.find(({ work }) => work === title("encode"));
      const share = (ms: number | null | undefined) =>
        ms && (gflop.encode / ms / (conditions.matmul ?? 1)) * 1e5;
      const shares = [share(timed?.ours) ?? null, share(timed?.theirs) ?? null] as const;
      rows.push(row(title("encode's share of a plain matrix product's speed"), shares, "%"));
    }
    return rows;
  }

  /** Turns, ours and theirs, until the budget is spent. */
  async #timed(work: string, target: number | null, decode?: Calls["decode"]["args"]): Promise<Row> {
    const times: [number[], number[]] = [[], []];
    const start = performance.now();
    while (times[0].length < this.#plan.least || performance.now() - start < this.#plan.budgetMs) {
      this.#say(`${work}, turn ${times[0].length + 1}`);
      const [ours, theirs] = decode
        ? await this.#both("decode", decode)
        : await this.#both("encode", undefined);
      times[0].push(ours.ms);
      times[1].push(theirs.ms);
      if (times[0].length >= 40) break;
    }
    return row(
      work,
      [median(times[0]), median(times[1])],
      "ms",
      target,
      `medians of ${times[0].length} turns`,
    );
  }

  #counterRows(work: string, done: Both, title: (work: string) => string): Row[] {
    return [
      row(title(`dispatches of ${work}`), pick(done, "dispatches"), "dispatches", 0.7),
      row(title(`bytes bound to the kernels of ${work}`), pick(done, "bound", 1e6), "MB"),
      row(title(`bytes uploaded by ${work}`), pick(done, "uploaded", 1e3), "kB"),
      row(title(`bytes read back by ${work}`), pick(done, "readBack", 1e3), "kB"),
    ];
  }

  async #both<M extends keyof Calls>(
    method: M,
    args: Calls[M]["args"],
  ): Promise<[Done<Calls[M]["result"]>, Done<Calls[M]["result"]>]> {
    const ours = await this.#ours.call(method, args);
    return [ours, await this.#theirs.call(method, args)];
  }
}

type Both = readonly [{ counts: Counts }, { counts: Counts }];

function pick([ours, theirs]: Both, what: keyof Counts, unit = 1): [number, number] {
  return [ours.counts[what] / unit, theirs.counts[what] / unit];
}

function pipelines(first: Both, second: Both): [number, number] {
  const [a, b] = [pick(first, "pipelines"), pick(second, "pipelines")];
  return [a[0] + b[0], a[1] + b[1]];
}

function pair([ours = Number.NaN, theirs = Number.NaN]: number[]): [number, number] {
  return [ours, theirs];
}

/** Between both sides' logits; NaN if they are not as many. */
function greatest([ours, theirs]: [Done<Float32Array[]>, Done<Float32Array[]>]): number {
  let difference = ours.result.length === theirs.result.length ? 0 : Number.NaN;
  ours.result.forEach((mask, m) => {
    for (let i = 0; i < mask.length; i++) {
      const cut = Math.max(-LOGIT_LIMIT, Math.min(LOGIT_LIMIT, theirs.result[m]?.[i] ?? Number.NaN));
      const apart = Math.abs((mask[i] ?? Number.NaN) - cut);
      if (!(apart <= difference)) difference = apart;
    }
  });
  return difference;
}

function isSoftware({ info }: GPUAdapter): boolean {
  return (
    info.isFallbackAdapter ||
    /swiftshader|llvmpipe|lavapipe|basic render/i.test(describe({ info } as GPUAdapter))
  );
}

function describe({ info }: GPUAdapter): string {
  return [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(" ");
}
