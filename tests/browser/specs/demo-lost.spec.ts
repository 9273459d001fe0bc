// The demo whose model fails in the middle of an encode, a click and a clip: it goes on by itself, with what was clicked.
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import type { Mask } from "sam2-web";
import { expect, test } from "../support.js";

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

/** The model's worker ends as it does when the browser kills it. */
const kill = (page: Page) =>
  page.evaluate(() => {
    const { workers } = window as unknown as { workers: Worker[] };
    workers
      .findLast((worker) => "isEngine" in worker)
      ?.dispatchEvent(new ErrorEvent("error", { message: "killed" }));
  });

test.beforeEach(async ({ page }) => {
  await page.addInitScript(() => {
    const workers: Worker[] = [];
    const { Worker } = window;
    Object.assign(window, {
      workers,
      Worker: class extends Worker {
        constructor(url: string | URL, options?: WorkerOptions) {
          super(url, options);
          workers.push(this);
          if (/worker-(cpu|webgpu)/.test(String(url))) Object.assign(this, { isEngine: true });
        }
      },
    });
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
  await click(0.3, 0.5);
  await kill(page);
  await eventually(page, ({ points, busy, found }) => points === 2 && found === 1 && !busy).toBe(true);
  await expect(page.locator("#loading")).toBeHidden(SLOW);

  // An encode under way.
  await page.locator("#samples button").nth(2).click();
  await page.waitForFunction(() => !(window as unknown as { __sam2demo: Demo }).__sam2demo.image);
  await kill(page);
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await expect(page.locator("#samples button").nth(2)).toHaveAttribute("aria-pressed", "true");
});

test("lost in the first picture's encode, and while a clip opens", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await expect(page.locator("#status")).toContainText("Looking at the picture", SLOW);
  await kill(page);
  await expect(page.locator("#toasts")).toContainText("nothing you clicked is lost", SLOW);
  await eventually(page, ({ image, busy }) => image && !busy).toBe(true);
  await expect(page.locator("#model")).toContainText("SAM 2.1", SLOW);

  await kill(page);
  await page.locator("#samples button.clip").first().click();
  await expect(page.locator("#track")).toBeVisible(SLOW);
});

test("a clip: lost in a prompt and while it is tracked", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await page.locator("#samples button.clip").first().click();
  await expect(page.locator("#track")).toBeVisible(SLOW);
  await eventually(page, ({ busy }) => busy).toBe(false);
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("no clip is shown");
  await page.mouse.click(area.x + 0.5 * area.width, area.y + 0.5 * area.height);
  await kill(page);
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
