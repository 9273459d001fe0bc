// Takes the measurements. Both libraries are loaded at the same time and take turns, so that whatever else the machine
// does meets both alike.
import { matmulSpeed } from "./matmul.js";
import { compareModels } from "./models-compared.js";
import { Pair, timesMissing } from "./pair.js";
import type { Conditions, Manifest, Plan, Report } from "./plan.js";
import type { Row } from "./rows.js";
import type { ModelFiles } from "./side.js";

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
  const filesOf = (name: string): ModelFiles => {
    const model = made[name];
    if (!model) throw new Error(`models/manifest.json has no ${name}: run ./pkg-scripts/bench`);
    const { side, memories, pointers } = model;
    return { name, side, memories, pointers, base: MODELS };
  };
  for (const device of plan.devices) {
    for (const name of plan.models) {
      const files = filesOf(name);
      if (device === "webgpu" && !adapter) {
        add(...timesMissing(name, device, "this browser has no WebGPU adapter"));
        continue;
      }
      const run = new Pair(files, device, (made[name] as Manifest[string]).gflop, conditions, plan, say, add);
      try {
        await run.measure(device === "webgpu" && software);
      } finally {
        run.close();
      }
    }
  }
  if (plan.devices.includes("cpu") && plan.models.includes("edgetam")) {
    add(...(await compareModels(filesOf("edgetam"), filesOf("tiny"), plan, say)));
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
