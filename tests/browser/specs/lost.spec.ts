// A GPU that is lost in the middle of work, and what comes after.
import type { Page } from "@playwright/test";
import { arm, prepareLoss } from "../lose-gpu.js";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

/** Loads the smallest model on WebGPU as `window.sam`. */
async function prepare(page: Page, worker: boolean): Promise<void> {
  await prepareLoss(page, worker);
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await page.evaluate(async (worker) => {
    Object.assign(window, { sam: await window.tools.load({ device: "webgpu", worker }) });
  }, worker);
}

for (const worker of [true, false]) {
  test(`a GPU lost in an encode, a click and a video is survived${worker ? "" : ", without a worker"}`, async ({
    page,
  }) => {
    test.setTimeout(900_000); // a software adapter takes minutes
    await prepare(page, worker);
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
      await arm(page, how);
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
