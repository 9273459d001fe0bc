// The wasm builds against this project's native build, which tests/parity holds to the official code.
import type { Page } from "@playwright/test";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

async function compare(
  page: Page,
  model: string,
  device: "cpu" | "webgpu",
  options: { worker?: boolean; asFile?: boolean } = {},
): Promise<void> {
  await openTestPage(page);
  const result = await page.evaluate(
    ([model, device, options]) => window.tools.compare(model, device, options),
    [model, device, options] as const,
  );
  console.log(`${model} on ${result.device}`);
  console.table(result.differences);
  expect(result.version).toBe(["micro", "micro_q8"].includes(model) ? "2.1" : "2.0");
  expect(result.differences.length).toBeGreaterThanOrEqual(10);
  for (const { name, logits, score, objectScore, iou } of result.differences) {
    expect.soft(logits, `${name}: logits`).toBeLessThanOrEqual(1e-3);
    expect.soft(score, `${name}: score`).toBeLessThanOrEqual(1e-4);
    expect.soft(objectScore, `${name}: object score`).toBeLessThanOrEqual(1e-3);
    expect.soft(iou, `${name}: IoU`).toBeGreaterThanOrEqual(0.999);
  }
}

test("SAM 2.1 on the CPU equals the native build", ({ page }) => compare(page, "micro", "cpu"));

test("EdgeTAM on the CPU equals the native build", ({ page }) => compare(page, "edgetam_micro", "cpu"));

test("EdgeTAM on WebGPU equals the native build", async ({ page }) => {
  test.setTimeout(600_000); // a software adapter takes minutes
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await compare(page, "edgetam_micro", "webgpu");
});

for (const asFile of [false, true]) {
  test(`8-bit weights ${asFile ? "of a file" : "by address"} on the CPU equal the native build`, ({ page }) =>
    compare(page, "micro_q8", "cpu", { asFile }));
}

test("8-bit weights on WebGPU equal the native build", async ({ page }) => {
  test.setTimeout(600_000); // a software adapter takes minutes
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await compare(page, "micro_q8", "webgpu");
});

test("SAM 2.0 on the CPU equals the native build", ({ page }) => compare(page, "micro20", "cpu"));

async function compareEverything(
  page: Page,
  model: string,
  device: "cpu" | "webgpu",
  variants: readonly string[],
): Promise<void> {
  await openTestPage(page);
  const found = await page.evaluate(
    ([model, device, variants]) => window.tools.compareEverything(model, device, variants),
    [model, device, variants] as const,
  );
  console.table(found);
  expect(found.map(({ name }) => name).sort()).toEqual([...variants].sort());
  for (const { name, records, expected, pixels, scores, same } of found) {
    expect.soft(records, name).toBe(expected);
    expect.soft(pixels, `${name}: pixels of a mask that differ`).toBeLessThanOrEqual(2);
    // A pixel that rounding puts on the other side of a threshold changes the stability score of a small mask.
    expect.soft(scores, `${name}: scores`).toBeLessThanOrEqual(3e-4);
    expect.soft(same, `${name}: boxes and points`).toBe(true);
  }
}

const VARIANTS = ["plain", "thr0", "crop1", "crop1_ds2", "m2m", "single", "min_area"];

test("everything in a picture on the CPU equals the native build, SAM 2.1", ({ page }) =>
  compareEverything(page, "micro", "cpu", VARIANTS));

test("everything in a picture on the CPU equals the native build, SAM 2.0", ({ page }) =>
  compareEverything(page, "micro20", "cpu", VARIANTS));

test("everything in a picture on WebGPU equals the native build", async ({ page }) => {
  test.setTimeout(600_000); // a software adapter takes minutes
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await compareEverything(page, "micro", "webgpu", ["plain"]);
});

// The only module that is made at once, and not as it streams in, is the second kernel.
for (const taken of [true, false]) {
  test(`SAM 2.1 on the CPU where relaxed SIMD is ${taken ? "taken" : "refused"}`, async ({ page }) => {
    await page.addInitScript((taken) => {
      const asked: string[] = [];
      WebAssembly.Module = new Proxy(WebAssembly.Module, {
        construct(target, [bytes]: [BufferSource]) {
          asked.push(WebAssembly.validate(bytes) ? "valid" : "not valid");
          if (!taken) throw new WebAssembly.CompileError("unknown opcode");
          return new target(bytes);
        },
      });
      Object.assign(window, { asked });
    }, taken);
    await compare(page, "micro", "cpu", { worker: false });
    expect(await page.evaluate(() => (window as unknown as { asked: string[] }).asked)).toEqual(["valid"]);
  });
}

test("SAM 2.1 on WebGPU equals the native build", async ({ page }) => {
  test.setTimeout(600_000); // a software adapter takes minutes
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await compare(page, "micro", "webgpu");
});

test("WebGPU's pipelines are made while the weights come", async ({ page }) => {
  test.setTimeout(300_000);
  await page.addInitScript(() => {
    const made = { pipelines: 0 };
    const device = (window as unknown as { GPUDevice?: { prototype: Record<string, unknown> } }).GPUDevice;
    for (const name of ["createComputePipeline", "createComputePipelineAsync"]) {
      const make = device?.prototype[name] as ((...args: unknown[]) => unknown) | undefined;
      if (!device || !make) continue;
      device.prototype[name] = function (...args: unknown[]) {
        made.pipelines++;
        return make.apply(this, args);
      };
    }
    Object.assign(window, { made });
  });
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  const [loading, working] = await page.evaluate(async () => {
    const { made } = window as unknown as { made: { pipelines: number } };
    const { tools } = window;
    const sam = await tools.load({ device: "webgpu", worker: false });
    const loading = made.pipelines;
    await tools.click(sam, await tools.fixture("picture.png"));
    sam.dispose();
    return [loading, made.pipelines - loading] as const;
  });
  expect(loading).toBeGreaterThan(20);
  expect(working).toBe(0);
});
