// Ends a page's GPU device in the middle of work.
import type { Page } from "@playwright/test";

export type Loss = "destroy" | "out of memory";

/** A script for a page or a worker: once `armed` is set, the device ends at the next read from it, or after some more. */
const ending = `{
  const { GPUAdapter, GPUBuffer } = globalThis;
  if (GPUAdapter) {
    let device;
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      device = await requestDevice.apply(this, args);
      return device;
    };
    const { mapAsync } = GPUBuffer.prototype;
    GPUBuffer.prototype.mapAsync = function (...args) {
      const { armed } = globalThis;
      const how = armed && armed.reads-- === 0 ? armed.how : undefined;
      if (how) globalThis.armed = undefined;
      const mapped = mapAsync.apply(this, args);
      if (how === "destroy") device.destroy();
      if (how === "out of memory") {
        const error = new GPUOutOfMemoryError("no room for a buffer");
        device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
      }
      return mapped;
    };
  }
}`;

/** Call it before the page is opened. `worker`: whether the model runs in a worker. */
export async function prepareLoss(page: Page, worker: boolean): Promise<void> {
  if (worker) {
    await page.route(/worker-webgpu/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: ending + (await response.text()) });
    });
  } else await page.addInitScript(ending);
}

/** The device of the model that was loaded last ends at the next read from it, or when `reads` more have gone well. */
export async function arm(page: Page, how: Loss, reads = 0): Promise<void> {
  const engine = page.workers().findLast((one) => one.url().includes("worker-webgpu"));
  const arm = (armed: { how: Loss; reads: number }) => {
    Object.assign(globalThis, { armed });
  };
  await (engine ? engine.evaluate(arm, { how, reads }) : page.evaluate(arm, { how, reads }));
}
