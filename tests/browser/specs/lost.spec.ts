// A GPU that is lost in the middle of work, and what comes after.
import type { Page } from "@playwright/test";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

type Loss = "destroy" | "out of memory";

/**
 * Where WebGPU is used, the next thing that is read from a device is the device's end, once that is armed. Written as text,
 * since it goes into a worker's script.
 */
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
      const how = globalThis.armed;
      globalThis.armed = undefined;
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

/** Loads the smallest model on WebGPU as `window.sam`. The answer arms the end of its device. */
async function prepare(page: Page, worker: boolean): Promise<(how: Loss) => Promise<void>> {
  if (worker) {
    await page.route(/worker-webgpu/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: ending + (await response.text()) });
    });
  } else await page.addInitScript(ending);
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await page.evaluate(async (worker) => {
    Object.assign(window, { sam: await window.tools.load({ device: "webgpu", worker }) });
  }, worker);
  return async (how) => {
    const engine = page.workers().findLast((one) => one.url().includes("worker-webgpu"));
    const arm = (how: Loss) => {
      Object.assign(globalThis, { armed: how });
    };
    await (engine ? engine.evaluate(arm, how) : page.evaluate(arm, how));
  };
}

for (const worker of [true, false]) {
  test(`a GPU lost in an encode, a click and a video is survived${worker ? "" : ", without a worker"}`, async ({
    page,
  }) => {
    test.setTimeout(900_000); // a software adapter takes minutes
    const arm = await prepare(page, worker);
    const [areas, video] = await page.evaluate(async () => {
      const { tools, clips, sam } = window;
      const image = await sam.setImage(await tools.fixture("picture.png"));
      const click = { points: [{ x: image.width / 2, y: image.height / 2, label: 1 as const }] };
      const video = await sam.openVideo(await clips.make({ frames: 2 }));
      await video.prompt({ frame: 0, object: 1, points: [{ x: 20, y: 72, label: 1 }] });
      const work: Record<string, () => Promise<unknown>> = {
        encode: async () => sam.setImage(await tools.fixture("picture.png")),
        click: async () => (await image.predict(click)).masks.map(({ area }) => area),
        video: async () => {
          const areas: number[] = [];
          for await (const { masks } of video.propagate()) areas.push(masks[0]?.mask.area ?? -1);
          return areas;
        },
      };
      Object.assign(window, { work });
      return [await work.click?.(), await work.video?.()] as const;
    });
    expect(areas).toHaveLength(3);
    expect(video).toHaveLength(2);
    for (const [name, how, code] of [
      ["encode", "destroy", "DEVICE_LOST"],
      ["click", "destroy", "DEVICE_LOST"],
      ["video", "destroy", "DEVICE_LOST"],
      ["click", "out of memory", "OUT_OF_MEMORY"],
    ] as const) {
      await arm(how);
      const after = await page.evaluate(async (name) => {
        const { sam, work, tools } = window;
        const { code } = await tools.failure(() => work[name]?.());
        const lost = (await sam.lost).code;
        const later = (await tools.failure(() => work.click?.())).code;
        await sam.reload();
        return { code, lost, later, areas: await work.click?.(), video: await work.video?.() };
      }, name);
      expect(after, `${name}, ${how}`).toEqual({ code, lost: code, later: code, areas, video });
    }
  });
}

declare global {
  interface Window {
    sam: import("sam2-web").Sam2;
    work: Record<string, () => Promise<unknown>>;
  }
}
