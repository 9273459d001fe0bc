// What every path stands on: a tab of the project's browser, and what must hold when the path has ended.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test as base, expect } from "@playwright/test";
import { Mask, type Rle } from "sam2-web";
import { startPuppeteer } from "./puppeteer.js";
import type { BrowserName } from "./support.js";
import type { Driven, Tab } from "./tab.js";
import { startWebKit } from "./webkit.js";

export { expect };

const start: Record<BrowserName, () => Promise<Driven>> = {
  Chromium: () => startPuppeteer("chrome"),
  Firefox: () => startPuppeteer("firefox"),
  WebKitGTK: startWebKit,
};

declare global {
  interface Window {
    /** Errors and rejections that nothing caught. */
    uncaught: string[];
  }
}

export const test = base.extend<{ tab: Tab }, { name: BrowserName; driven: Driven }>({
  name: ["Chromium", { option: true, scope: "worker" }],
  driven: [
    async ({ name }, use) => {
      const driven = await start[name]();
      console.log(`${name}: ${driven.version}`);
      await use(driven);
      await driven.close();
    },
    { scope: "worker" },
  ],
  tab: async ({ driven, baseURL, request }, use) => {
    const tab = await driven.open();
    let opened = false;
    await use({
      ...tab,
      goto: async (path) => {
        await tab.goto(new URL(path, baseURL).href);
        await tab.evaluate(() => {
          window.uncaught = [];
          addEventListener("error", ({ message }) => window.uncaught.push(message));
          addEventListener("unhandledrejection", ({ reason }) => window.uncaught.push(String(reason)));
        });
        opened = true;
      },
    });
    const uncaught = opened ? await tab.evaluate(() => window.uncaught) : [];
    await tab.close();
    expect(uncaught, "errors and rejections that nothing caught").toEqual([]);
    expect(await (await request.get("/csp-reports")).json(), "violations of the policy").toEqual([]);
  },
});

/** Opens the page that holds the package. */
export async function openTestPage(tab: Tab): Promise<void> {
  await tab.goto("/page/");
  await expect.poll(() => tab.evaluate(() => "tools" in window)).toBe(true);
}

const results = new URL("../test-results/", import.meta.url);

export const resultPath = (name: string) => fileURLToPath(new URL(name, results));

/** Chromium runs first and keeps its masks; those of the others must be the same but for a few pixels. */
export async function expectLikeChromium(
  name: BrowserName,
  what: string,
  masks: Rle[],
  least = 0.99,
): Promise<void> {
  for (const mask of masks) expect(Mask.fromRle(mask).area, what).toBeGreaterThan(0);
  const path = resultPath(`chromium-${what}.json`);
  if (name === "Chromium") {
    await mkdir(results, { recursive: true });
    await writeFile(path, JSON.stringify(masks));
    return;
  }
  const wanted: Rle[] = JSON.parse(await readFile(path, "utf8"));
  expect(masks.length, what).toBe(wanted.length);
  const ious = masks.map((mask, i) => Mask.fromRle(mask).iou(Mask.fromRle(wanted[i] as Rle)));
  console.log(`${name}, ${what}: IoU with Chromium's masks ${ious.map((iou) => iou.toFixed(4))}`);
  for (const iou of ious) expect(iou, what).toBeGreaterThanOrEqual(least);
}
