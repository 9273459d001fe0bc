// What is measured, in which order. Both libraries are loaded at the same time and take turns, so that whatever else
// the machine does meets both alike.
import { matmulSpeed } from "./matmul.js";
import { Pair, timesMissing } from "./pair.js";
import type { Row } from "./rows.js";
import type { Device, ModelFiles } from "./side.js";

export interface Plan {
  devices: Device[];
  models: string[];
  /** Milliseconds spent on a row once both sides are warm; at least `least` turns each, in any case. */
  budgetMs: number;
  least: number;
  /** On a software adapter, also runs what it counts: half an hour and more. */
  slow: boolean;
}

/** As export_onnx.py writes it. */
export interface Manifest {
  [model: string]: {
    side: number;
    memories: number;
    pointers: number;
    gflop: { encode: number; decode: number; decode64: number; track: number };
  };
}

export interface Conditions {
  userAgent: string;
  cores: number;
  adapter: string | null;
  /** Whether that is no GPU but a program. */
  software: boolean;
  /** GFLOP/s of a plain matrix product on the adapter. */
  matmul: number | null;
  /** Greatest difference of logits between the two, by model and device: of a click and a refined one, of a video. */
  differences: Record<string, number>;
  /** Whether the video's object was seen in any frame: weights that are made up may see nothing. */
  seen: Record<string, boolean>;
}

export interface Report {
  conditions: Conditions;
  rows: Row[];
}

const MODELS = new URL("models/", document.baseURI).href;

/** The models that are beside the page. */
export async function manifest(): Promise<Manifest> {
  const file = `${MODELS}manifest.json`;
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file} is missing: ./pkg-scripts/bench --page makes it`);
  return response.json();
}

export async function measure(
  plan: Plan,
  say: (doing: string) => void,
  tell: (row: Row) => void,
): Promise<Report> {
  const made = await manifest();
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
    software,
    matmul: null,
    differences: {},
    seen: {},
  };
  if (adapter) {
    say("a plain matrix product on the GPU");
    conditions.matmul = await matmulSpeed(adapter, software);
  }
  for (const device of plan.devices) {
    for (const name of plan.models) {
      const model = made[name];
      if (!model) throw new Error(`models/manifest.json has no ${name}: run ./pkg-scripts/bench`);
      const { side, memories, pointers } = model;
      const files: ModelFiles = { name, side, memories, pointers, base: MODELS };
      if (device === "webgpu" && !adapter) {
        add(...timesMissing(name, device, "this browser has no WebGPU adapter"));
        continue;
      }
      const run = new Pair(files, device, model.gflop, conditions, plan, say, add);
      try {
        await run.measure(device === "webgpu" && software);
      } finally {
        run.close();
      }
    }
  }
  return { conditions, rows };
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
