// A GPU that is lost in the middle of work, and what comes after.
import type { Page } from "@playwright/test";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

/** Where WebGPU is used, devices are remembered, to be destroyed. Written as text, since it goes into a worker's script. */
const remember = `{
  const request = globalThis.GPUAdapter?.prototype.requestDevice;
  globalThis.devices = [];
  if (request) GPUAdapter.prototype.requestDevice = async function (...args) {
    const device = await request.apply(this, args);
    globalThis.devices.push(device);
    return device;
  };
}`;

type Loss = "destroy" | "out of memory";

/** Runs on the page, or in its worker. */
function lose(how: Loss): number {
  const { devices } = globalThis as unknown as {
    devices: { destroy(): void; dispatchEvent(event: Event): void }[];
  };
  const device = devices.at(-1);
  if (how === "destroy") device?.destroy();
  else {
    const { GPUUncapturedErrorEvent, GPUOutOfMemoryError } = globalThis as never as Record<
      string,
      new (
        ...args: unknown[]
      ) => Event
    >;
    if (!GPUUncapturedErrorEvent || !GPUOutOfMemoryError) throw new Error("this is no WebGPU");
    const error = new GPUOutOfMemoryError("no room for a buffer");
    device?.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
  }
  return devices.length;
}

/** Loads the smallest model on WebGPU as `window.sam`. */
async function prepare(page: Page, worker: boolean): Promise<(how: Loss) => Promise<number>> {
  if (worker) {
    await page.route(/worker-webgpu/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: remember + (await response.text()) });
    });
  } else await page.addInitScript(remember);
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await page.evaluate(async (worker) => {
    Object.assign(window, { sam: await window.tools.load({ device: "webgpu", worker }) });
  }, worker);
  return async (how) => {
    if (!worker) return page.evaluate(lose, how);
    const [engine] = page.workers().filter((one) => one.url().includes("worker-webgpu"));
    if (!engine) throw new Error("there is no worker");
    return engine.evaluate(lose, how);
  };
}

for (const worker of [true, false]) {
  test(`a GPU lost in an encode, a click and a video is survived${worker ? "" : ", without a worker"}`, async ({
    page,
  }) => {
    test.setTimeout(900_000); // a software adapter takes minutes
    const loses = await prepare(page, worker);
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
      await page.evaluate((name) => {
        const underWay = window.tools.failure(() => window.work[name]?.());
        Object.assign(window, { underWay });
      }, name);
      await loses(how);
      const after = await page.evaluate(async () => {
        const { sam, work, tools } = window;
        const { code } = await window.underWay;
        const lost = (await sam.lost).code;
        const later = (await tools.failure(() => work.click?.())).code;
        await sam.reload();
        return { code, lost, later, areas: await work.click?.(), video: await work.video?.() };
      });
      expect(after, `${name}, ${how}`).toEqual({ code, lost: code, later: code, areas, video });
    }
  });
}

declare global {
  interface Window {
    sam: import("sam2-web").Sam2;
    work: Record<string, () => Promise<unknown>>;
    underWay: Promise<{ code: string }>;
  }
}
