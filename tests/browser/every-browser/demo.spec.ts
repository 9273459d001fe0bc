// The demo page, as a visitor uses it: a sample, a click, its mask; then everything in the picture.
import { readFile } from "node:fs/promises";
import { PNG } from "pngjs";
import { Mask, type Rle } from "sam2-web";
import { expect, expectLikeChromium, resultPath, test } from "./fixtures.js";
import type { Tab } from "./tab.js";

const expected = new URL("../expected/", import.meta.url);
const clicks: { image: string; mask: string; point: [number, number] }[] = JSON.parse(
  await readFile(new URL("clicks.json", expected), "utf8"),
);
const [first] = clicks as [(typeof clicks)[number]];
const SLOW = { timeout: 120_000 };

interface Demo {
  image?: { width: number; height: number };
  masks: Mask[];
  chosen: number;
  things: unknown[];
  searching: boolean;
  busy: boolean;
}

const state = (tab: Tab) =>
  tab.evaluate(() => {
    const { __sam2demo: demo } = window as unknown as { __sam2demo?: Demo };
    const chosen: Rle | undefined = demo?.masks[demo.chosen]?.toRle();
    return {
      ready: !!demo?.image && !demo.busy,
      things: demo?.things.length ?? 0,
      searching: !!demo?.searching,
      mask: chosen,
      status: document.querySelector("#status")?.textContent ?? "",
      toasts: document.querySelector("#toasts")?.textContent ?? "",
    };
  });

/** Where an element is on the page. */
const placeOf = (tab: Tab, selector: string) =>
  tab.evaluate((selector) => {
    const { left, top, width, height } = document.querySelector(selector)?.getBoundingClientRect() ?? {};
    return { left: left ?? 0, top: top ?? 0, width: width ?? 0, height: height ?? 0 };
  }, selector);

async function click(tab: Tab, selector: string, [x, y] = [0.5, 0.5]): Promise<void> {
  const { left, top, width, height } = await placeOf(tab, selector);
  await tab.click(left + x * width, top + y * height);
}

test("a sample, a click, its mask; everything", async ({ tab, name }) => {
  await tab.goto("/?test&device=cpu");
  await expect.poll(() => state(tab), SLOW).toMatchObject({ ready: true });
  await click(tab, `#samples button:has(img[src$="/${first.image}"])`);
  await expect
    .poll(() => state(tab), SLOW)
    .toMatchObject({ ready: true, status: "Click the thing you want." });

  const { width, height, data } = PNG.sync.read(await readFile(new URL(first.mask, expected)));
  const [x, y] = first.point;
  await click(tab, "#overlay", [(x + 0.5) / width, (y + 0.5) / height]);
  await expect.poll(async () => (await state(tab)).mask?.size, SLOW).toEqual([height, width]);
  const { mask } = await state(tab);
  if (!mask) throw new Error("there is no mask");
  const wanted = Mask.fromImageData({
    width,
    height,
    data: Uint8ClampedArray.from(data),
    colorSpace: "srgb",
  });
  expect(Mask.fromRle(mask).iou(wanted), "IoU with the object").toBeGreaterThanOrEqual(0.7);
  await new Promise((resolve) => setTimeout(resolve, 500)); // the mask fades in
  await tab.screenshot(resultPath(`${name}-click.png`));
  await expectLikeChromium(name, "demo-click", [mask]);

  await click(tab, "#everything");
  await expect.poll(() => state(tab), SLOW).toMatchObject({ searching: true });
  await expect.poll(() => state(tab), SLOW).toMatchObject({ searching: false });
  const { things, status, toasts } = await state(tab);
  expect(things).toBeGreaterThanOrEqual(5);
  expect({ status, toasts }).toEqual({ status: `${things} things found. Click one to take it.`, toasts: "" });
  await new Promise((resolve) => setTimeout(resolve, 500));
  await tab.screenshot(resultPath(`${name}-everything.png`));
});
