// The demo's "Everything": masks that come one after the other, to look at, to take, to save, and labels opened as such.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Download, Page } from "@playwright/test";
import { PNG } from "pngjs";
import type { Mask } from "sam2-web";
import {
  type Label,
  Mask as LabelMask,
  readCoco,
  readGeoJson,
  readIndexedPng,
  readLabelme,
  readYolo,
} from "sam2-web/formats";
import { expect, test } from "../support.js";
import { longestTask } from "../tasks.js";

interface Demo {
  image?: { width: number; height: number };
  masks: Mask[];
  chosen: number;
  prompts: { points: unknown[]; taken?: Label; mask?: unknown };
  things: { label: Label; color: readonly number[] }[];
  searching: boolean;
  busy: boolean;
}

const SLOW = { timeout: 120_000 };
const NANO = "/?test&device=cpu";
/** The quickest model, which finds little. */
const MICRO = "/?test&device=cpu&model=/fixture/micro.safetensors";

const demo = (page: Page) =>
  page.evaluate(() => {
    const { image, masks, chosen, prompts, things, searching, busy } = (
      window as unknown as { __sam2demo: Demo }
    ).__sam2demo;
    return {
      ready: !!image && !busy,
      size: image && { width: image.width, height: image.height },
      chosen: masks[chosen]?.toRle(),
      candidates: masks.length,
      points: prompts.points?.length,
      taken: prompts.taken?.category,
      refines: !!prompts.mask,
      things: things.length,
      searching,
    };
  });

const ready = (page: Page) => expect.poll(() => demo(page), SLOW).toMatchObject({ ready: true });

/** The smallest of the things at some points of the picture, as run lengths: worked out from their whole masks. */
const smallestAt = (page: Page) =>
  page.evaluate(() => {
    const { image, things } = (window as unknown as { __sam2demo: Demo }).__sam2demo;
    const { width = 0, height = 0 } = image ?? {};
    const found = new Map<Mask, { x: number; y: number; count: number }>();
    for (let y = 8; y < height - 8; y += 8) {
      for (let x = 8; x < width - 8; x += 8) {
        const smallestAt = (x: number, y: number) =>
          things
            .map(({ label }) => label.mask)
            .filter((mask) => mask.has(x, y))
            .sort((a, b) => a.area - b.area)[0];
        const mask = smallestAt(x, y);
        // Well inside, for a pointer that is a pixel off.
        const around = [-5, 5].flatMap((d) => [smallestAt(x + d, y), smallestAt(x, y + d)]);
        if (mask && around.every((other) => other === mask) && !found.has(mask))
          found.set(mask, { x, y, count: 0 });
      }
    }
    return [...found].map(([mask, { x, y }]) => ({ x, y, rle: mask.toRle() }));
  });

/** Where a pixel of the picture is on the page. */
async function place(page: Page, { x, y }: { x: number; y: number }): Promise<[number, number]> {
  const area = await page.locator("#overlay").boundingBox();
  const { size } = await demo(page);
  if (!area || !size) throw new Error("no picture is shown");
  return [area.x + ((x + 0.5) / size.width) * area.width, area.y + ((y + 0.5) / size.height) * area.height];
}

/** What is painted over a pixel of the picture. */
const painted = (page: Page, at: { x: number; y: number }) =>
  page.evaluate(async ({ x, y }) => {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const { image } = (window as unknown as { __sam2demo: Demo }).__sam2demo;
    const canvas = document.querySelector("#overlay") as HTMLCanvasElement;
    const [column, row] = [
      ((x + 0.5) / (image?.width ?? 1)) * canvas.width,
      ((y + 0.5) / (image?.height ?? 1)) * canvas.height,
    ].map(Math.floor) as [number, number];
    return Array.from(canvas.getContext("2d")?.getImageData(column, row, 1, 1).data ?? []);
  }, at);

async function openSample(page: Page, name: string) {
  await page.locator(`#samples button:has(img[src$="/${name}.jpg"])`).click();
  await ready(page);
}

const button = (page: Page) => page.locator("#everything");
const status = (page: Page) => page.locator("#status");

test("masks come one after the other; the pointer marks one, a click takes it, and clicks go on from it", async ({
  browser,
  page,
}) => {
  await page.goto(NANO);
  await ready(page);
  await openSample(page, "coffee");
  await page.evaluate(() => {
    const counts = new Set<number>();
    const demo = window as unknown as { __sam2demo: Demo; counts: number[] };
    const look = () => {
      counts.add(demo.__sam2demo.things.length);
      demo.counts = [...counts];
      requestAnimationFrame(look);
    };
    look();
  });
  const task = await longestTask(browser, page, async () => {
    await button(page).click();
    await expect(button(page)).toContainText("Stop");
    await expect(status(page)).toHaveText("Looking for everything…");
    await expect(page.locator("#everything-progress")).toBeVisible();
    await page.waitForFunction(
      () => !(window as unknown as { __sam2demo: Demo }).__sam2demo.searching,
      undefined,
      { polling: 200, ...SLOW },
    );
  });
  const { things } = await demo(page);
  await expect(status(page)).toHaveText(`${things} things found. Click one to take it.`);
  await expect(button(page)).toHaveText(/Hide everything/);
  await expect(page.locator("#everything-progress")).toBeHidden();
  const counts = await page.evaluate(() => (window as unknown as { counts: number[] }).counts);
  console.log({ things, counts: counts.join(" "), ...task });
  expect(task.processorMs).toBeLessThan(50);
  expect(things).toBeGreaterThan(5);
  expect(counts.length).toBeGreaterThan(5);
  await page.screenshot({
    path: fileURLToPath(new URL("../test-results/demo-everything.png", import.meta.url)),
  });

  const places = await smallestAt(page);
  expect(places.length).toBeGreaterThanOrEqual(3);
  for (const { rle, ...at } of places.slice(0, 3)) {
    await page.mouse.move(2, 2);
    const before = await painted(page, at);
    expect(before[3]).toBeGreaterThan(0);
    await page.mouse.move(...(await place(page, at)));
    expect(await painted(page, at)).not.toEqual(before);
    await page.mouse.down();
    await page.mouse.up();
    await expect.poll(() => demo(page), SLOW).toMatchObject({ ready: true, candidates: 1, chosen: rle });
    expect(await demo(page)).toMatchObject({ points: 0, taken: "object" });
    await page.keyboard.press("Control+z");
    await expect.poll(async () => (await demo(page)).candidates, SLOW).toBe(0);
  }

  // On from one of them: a correction refines its mask, and the file is of the answer.
  const [first] = places;
  if (!first) throw new Error("nothing to click on");
  await page.mouse.click(...(await place(page, first)));
  await expect.poll(() => demo(page), SLOW).toMatchObject({ candidates: 1, chosen: first.rle });
  await page.mouse.click(...(await place(page, { x: first.x + 2, y: first.y + 2 })));
  await expect
    .poll(() => demo(page), SLOW)
    .toMatchObject({ ready: true, points: 1, refines: true, candidates: 1 });
  const refined = LabelMask.fromRle((await demo(page)).chosen ?? { size: [1, 1], counts: "" });
  expect(refined.iou(LabelMask.fromRle(first.rle))).toBeGreaterThan(0.5);

  // Escape goes back: to the things, then to the bare picture; the button shows them again without a search.
  await page.keyboard.press("Escape");
  await expect.poll(async () => (await demo(page)).candidates, SLOW).toBe(0);
  expect((await painted(page, first))[3]).toBeGreaterThan(0);
  await page.mouse.move(2, 2);
  await page.keyboard.press("Escape");
  await expect(button(page)).toHaveText(/^\s*Everything\s*$/);
  await expect.poll(async () => (await painted(page, first))[3], SLOW).toBe(0);
  await page.keyboard.press("e");
  expect(await demo(page)).toMatchObject({ searching: false, things });
  expect((await painted(page, first))[3]).toBeGreaterThan(0);

  // By the keyboard alone: the cross-hair comes to the middle, and Enter takes what is there.
  const middle = await page.evaluate(() => {
    const { image, things } = (window as unknown as { __sam2demo: Demo }).__sam2demo;
    const { width = 0, height = 0 } = image ?? {};
    const step = 0.02 * Math.max(width, height);
    const under = things
      .map(({ label }) => label.mask)
      .filter((mask) => mask.has(width / 2 + step, height / 2))
      .sort((a, b) => a.area - b.area)[0];
    return under?.toRle();
  });
  await page.locator("#overlay").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await demo(page)).candidates, SLOW).toBeGreaterThan(0);
  if (middle) expect((await demo(page)).chosen).toEqual(middle);
});

test("stops, by the button and by Escape, and keeps what was found", async ({ page }) => {
  await page.goto(NANO);
  await ready(page);
  for (const stop of [() => button(page).click(), () => page.keyboard.press("Escape")]) {
    await button(page).click();
    await expect.poll(async () => (await demo(page)).things, SLOW).toBeGreaterThan(0);
    await stop();
    await expect.poll(async () => (await demo(page)).searching, { timeout: 2000 }).toBe(false);
    const { things } = await demo(page);
    await expect(status(page)).toHaveText(/^\d+ things? found\. Click one to take it\.$/);
    await page.waitForTimeout(500);
    expect((await demo(page)).things).toBe(things);
    await expect(button(page)).toHaveText(/^\s*Everything\s*$/);
    await expect(page.locator("#everything-progress")).toBeHidden();
  }
  // The model is free again.
  await page.keyboard.press("Escape");
  await expect.poll(() => demo(page)).toMatchObject({ things: 0 });
  await page.locator("#overlay").click();
  await expect.poll(() => demo(page), SLOW).toMatchObject({ candidates: 3 });
});

test("another picture ends it, and another model begins it again", async ({ page }) => {
  await page.goto(MICRO);
  await ready(page);
  await button(page).click();
  await expect.poll(async () => (await demo(page)).searching).toBe(true);
  await page.locator("#samples button:not(.clip)").nth(1).click();
  await expect(page.locator("#samples button:not(.clip)").nth(1)).toHaveAttribute("aria-pressed", "true");
  await ready(page);
  expect(await demo(page)).toMatchObject({ searching: false, things: 0 });
  await expect(status(page)).toHaveText("Click the thing you want.");

  await button(page).click();
  const nano = fileURLToPath(new URL("../../../weights/nano.safetensors", import.meta.url));
  await page.locator("#file").setInputFiles(nano);
  await expect(page.locator("#model")).toHaveText("SAM 2.1 nano", SLOW);
  await expect.poll(() => demo(page), SLOW).toMatchObject({ searching: true });
  await expect.poll(() => demo(page), SLOW).toMatchObject({ searching: false });
  expect((await demo(page)).things).toBeGreaterThan(2);

  // And a clip takes the stage from it.
  await page.keyboard.press("Escape");
  await button(page).click();
  await page.locator("#samples button.clip").first().click();
  await expect(page.locator("#track")).toBeVisible(SLOW);
});

/** The labels of a file by its format, as the package reads them. */
const readers: Record<string, (file: Buffer, size: { width: number; height: number }) => Promise<Label[]>> = {
  coco: async (file) => readCoco(file.toString()).pictures[0]?.labels ?? [],
  yolo: async (file, size) => readYolo(file.toString(), { ...size, classes: ["object"] }).labels,
  labelme: async (file) => (await readLabelme(file.toString())).labels,
  geojson: async (file, size) => readGeoJson(file.toString(), size).labels,
  indexed: async (file) => (await readIndexedPng(file)).labels,
  mask: async (file) => [{ mask: maskOf(file, 0), category: "object" }],
};

/** Set where a channel of a PNG is more than half. */
function maskOf(file: Buffer, channel: number): LabelMask {
  const { width, height, data } = PNG.sync.read(file);
  const bits = new Uint8Array(Math.ceil((width * height) / 8));
  for (let i = 0; i < width * height; i++)
    if ((data[4 * i + channel] ?? 0) > 127) bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7));
  return new LabelMask(width, height, bits);
}

async function save(page: Page, format: string): Promise<{ download: Download; file: Buffer }> {
  await page.locator("#save-format").selectOption(format);
  const coming = page.waitForEvent("download");
  await page.locator("#download").click();
  const download = await coming;
  return { download, file: await readFile(await download.path()) };
}

test("every format is read back as the same masks: the chosen one, and all of them; labels open again", async ({
  page,
}) => {
  await page.goto(NANO);
  await ready(page);
  await openSample(page, "turtle");
  await page.locator("#overlay").click();
  await expect.poll(() => demo(page), SLOW).toMatchObject({ ready: true, candidates: 3 });
  const { chosen, size } = await demo(page);
  if (!chosen || !size) throw new Error("nothing is chosen");
  const mask = LabelMask.fromRle(chosen);
  for (const [format, name] of Object.entries({
    coco: "turtle-coco.json",
    yolo: "turtle.txt",
    labelme: "turtle.json",
    geojson: "turtle.geojson",
    indexed: "turtle-labels.png",
    mask: "turtle-mask.png",
  })) {
    const { download, file } = await save(page, format);
    expect(download.suggestedFilename()).toBe(name);
    const labels = (await readers[format]?.(file, size)) ?? [];
    expect(
      labels.map((label) => label.mask.toRle()),
      format,
    ).toEqual([chosen]);
  }
  const svg = await save(page, "svg");
  expect(svg.download.suggestedFilename()).toBe("turtle-mask.svg");
  const drawn = await page.evaluate(async (text) => {
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
    await image.decode();
    const context = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    context?.drawImage(image, 0, 0);
    const { data } = context?.getImageData(0, 0, image.naturalWidth, image.naturalHeight) ?? { data: [] };
    return {
      width: image.naturalWidth,
      set: Array.from(data).filter((alpha, i) => i % 4 === 3 && alpha > 127).length,
    };
  }, svg.file.toString());
  expect(drawn.width).toBe(size.width);
  expect(Math.abs(drawn.set - mask.area)).toBeLessThan(0.01 * mask.area);
  const cutOut = await save(page, "cutout");
  expect(cutOut.download.suggestedFilename()).toBe("turtle-cutout.png");
  const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = mask.box ?? [];
  expect(maskOf(cutOut.file, 3)).toMatchObject({ width: x1 - x0 + 1, height: y1 - y0 + 1, area: mask.area });
  const partly = (file: Buffer) =>
    PNG.sync.read(file).data.filter((alpha, i) => i % 4 === 3 && alpha > 0 && alpha < 255).length;
  expect(partly(cutOut.file)).toBe(0);
  await page.getByText("Soft edge").click();
  expect(partly((await save(page, "cutout")).file)).toBeGreaterThan(100);
  await expect(status(page)).toHaveText("Saved turtle-cutout.png.");
  await page.getByText("Soft edge").click();
  await page.locator("#save-format").selectOption("mask");
  await expect(page.getByText("Soft edge")).toBeHidden();

  // All of them.
  await page.keyboard.press("e");
  await expect.poll(() => demo(page)).toMatchObject({ searching: true });
  await expect.poll(() => demo(page), SLOW).toMatchObject({ searching: false });
  const { things } = await demo(page);
  await expect(page.locator("#download")).toHaveText(new RegExp(`Save ${things}`));
  const found = await page.evaluate(() =>
    (window as unknown as { __sam2demo: Demo }).__sam2demo.things.map(
      ({ label }) => label.mask.toRle().counts,
    ),
  );
  for (const format of ["coco", "yolo", "labelme", "geojson"]) {
    const { file } = await save(page, format);
    const labels = (await readers[format]?.(file, size)) ?? [];
    expect(labels.map((label) => label.mask.toRle().counts).sort(), format).toEqual(found.sort());
  }
  const indexed = await readers.indexed?.((await save(page, "indexed")).file, size);
  const all = found
    .map((counts) => LabelMask.fromRle({ size: chosen.size, counts }))
    .reduce((a, b) => a.or(b));
  expect(
    indexed
      ?.map((label) => label.mask)
      .reduce((a, b) => a.or(b))
      .toRle(),
  ).toEqual(all.toRle());
  for (const format of ["mask", "cutout"]) {
    const { download, file } = await save(page, format);
    expect(download.suggestedFilename()).toBe(`turtle-${format}s.zip`);
    expect(file.toString("latin1").match(/turtle-\w+-\d+\.png/g)).toHaveLength(2 * things);
  }

  // Opened again, with the page as it is at first.
  const coco = await save(page, "coco");
  const labelled = JSON.parse(coco.file.toString());
  labelled.categories[0].name = "leaf";
  await page.keyboard.press("Escape");
  await openSample(page, "sweater");
  const open = (name: string, content: string) =>
    page.locator("#file").setInputFiles({ name, mimeType: "application/json", buffer: Buffer.from(content) });
  await open("turtle-coco.json", JSON.stringify(labelled));
  await expect(page.locator("#toasts")).toContainText("These labels are of a picture of");
  await openSample(page, "turtle");
  await open("turtle-coco.json", JSON.stringify(labelled));
  await expect(status(page)).toHaveText(`${things} things in the file. Click one to take it.`);
  const [place0] = await smallestAt(page);
  if (!place0) throw new Error("nothing to click on");
  await page.mouse.click(...(await place(page, place0)));
  await expect.poll(() => demo(page), SLOW).toMatchObject({ chosen: place0.rle, taken: "leaf" });
  const [label] = (await readers.coco?.((await save(page, "coco")).file, size)) ?? [];
  expect(label?.category).toBe("leaf");
  expect(label?.mask.toRle()).toEqual(place0.rle);

  for (const [content, message] of [
    ['{"hello": 1}', "neither COCO JSON, labelme JSON nor GeoJSON"],
    ['{"shapes": [', "cut or damaged"],
  ] as const) {
    await page.locator("#toasts .toast button").click();
    await open("wrong.json", content);
    await expect(page.locator("#toasts")).toContainText(message);
  }
  expect(await demo(page)).toMatchObject({ chosen: place0.rle });
});
