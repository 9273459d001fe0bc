// The demo with pictures that readers treat differently: what the visitor sees is what the model sees.
import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import type { Mask } from "sam2-web";
import { DISC, expectPixels, iouWithDisc, pathOf, places } from "../pictures.js";
import { expect, test } from "../support.js";

interface Demo {
  image?: { width: number; height: number };
  masks: Mask[];
  chosen: number;
  busy: boolean;
}

const demo = (page: Page) =>
  page.evaluate(() => {
    const { image, masks, busy } = (window as unknown as { __sam2demo: Demo }).__sam2demo;
    return { ready: !!image && !busy, found: masks.length };
  });
const SLOW = { timeout: 60_000 };
const ready = (page: Page) => expect.poll(() => demo(page), SLOW).toMatchObject({ ready: true });

/** The pixels of the picture on the stage. */
const shown = (page: Page) =>
  page.evaluate((places) => {
    const picture = document.querySelector("#frame img") as HTMLImageElement;
    const { naturalWidth: width, naturalHeight: height } = picture;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context?.drawImage(picture, 0, 0);
    const seen = places.map((at) => {
      const [x = 0, y = 0] = at.split(",").map(Number);
      return [at, [...(context?.getImageData(x, y, 1, 1).data ?? [])]] as const;
    });
    return { size: [width, height], seen: Object.fromEntries(seen) };
  }, places);

test("what is shown is what is segmented: stills of what moves, deep and turned pictures", async ({
  page,
}) => {
  test.setTimeout(600_000);
  await page.goto("/?test&device=cpu");
  await ready(page);
  for (const name of [
    ...["moving.gif", "moving.webp", "moving.png", "moving_hidden_default.png", "moving.avif"],
    ...["twelve_bits.png", "twelve_bits.tif", "twelve_bits_exif6.png", "float.tif", "two_pages.tif"],
    ...["exif5.jpg", "exif6.png", "exif6.tif", "black_on_nothing.png", "hidden_disc.png"],
  ]) {
    // All are of one size: the picture itself tells which one is there.
    const before = await page.locator("#frame img").elementHandle();
    await page.locator("#file").setInputFiles(pathOf(name));
    await page.waitForFunction((before) => document.querySelector("#frame img") !== before, before);
    await ready(page);
    await page.waitForTimeout(300); // more than a frame of those that move
    const { size, seen } = await shown(page);
    expectPixels(name, size, seen);
    const area = await page.locator("#overlay").boundingBox();
    if (!area) throw new Error("no picture is shown");
    await page.mouse.click(
      area.x + ((DISC.x + 0.5) / 160) * area.width,
      area.y + ((DISC.y + 0.5) / 120) * area.height,
    );
    await expect.poll(() => demo(page), SLOW).toMatchObject({ ready: true, found: 3 });
    const mask = await page.evaluate(() => {
      const { masks, chosen } = (window as unknown as { __sam2demo: Demo }).__sam2demo;
      const mask = masks[chosen];
      return Array.from({ length: 160 * 120 }, (_, i) =>
        Number(mask?.has(i % 160, Math.floor(i / 160))),
      ).join("");
    });
    expect.soft(iouWithDisc(mask), name).toBeGreaterThan(0.85);
  }
});

test("half a picture says that it is cut, and the one before stays", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await ready(page);
  const size = await page.locator("#size").textContent();
  for (const name of ["plain.jpg", "plain.png", "plain.webp", "moving.gif", "twelve_bits.tif"]) {
    const file = await readFile(pathOf(name));
    const part = name === "moving.gif" ? 0.2 : 0.6; // of two frames: a part of the first
    await page
      .locator("#file")
      .setInputFiles({ name, mimeType: "", buffer: file.subarray(0, file.length * part) });
    await expect(page.locator("#toasts .toast"), name).toContainText("is cut", SLOW);
    await page.locator("#toasts .toast button").click();
    await ready(page);
    await expect(page.locator("#size"), name).toHaveText(size ?? "");
  }
});

test("half a picture opened before the model is there does not keep the model from coming", async ({
  page,
}) => {
  const isLater = ({ pathname }: URL) => pathname === "/later.safetensors";
  let arrive = () => {};
  const waits = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  await page.route(isLater, async (route) => {
    await waits;
    await route.fulfill({ response: await page.request.get("/fixture/micro.safetensors") });
  });
  await page.goto("/?test&device=cpu&model=/later.safetensors");
  const file = await readFile(pathOf("plain.jpg"));
  await page
    .locator("#file")
    .setInputFiles({ name: "cut.jpg", mimeType: "image/jpeg", buffer: file.subarray(0, file.length * 0.6) });
  await expect(page.locator("#size")).toHaveText("160 × 120", SLOW); // browsers show what there is
  arrive();
  await expect(page.locator("#toasts")).toContainText("is cut", SLOW);
  await expect(page.locator("#model")).toContainText("SAM 2.1");
  await page.locator("#samples button:not(.clip)").first().click();
  await ready(page);
  await page.locator("#samples button.clip").first().click();
  await expect(page.locator("#track")).toBeVisible(SLOW);
});

test("clicks and other pictures leave no bitmaps behind", async ({ page }) => {
  await page.addInitScript(() => {
    const open = new Set<ImageBitmap>();
    Object.assign(window, { openBitmaps: open });
    const make = window.createImageBitmap;
    window.createImageBitmap = async (...args: unknown[]) => {
      const bitmap: ImageBitmap = await (make as (...args: unknown[]) => Promise<ImageBitmap>)(...args);
      open.add(bitmap);
      return bitmap;
    };
    const { close } = ImageBitmap.prototype;
    ImageBitmap.prototype.close = function () {
      open.delete(this);
      close.call(this);
    };
  });
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await ready(page);
  const open = () =>
    page.evaluate(() => (window as unknown as { openBitmaps: Set<ImageBitmap> }).openBitmaps.size);
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("no picture is shown");
  for (let i = 1; i < 8; i++) {
    await page.mouse.move(area.x + (i / 9) * area.width, area.y + 0.4 * area.height); // a preview
    await page.waitForTimeout(60);
    await page.mouse.click(area.x + (i / 9) * area.width, area.y + 0.5 * area.height);
  }
  await expect.poll(() => demo(page), SLOW).toMatchObject({ ready: true, found: 1 });
  expect(await open()).toBeLessThanOrEqual(1); // the mask on show
  await page.keyboard.press("Escape");
  await page.locator("#samples button:not(.clip)").nth(1).click();
  await page.mouse.move(0, 0);
  await ready(page);
  await expect.poll(open, SLOW).toBe(0);
});
