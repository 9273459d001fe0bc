// The demo page with nano on the CPU, as a visitor uses it: open a sample, click on its object, get that object.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PNG } from "pngjs";
import type { Mask } from "sam2-web";
import { expect, test } from "../support.js";

const folder = new URL("../expected/", import.meta.url);
const clicks: { image: string; mask: string; point: [number, number] }[] = JSON.parse(
  readFileSync(new URL("clicks.json", folder), "utf8"),
);

declare global {
  interface Window {
    /** The demo's state, with `?test`. */
    __sam2demo?: { image?: { width: number; height: number }; masks: Mask[]; chosen: number; busy: boolean };
  }
}

/** Of the mask chosen on the page with the expected one: white is the object. */
function iou(bits: number[], expected: PNG): number {
  let both = 0;
  let either = 0;
  for (let i = 0; i < expected.width * expected.height; i++) {
    const wanted = (expected.data[4 * i] ?? 0) > 127;
    const found = (((bits[i >> 3] ?? 0) >> (i & 7)) & 1) === 1;
    both += Number(wanted && found);
    either += Number(wanted || found);
  }
  return both / either;
}

test("a click on the object of each sample picture gives that object", async ({ page }) => {
  await page.goto("/?test&device=cpu");
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  await expect(page.locator("#device")).toContainText("CPU");
  const ious: Record<string, number> = {};
  for (const { image, mask, point } of clicks) {
    const expected = PNG.sync.read(readFileSync(new URL(mask, folder)));
    await page.locator(`#samples button:has(img[src$="/${image}"])`).click();
    await page.waitForFunction(
      ([width, height]) => {
        const demo = window.__sam2demo;
        return demo?.image?.width === width && demo.image?.height === height && !demo.busy;
      },
      [expected.width, expected.height] as const,
    );
    const area = await page.locator("#overlay").boundingBox();
    if (!area) throw new Error("no picture is shown");
    const [x, y] = point;
    await page.mouse.click(
      area.x + ((x + 0.5) / expected.width) * area.width,
      area.y + ((y + 0.5) / expected.height) * area.height,
    );
    await page.waitForFunction(() => window.__sam2demo?.masks.length && !window.__sam2demo.busy);
    const bits = await page.evaluate(() => {
      const demo = window.__sam2demo;
      return Array.from(demo?.masks[demo.chosen]?.bits ?? []);
    });
    ious[image] = iou(bits, expected);
    await page.mouse.move(5, 5);
    await page.waitForTimeout(300); // the mask fades in
    const path = fileURLToPath(
      new URL(`../test-results/demo-${image.replace(/\.\w+$/, "")}.png`, import.meta.url),
    );
    await page.screenshot({ path });
  }
  console.log(ious);
  const good = Object.values(ious).filter((value) => value >= 0.7);
  expect(good.length, JSON.stringify(ious)).toBeGreaterThanOrEqual(3);
  await expect(page.locator("#encode")).toHaveText(/^[\d.]+ (ms|s)$/);
  await expect(page.locator("#decode")).toHaveText(/^[\d.]+ (ms|s)$/);
});

test("subtract, box, undo, clear and download", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors"); // the quickest model
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  const settled = () => page.waitForFunction(() => !window.__sam2demo?.busy);
  const overlay = page.locator("#overlay");
  const area = await overlay.boundingBox();
  if (!area) throw new Error("no picture is shown");
  const at = (x: number, y: number) => [area.x + x * area.width, area.y + y * area.height] as const;
  const undo = page.locator("#undo");
  const prompts = () =>
    page.evaluate(
      () => (window.__sam2demo as unknown as { prompts: { points: object[]; box?: object } }).prompts,
    );

  await page.mouse.click(...at(0.5, 0.5));
  await settled();
  await page.mouse.click(...at(0.1, 0.1), { button: "right" });
  await settled();
  expect((await prompts()).points).toMatchObject([{ label: 1 }, { label: 0 }]);
  await undo.click();
  await settled();
  expect((await prompts()).points).toMatchObject([{ label: 1 }]);

  await page.mouse.move(...at(0.2, 0.2));
  await page.mouse.down();
  await page.mouse.move(...at(0.5, 0.5));
  await page.mouse.move(...at(0.8, 0.8));
  await page.mouse.up();
  await settled();
  expect((await prompts()).box).toBeTruthy();

  const download = page.waitForEvent("download");
  await page.locator("#download").click();
  expect((await download).suggestedFilename()).toMatch(/-cutout\.png$/);

  await page.locator("#clear").click();
  await settled();
  expect((await prompts()).points).toEqual([]);
  await expect(page.locator("#download")).toBeDisabled();
});

test("a file that is no picture says so, and the page goes on", async ({ page }) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors"); // the quickest model
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  await page
    .locator("#file")
    .setInputFiles({ name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no") });
  await expect(page.locator("#toasts")).toContainText("not a picture");
  await page.locator("#overlay").click();
  await page.waitForFunction(() => window.__sam2demo?.masks.length && !window.__sam2demo.busy);
});

test("the models that lie beside the page can be chosen; what is open stays open, and a bad one leaves the old one", async ({
  page,
}) => {
  await page.route("**/models/models.json", (route) =>
    route.fulfill({
      json: [
        { file: "micro.safetensors", title: "micro", bytes: 1_234_567 },
        { file: "missing.safetensors", title: "missing", bytes: 28_000_000 },
      ],
    }),
  );
  await page.route("**/models/micro.safetensors", async (route) =>
    route.fulfill({ response: await page.request.get("/fixture/micro.safetensors") }),
  );
  await page.goto("/?test&device=cpu&model=/fixture/micro20.safetensors");
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  const choice = page.locator("#model-choice");
  await expect(choice.locator("option")).toHaveText([
    /./, // the one of the page's address
    "nano, 11 MB",
    "micro, 1.2 MB",
    "missing, 28 MB",
    "Open a file…",
  ]);
  await choice.selectOption("micro, 1.2 MB");
  await expect(page.locator("#model")).toContainText("SAM 2.1", { timeout: 60_000 });
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  await expect(choice).toHaveValue("models/micro.safetensors");
  await page.locator("#overlay").click();
  await page.waitForFunction(() => window.__sam2demo?.masks.length && !window.__sam2demo.busy);

  await choice.selectOption("missing, 28 MB");
  await expect(page.locator("#toasts")).toContainText("404");
  await expect(choice).toHaveValue("models/micro.safetensors");
  const chooser = page.waitForEvent("filechooser");
  await choice.selectOption("Open a file…");
  await chooser;
  await expect(choice).toHaveValue("models/micro.safetensors");
});

test("of two models that are loading the one asked for last stays", async ({ page }) => {
  let arrive = () => {};
  const dropped = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const isFirst = ({ pathname }: URL) => pathname === "/first.safetensors";
  await page.route(isFirst, async (route) => {
    await dropped;
    await route.fulfill({ response: await page.request.get("/fixture/micro.safetensors") });
  });
  await page.goto("/?test&device=cpu&model=/first.safetensors");
  const nano = new URL("../../../weights/nano.safetensors", import.meta.url);
  await page.locator("#file").setInputFiles(fileURLToPath(nano));
  await expect(page.locator("#model")).toHaveText("SAM 2.1 nano", { timeout: 60_000 });
  arrive();
  await expect(page.locator("#loading")).toBeHidden({ timeout: 60_000 });
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  await expect(page.locator("#model")).toHaveText("SAM 2.1 nano");
});

test("Escape gives a drag up; quick clicks do not refine another prompt's mask; a bad model leaves the old one", async ({
  page,
}) => {
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
  const prompts = () =>
    page.evaluate(() => {
      const { prompts } = window.__sam2demo as unknown as {
        prompts: { points: unknown[]; box?: unknown; mask?: unknown };
      };
      return { points: prompts.points.length, box: !!prompts.box, mask: !!prompts.mask };
    });
  const settled = () => page.waitForFunction(() => !window.__sam2demo?.busy);
  const area = await page.locator("#overlay").boundingBox();
  if (!area) throw new Error("no picture is shown");
  const at = (x: number, y: number) => [area.x + x * area.width, area.y + y * area.height] as const;
  await page.mouse.click(...at(0.5, 0.5));
  await settled();
  await page.mouse.move(...at(0.2, 0.2));
  await page.mouse.down();
  await page.mouse.move(...at(0.6, 0.6));
  await page.keyboard.press("Escape");
  await page.mouse.move(...at(0.7, 0.7));
  await page.mouse.up();
  await settled();
  expect(await prompts()).toEqual({ points: 1, box: false, mask: false });

  await page.mouse.click(...at(0.4, 0.5));
  await settled();
  expect(await prompts()).toEqual({ points: 2, box: false, mask: true });
  await page.keyboard.press("Escape");
  await settled();
  // Both before the first has been answered: there is no mask of the first one yet.
  await page.evaluate(() => {
    const overlay = document.querySelector("#overlay") as HTMLElement;
    overlay.focus();
    for (const key of ["ArrowLeft", "Enter", "ArrowLeft", "Enter"])
      overlay.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });
  expect(await prompts()).toEqual({ points: 2, box: false, mask: false });
  await settled();

  await page.locator("#file").setInputFiles({
    name: "model.torch",
    mimeType: "",
    buffer: Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
  });
  await expect(page.locator("#toasts .toast")).toBeVisible();
  await page.keyboard.press("Escape");
  await settled();
  await page.mouse.click(...at(0.5, 0.5));
  await page.waitForFunction(() => window.__sam2demo?.masks.length && !window.__sam2demo.busy);
});
