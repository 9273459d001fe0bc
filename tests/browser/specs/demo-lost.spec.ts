// The demo whose model fails in the middle of an encode, a click and a clip: it goes on by itself, with what was clicked.
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import type { Mask } from "sam2-web";
import { arm, prepareLoss } from "../lose-gpu.js";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

interface Demo {
  image?: { width: number };
  masks: Mask[] & { count?: number };
  prompts: { points: unknown[]; box?: unknown };
  busy: boolean;
  tracking?: boolean;
  video?: { frameCount?: number };
  /** Of the camera. */
  tracked?: number;
}

const SLOW = { timeout: 150_000 };

/** Of what the visitor sees. */
const state = (page: Page) =>
  page.evaluate(() => {
    const demo = (window as unknown as { __sam2demo: Demo }).__sam2demo;
    const { image, masks, prompts, busy, tracking, video, tracked } = demo;
    return {
      image: !!image,
      found: masks?.count ?? masks?.length ?? 0,
      areas: masks?.count === undefined ? (masks ?? []).map(({ area }) => area) : [],
      points: prompts?.points.length,
      busy,
      tracking,
      frames: video?.frameCount,
      tracked: tracked ?? 0,
    };
  });

const eventually = <T>(page: Page, pick: (now: Awaited<ReturnType<typeof state>>) => T) =>
  expect.poll(async () => pick(await state(page)), SLOW);

/** What the script below keeps on the page's window. */
interface Killing {
  engines: Worker[];
  fatal?: string | undefined;
}

/** The model's worker ends as it does when the browser kills it. */
const kill = (page: Page) =>
  page.evaluate(() => {
    const { engines } = window as unknown as Killing;
    engines.at(-1)?.dispatchEvent(new ErrorEvent("error", { message: "killed" }));
  });

/** It ends so as soon as the next call of this name has gone to it, however soon it would have answered. */
const killInNext = (page: Page, method: string) =>
  page.evaluate((method) => {
    (window as unknown as Killing).fatal = method;
  }, method);

/** Resolves once that has happened. */
const killed = (page: Page) =>
  expect.poll(() => page.evaluate(() => (window as unknown as Killing).fatal), SLOW).toBeUndefined();

test.beforeEach(async ({ page }) => {
  await page.addInitScript(() => {
    const killing = Object.assign(window as unknown as Killing, { engines: [] });
    const { Worker } = window;
    window.Worker = class extends Worker {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        if (/worker-(cpu|webgpu)/.test(String(url))) killing.engines.push(this);
      }
      override postMessage(message: { method?: string }, rest?: Transferable[] | StructuredSerializeOptions) {
        super.postMessage(message, rest as Transferable[]);
        if (!killing.fatal || message.method !== killing.fatal) return;
        killing.fatal = undefined;
        // As any event, not before the caller's own work is done.
        setTimeout(() => this.dispatchEvent(new ErrorEvent("error", { message: "killed" })));
      }
    };
  });
});

test("a picture: lost in the encode, in a click, and while idle", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("no picture is shown");
  const click = (x: number, y: number) => page.mouse.click(area.x + x * area.width, area.y + y * area.height);
  await click(0.5, 0.5);
  await eventually(page, ({ found, busy }) => found > 0 && !busy).toBe(true);
  const before = await state(page);

  await kill(page);
  await expect(page.locator("#toasts")).toContainText("nothing you clicked is lost", SLOW);
  await page.screenshot({
    path: fileURLToPath(new URL("../test-results/demo-lost.png", import.meta.url)),
  });
  await eventually(page, ({ found, busy }) => found > 0 && !busy).toBe(true);
  await expect(page.locator("#loading")).toBeHidden(SLOW);
  await eventually(page, ({ areas }) => areas).toEqual(before.areas);

  // A click under way.
  await killInNext(page, "predict");
  await click(0.3, 0.5);
  await killed(page);
  await eventually(page, ({ points, busy, found }) => points === 2 && found === 1 && !busy).toBe(true);
  await expect(page.locator("#loading")).toBeHidden(SLOW);

  // An encode under way.
  await killInNext(page, "setImage");
  await page.locator("#samples button").nth(2).click();
  await killed(page);
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await expect(page.locator("#samples button").nth(2)).toHaveAttribute("aria-pressed", "true");
});

test("everything in a picture: lost in the search, which begins again", async ({ page }) => {
  await page.goto("/?test&device=cpu");
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  const search = () =>
    page.evaluate(() => {
      const { things, searching } = (
        window as unknown as { __sam2demo: { things: unknown[]; searching: boolean } }
      ).__sam2demo;
      return { things: things.length, searching };
    });
  const whole = async () => {
    await expect.poll(search, SLOW).toMatchObject({ searching: true });
    await expect.poll(search, SLOW).toMatchObject({ searching: false });
    return (await search()).things;
  };
  await page.locator("#everything").click();
  const wanted = await whole();
  expect(wanted).toBeGreaterThan(2);
  await expect(page.locator("#everything")).toContainText("Hide");
  // What was found stays over a loss while idle.
  await kill(page);
  await expect(page.locator("#toasts")).toContainText("nothing you clicked is lost", SLOW);
  await expect(page.locator("#loading")).toBeHidden(SLOW);
  expect(await search()).toEqual({ things: wanted, searching: false });

  await page.keyboard.press("Escape");
  await page.locator("#samples button:not(.clip)").nth(1).click();
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await page.locator("#samples button:not(.clip)").nth(0).click();
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await page.locator("#everything").click();
  await expect.poll(async () => (await search()).things, SLOW).toBeGreaterThan(0);
  await killInNext(page, "nextFound");
  await killed(page);
  await expect.poll(search, SLOW).toMatchObject({ searching: false });
  expect(await whole()).toBe(wanted);
});

test("lost in the first picture's encode, and while a clip opens", async ({ page }) => {
  await page.addInitScript(() => Object.assign(window, { fatal: "setImage" }));
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await expect(page.locator("#toasts")).toContainText("nothing you clicked is lost", SLOW);
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await expect(page.locator("#model")).toContainText("SAM 2.1", SLOW);

  await killInNext(page, "openVideo");
  await page.locator("#samples button.clip").first().click();
  await killed(page);
  await expect(page.locator("#track")).toBeVisible(SLOW);
});

test("a clip: lost in a prompt and while it is tracked", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await page.locator("#samples button.clip").first().click();
  await expect(page.locator("#track")).toBeVisible(SLOW);
  await eventually(page, ({ busy }) => busy).toBe(false);
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("no clip is shown");
  await killInNext(page, "promptVideo");
  await page.mouse.click(area.x + 0.5 * area.width, area.y + 0.5 * area.height);
  await killed(page);
  await eventually(page, ({ found, busy }) => found === 1 && !busy).toBe(true);
  await expect(page.locator(".object")).toHaveCount(1);

  await page.locator("#track").click();
  await eventually(page, ({ found }) => found > 5).toBe(true);
  await kill(page);
  await expect(page.locator("#toasts")).toContainText("nothing you clicked is lost", SLOW);
  await eventually(page, ({ found, frames, tracking }) => found === frames && !tracking).toBe(true);
});

test("the camera goes on, and asks for what it cannot know any more", async ({ page, context }) => {
  await context.grantPermissions(["camera"]);
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await page.locator("#camera").click();
  await expect(page.locator("#stage canvas.clip")).toBeVisible(SLOW);
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("no camera is shown");
  const click = () => page.mouse.click(area.x + 0.5 * area.width, area.y + 0.5 * area.height);
  await click();
  await eventually(page, ({ tracked }) => tracked).toBeGreaterThan(4);
  await kill(page);
  await expect(page.locator("#toasts")).toContainText("click Object 1 again", SLOW);
  const { tracked } = await state(page);
  await click();
  await eventually(page, (now) => now.tracked).toBeGreaterThan(tracked + 2);
  await expect(page.locator(".object")).toHaveCount(1);
});

/** Opens the page on WebGPU, and shows a picture. */
async function openOnGpu(page: Page): Promise<void> {
  test.setTimeout(600_000); // a software adapter takes minutes
  await openTestPage(page);
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  await prepareLoss(page, true);
  await page.goto("/?test&device=webgpu&model=/fixture/micro.safetensors");
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
}

/** Clicks at these fractions of what is shown. */
async function clickAt(page: Page, x: number, y: number): Promise<void> {
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("nothing is shown");
  await page.mouse.click(area.x + x * area.width, area.y + y * area.height);
}

/** The visitor is told of the loss, and the page goes on on WebGPU. */
async function expectRecovery(page: Page): Promise<void> {
  await expect(page.locator("#toasts")).toContainText("The GPU was lost", SLOW);
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await expect(page.locator("#device")).toHaveText("WebGPU");
}

test("GPUDevice.destroy() in an encode", async ({ page }) => {
  await openOnGpu(page);
  await arm(page, "destroy");
  await page.locator("#samples button").nth(2).click();
  await expectRecovery(page);
  await expect(page.locator("#samples button").nth(2)).toHaveAttribute("aria-pressed", "true");
  await clickAt(page, 0.5, 0.5);
  await eventually(page, ({ found, busy }) => found > 0 && !busy).toBe(true);
});

test("GPUDevice.destroy() in a click", async ({ page }) => {
  await openOnGpu(page);
  await clickAt(page, 0.5, 0.5);
  await eventually(page, ({ found, busy }) => found > 0 && !busy).toBe(true);
  await arm(page, "destroy");
  await clickAt(page, 0.3, 0.5);
  await expectRecovery(page);
  await eventually(page, ({ points, found, busy }) => points === 2 && found === 1 && !busy).toBe(true);
});

test("GPUDevice.destroy() while a clip is tracked", async ({ page }) => {
  await openOnGpu(page);
  // Shorter than the page's own.
  const clip = await page.context().newPage();
  await openTestPage(clip);
  const bytes = await clip.evaluate(async () => {
    const made = await window.clips.make({ frames: 4, width: 160, height: 120 });
    return [...new Uint8Array(await made.arrayBuffer())];
  });
  await clip.close();
  await page
    .locator("#file")
    .setInputFiles({ name: "clip.mp4", mimeType: "video/mp4", buffer: Buffer.from(bytes) });
  await expect(page.locator("#track")).toBeVisible(SLOW);
  await clickAt(page, 0.1, 0.75);
  await eventually(page, ({ found, busy }) => found === 1 && !busy).toBe(true);
  // Every frame is read at least once, so that it ends before the last of the four.
  await arm(page, "destroy", 1);
  await page.locator("#track").click();
  await expect(page.locator("#toasts")).toContainText("The GPU was lost", SLOW);
  await eventually(page, ({ found, tracking }) => found === 4 && !tracking).toBe(true);
  await expect(page.locator("#device")).toHaveText("WebGPU");
  await expect(page.locator(".object")).toHaveCount(1);
});
