// The demo's video mode with nano on the CPU, as a visitor uses it: two objects followed through a clip, and exported.
// SAM2_SAMPLES, a folder with the official bedroom.mp4, adds that clip, at SAM2_VIDEO_FRAMES frames (60).
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Locator, Page } from "@playwright/test";
import { expect, openTestPage, test } from "../support.js";

/** The demo's state while a clip or the camera is open, with `?test`. */
interface DemoVideo {
  video?: { width: number; height: number; frameCount?: number; timestamp(frame: number): number };
  frame: number;
  masks: { count: number; at(frame: number): Map<number, { counts: string; visible: boolean }> | undefined };
  tracking: boolean;
  playing: boolean;
  busy: boolean;
  /** Of the camera. */
  tracked: number;
}

/** What the RLE export holds. */
interface Exported {
  videos: [{ file_name: string; width: number; height: number; length: number; timestamps: number[] }];
  annotations: {
    name: string;
    segmentations: ({ size: [number, number]; counts: string } | null)[];
    areas: (number | null)[];
  }[];
}

const SLOW = { timeout: 150_000 };
const samples = process.env.SAM2_SAMPLES;
const bedroomFrames = Number(process.env.SAM2_VIDEO_FRAMES ?? 60);
const screenshot = (name: string) => ({
  path: fileURLToPath(new URL(`../test-results/demo-video-${name}.png`, import.meta.url)),
});

const fixture = (name: string) => fileURLToPath(new URL(`../dist/fixture/${name}`, import.meta.url));

/** What the page is at, as plain data. */
function state(page: Page) {
  return page.evaluate(() => {
    const demo = (window as unknown as { __sam2demo: DemoVideo }).__sam2demo;
    const { video, frame, masks, tracking, playing, busy, tracked } = demo;
    const frameCount = video?.frameCount ?? 0;
    const timestamps = Array.from({ length: frameCount }, (_, i) => video?.timestamp(i) ?? 0);
    const known = timestamps.flatMap((_, i) => (masks?.at(i) ? [i] : []));
    const { width, height } = video ?? {};
    return { frame, count: masks?.count, known, tracking, playing, busy, tracked, timestamps, width, height };
  });
}

type State = Awaited<ReturnType<typeof state>>;

/** Waits for something of the page's state. */
function eventually<T>(page: Page, pick: (now: State) => T) {
  return expect.poll(async () => pick(await state(page)), SLOW);
}

async function open(page: Page, query: string, clip: (page: Page) => Promise<void>): Promise<void> {
  await page.goto(`/?test&device=cpu${query}`);
  await clip(page); // at once: neither the model nor the first picture is there yet
  await expect(page.locator("#track")).toBeVisible(SLOW);
  await eventually(page, ({ busy }) => busy).toBe(false);
}

const sample = (name: string) => (page: Page) =>
  page.locator(`#samples button:has(img[src$="/${name}.jpg"])`).click();

/** Clicks at a part of the element's width and height, and waits for the model. */
async function clickAt(page: Page, on: Locator, x: number, y: number): Promise<void> {
  const area = await on.boundingBox();
  if (!area) throw new Error("not shown");
  await page.mouse.click(area.x + x * area.width, area.y + y * area.height);
  await page.waitForTimeout(50);
}

async function addObjects(page: Page, ...clicks: [x: number, y: number][]): Promise<void> {
  for (const [index, [x, y]] of clicks.entries()) {
    if (index) await page.locator("#add-object").click();
    await clickAt(page, page.locator("#overlay"), x, y);
    await eventually(page, ({ busy }) => busy).toBe(false);
  }
  await expect(page.locator(".object")).toHaveCount(clicks.length);
}

async function exported(page: Page, format: string): Promise<{ name: string; path: string }> {
  await page.locator("#export-format").selectOption(format);
  const download = page.waitForEvent("download", SLOW);
  await page.locator("#export").click();
  const file = await download;
  return { name: file.suggestedFilename(), path: await file.path() };
}

/** COCO's compressed run lengths, unpacked: a byte a pixel, column by column. */
function unpack({ size: [height, width], counts }: { size: [number, number]; counts: string }): Uint8Array {
  const lengths: number[] = [];
  for (let at = 0; at < counts.length; ) {
    let [value, bits, more] = [0, 0, true];
    while (more) {
      const part = counts.charCodeAt(at++) - 48;
      value += (part & 31) * 2 ** bits;
      bits += 5;
      more = part >= 32;
      if (!more && part & 16) value -= 2 ** bits;
    }
    lengths.push(lengths.length > 2 ? value + (lengths.at(-2) ?? 0) : value);
  }
  const pixels = new Uint8Array(height * width);
  let end = 0;
  for (const [index, length] of lengths.entries()) {
    pixels.fill(index % 2, end, end + length);
    end += length;
  }
  expect(end, "the run lengths cover the picture").toBe(height * width);
  return pixels;
}

test("two objects are followed through the sample clip, paused, resumed, scrubbed, exported", async ({
  page,
}) => {
  test.setTimeout(400_000);
  await open(page, "", sample("flower"));
  const { timestamps, width = 0, height = 0 } = await state(page);
  expect([width, height, timestamps.length]).toEqual([640, 360, 72]);

  const clicks: [number, number][] = [
    [0.47, 0.48],
    [0.7, 0.3],
  ];
  await addObjects(page, ...clicks);
  expect((await state(page)).known).toEqual([0]);

  const track = page.locator("#track");
  await track.click();
  await eventually(page, ({ count }) => count).toBeGreaterThanOrEqual(3);
  await expect(track).toHaveText("Pause");
  await page.screenshot(screenshot("tracking"));
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot(screenshot("phone"));
  await page.setViewportSize({ width: 1280, height: 860 });

  // Somewhere else in the clip, while it goes on.
  await clickAt(page, page.locator("#scrubber"), 0.9, 0.2);
  await eventually(page, ({ frame }) => frame).toBe(64);
  const before = await state(page);
  expect(before.tracking).toBe(true);
  await eventually(page, ({ count }) => count).toBeGreaterThan(before.count);
  expect((await state(page)).frame).toBe(64);

  await track.click();
  await expect(track).toHaveText("Resume", SLOW);
  const paused = await state(page);
  expect(paused.tracking).toBe(false);
  await track.click();
  await eventually(page, ({ count }) => count).toBeGreaterThanOrEqual(paused.count + 2);
  await track.click();
  await expect(track).toHaveText("Resume", SLOW);
  const { known } = await state(page);
  expect(known).toEqual(known.map((_, i) => i));

  const json = await exported(page, "rle");
  expect(json.name).toBe("flower-masks.json");
  const masks: Exported = JSON.parse(await readFile(json.path, "utf8"));
  expect(masks.videos[0]).toMatchObject({
    file_name: "flower.webm",
    width,
    height,
    length: 72,
    timestamps,
  });
  expect(masks.annotations.map(({ name }) => name)).toEqual(["Object 1", "Object 2"]);
  for (const [index, { segmentations, areas }] of masks.annotations.entries()) {
    expect(segmentations.length).toBe(72);
    const [x = 0, y = 0] = clicks[index] ?? [];
    const first = segmentations[0];
    expect(first, "a mask on the frame that was clicked").toBeTruthy();
    const pixels = first ? unpack(first) : new Uint8Array();
    expect(pixels[Math.floor(x * width) * height + Math.floor(y * height)], "the click is on it").toBe(1);
    for (const [frame, mask] of segmentations.entries()) {
      if (!mask) continue;
      expect(known).toContain(frame);
      expect(mask.size).toEqual([height, width]);
      expect(unpack(mask).reduce((a, b) => a + b)).toBe(areas[frame]);
    }
  }

  await page.locator(".effects label", { hasText: "Blur" }).click();
  const webm = await exported(page, "webm");
  expect(webm.name).toBe("flower-blur.webm");
  await page.screenshot(screenshot("blur"));
  // What was exported opens as a clip, and plays to its end.
  const buffer = await readFile(webm.path);
  await page.locator("#file").setInputFiles({ name: webm.name, mimeType: "video/webm", buffer });
  await eventually(page, (now) => now.timestamps.length).toBe(known.length);
  const again = await state(page);
  expect([again.width, again.height]).toEqual([width, height]);
  for (const [i, at] of again.timestamps.entries()) expect(at).toBeCloseTo(timestamps[i] ?? -1, 2);
  await page.locator("#play").click();
  await eventually(page, ({ frame, playing }) => !playing && frame).toBe(known.length - 1);
});

test("keys, a correction, backwards, PNGs, and leaving for a picture", async ({ page }) => {
  await open(page, "&model=/fixture/micro.safetensors", sample("things")); // the quickest model
  const step = async (key: string, frame: number) => {
    await page.keyboard.press(key);
    await eventually(page, (now) => now.frame).toBe(frame);
  };
  await addObjects(page, [0.5, 0.4]);
  await step("ArrowRight", 1);
  await step("End", 19);
  await step("ArrowLeft", 18);
  await step("Home", 0);
  await page.keyboard.press("Space");
  await eventually(page, ({ playing }) => playing).toBe(true);
  await eventually(page, ({ frame, playing }) => !playing && frame).toBe(19);

  // From the middle: a click, then backwards and forwards from it.
  await clickAt(page, page.locator("#scrubber"), 0.51, 0.2);
  await eventually(page, ({ frame }) => frame).toBe(10);
  await clickAt(page, page.locator("#overlay"), 0.4, 0.6);
  await eventually(page, ({ busy, known }) => !busy && known).toEqual([0, 10]);
  await page.locator("#track-back").click();
  await eventually(page, ({ tracking, count }) => !tracking && count).toBe(11);
  await page.keyboard.press("t");
  await eventually(page, ({ tracking, count }) => !tracking && count).toBe(20);

  const zip = await exported(page, "png");
  expect(zip.name).toBe("things-masks.zip");
  const names = new TextDecoder("latin1").decode(await readFile(zip.path)).match(/Object-1\/\d{5}\.png/g);
  expect(new Set(names).size).toBe(20);

  // What was clicked on frame 10 is taken back; the object, with what was clicked on frame 0, then removed.
  await clickAt(page, page.locator("#scrubber"), 0.51, 0.2);
  await eventually(page, ({ frame }) => frame).toBe(10);
  await page.locator("#undo").click();
  await eventually(page, ({ busy }) => busy).toBe(false);
  await expect(page.locator("#undo")).toBeDisabled();
  await page.locator(".object button").click();
  await expect(page.locator(".object")).toHaveCount(0);
  await eventually(page, ({ busy, count }) => !busy && count).toBe(0);

  await sample("sweater")(page);
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy, undefined, SLOW);
  await expect(page.locator("#scrubber")).toBeHidden();
  await page.locator("#overlay").click();
  await page.waitForFunction(
    () => window.__sam2demo?.masks.length && !window.__sam2demo.busy,
    undefined,
    SLOW,
  );
});

test("effects keep the object as it is and change the rest, in MP4 and transparent WebM too", async ({
  page,
}) => {
  await open(page, "&model=/fixture/micro.safetensors", sample("things"));
  await addObjects(page, [0.5, 0.4]);
  const found: Record<string, { inside: number; same: number; rest: number; as: number }> = {};
  for (const name of ["cutout", "replace", "grey", "blur"]) {
    await page.locator(`.effects label:has([value=${name}])`).click();
    await page.waitForTimeout(100); // it is painted with the next frame of the screen
    found[name] = await page.evaluate(async (name) => {
      const demo = (window as unknown as { __sam2demo: DemoVideo & { video: Video } }).__sam2demo;
      type Video = { frameAt(frame: number): Promise<ImageBitmap>; width: number; height: number };
      const { video } = demo;
      const pixels = (picture: CanvasImageSource) => {
        const context = new OffscreenCanvas(video.width, video.height).getContext("2d");
        context?.drawImage(picture, 0, 0);
        return context?.getImageData(0, 0, video.width, video.height).data ?? new Uint8ClampedArray();
      };
      const shown = pixels(document.querySelector(".frame .clip") as HTMLCanvasElement);
      const plain = pixels(await video.frameAt(demo.frame));
      // The cut-out comes first: its alpha says where the object is.
      const page = window as unknown as { alpha: Uint8ClampedArray };
      if (name === "cutout") page.alpha = shown.filter((_, i) => i % 4 === 3);
      const counts = { inside: 0, same: 0, rest: 0, as: 0 };
      const near = (a = 0, b = 0) => Math.abs(a - b) <= 3;
      for (const [i, alpha] of page.alpha.entries()) {
        const [r, g, b, a] = shown.subarray(4 * i, 4 * i + 4);
        const same = near(r, plain[4 * i]) && near(g, plain[4 * i + 1]) && near(b, plain[4 * i + 2]);
        if (alpha === 255) {
          counts.inside++;
          counts.same += Number(same);
        } else if (alpha === 0) {
          counts.rest++;
          counts.as += Number(
            {
              cutout: a === 0,
              replace: r === 0 && g === 0xb1 && b === 0x40,
              grey: near(r, g) && near(g, b),
              blur: true,
            }[name],
          );
        }
      }
      return counts;
    }, name);
  }
  console.log(found);
  for (const [name, { inside, same, rest, as }] of Object.entries(found)) {
    expect(inside, `${name}: the object is there`).toBeGreaterThan(100);
    expect(rest, `${name}: and so is the rest`).toBeGreaterThan(100);
    expect(same / inside, `${name} leaves the object`).toBeGreaterThan(0.999);
    expect(as / rest, `${name} changes the rest`).toBeGreaterThan(0.999);
  }

  await page.locator("#track").click();
  await eventually(page, ({ count }) => count).toBeGreaterThanOrEqual(3);
  await page.locator("#track").click();
  await eventually(page, ({ tracking }) => tracking).toBe(false);
  const { count } = await state(page);
  await page.locator(".effects label:has([value=cutout])").click();
  const webm = await exported(page, "webm");
  const mp4 = await exported(page, "mp4");
  expect(mp4.name).toBe("things-cutout.mp4");
  const buffer = await readFile(mp4.path);
  await page.locator("#file").setInputFiles({ name: mp4.name, mimeType: "video/mp4", buffer });
  await eventually(page, ({ timestamps }) => timestamps.length).toBe(count);

  // The browser's own player sees the transparency.
  await page.goto("/page/");
  const base64 = (await readFile(webm.path)).toString("base64");
  const seen = await page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const src = URL.createObjectURL(new Blob([bytes], { type: "video/webm" }));
    const video = Object.assign(document.createElement("video"), { src, muted: true });
    const painted = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    await video.play();
    await painted;
    const { videoWidth: width, videoHeight: height } = video;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context?.drawImage(video, 0, 0);
    const { data } = context?.getImageData(0, 0, width, height) ?? { data: [] };
    const share = (test: (alpha: number) => boolean) =>
      Array.from({ length: width * height }, (_, i) => test(data[4 * i + 3] ?? -1)).filter(Boolean).length /
      (width * height);
    return { opaque: share((alpha) => alpha > 240), clear: share((alpha) => alpha < 15) };
  }, base64);
  const all = 384 * 288;
  expect(seen.opaque).toBeCloseTo((found.cutout?.inside ?? 0) / all, 1);
  expect(seen.clear).toBeCloseTo((found.cutout?.rest ?? 0) / all, 1);
});

test("a clip's sound goes with what is exported of it, as it is or encoded anew", async ({ page }) => {
  await openTestPage(page);
  const made = await page.evaluate(async () => {
    const bytes = async (blob: Blob) => [...new Uint8Array(await blob.arrayBuffer())];
    const { make } = window.clips;
    return {
      opus: await bytes(await make({ sound: { codec: "opus", from: 0.4 } })),
      pcm: await bytes(await make({ container: "mp4", sound: { codec: "pcm-s16", from: 0.4 } })),
      silent: await bytes(await make({})),
    };
  });
  const heard: Record<string, { duration: number; from: number } | undefined> = {};
  for (const [name, format] of [
    ["opus", "webm"],
    ["opus", "mp4"],
    ["pcm", "webm"],
    ["silent", "webm"],
  ] as const) {
    await open(page, "&model=/fixture/micro.safetensors", sample("things"));
    const mimeType = name === "pcm" ? "video/mp4" : "video/webm";
    const buffer = Buffer.from(made[name]);
    await page.locator("#file").setInputFiles({ name: `${name}.clip`, mimeType, buffer });
    await eventually(page, ({ width }) => width).toBe(160);
    // Tracked, and so exported, from the sixth frame on: the sound begins there too.
    for (let i = 0; i < 5; i++) await page.locator("#next").click();
    await eventually(page, ({ frame, busy }) => !busy && frame).toBe(5);
    await addObjects(page, [0.3, 0.75]);
    await page.locator("#track").click();
    await eventually(page, ({ known, tracking }) => !tracking && known.length).toBe(15);
    const base64 = (await readFile((await exported(page, format)).path)).toString("base64");
    await openTestPage(page);
    heard[`${name} as ${format}`] = await page.evaluate((base64) => window.clips.heard(base64), base64);
  }
  console.log(heard);
  const { "silent as webm": silent, ...rest } = heard;
  expect(silent).toBeUndefined();
  for (const [name, sound] of Object.entries(rest)) {
    expect(sound?.duration, `${name}: 15 frames`).toBeCloseTo(0.6, 1);
    expect(sound?.from, `${name}: the tone begins with the eleventh frame`).toBeCloseTo(0.2, 1);
  }
});

test("a file that is no clip says so, and the page goes on, also with another model", async ({ page }) => {
  await open(page, "&model=/fixture/micro.safetensors", sample("things"));
  await page
    .locator("#file")
    .setInputFiles({ name: "broken.mp4", mimeType: "video/mp4", buffer: Buffer.from("no clip") });
  await expect(page.locator("#toasts")).toContainText(/file|video/i);
  await addObjects(page, [0.5, 0.4]); // the clip before is still there

  // Another model, in the middle of tracking: the clip is opened anew with it.
  await page.locator("#track").click();
  await eventually(page, ({ count }) => count).toBeGreaterThan(1);
  await page.locator("#file").setInputFiles(fixture("micro20.safetensors"));
  await expect(page.locator("#model")).toContainText("2.0", SLOW);
  await expect(page.locator(".object")).toHaveCount(0, SLOW);
  await eventually(page, ({ busy }) => busy).toBe(false);
  await addObjects(page, [0.5, 0.4]);
  expect((await state(page)).known).toEqual([0]);
});

test("the camera's things are followed live", async ({ page, context }) => {
  await context.grantPermissions(["camera"]);
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await page.locator("#camera").click();
  await eventually(page, ({ frame, width }) => width && frame).toBeGreaterThan(3);
  await clickAt(page, page.locator("#overlay"), 0.5, 0.5);
  await eventually(page, ({ tracked }) => tracked).toBeGreaterThan(2);
  await page.screenshot(screenshot("camera"));
  await page.locator(".object button").click();
  const { frame } = await state(page);
  await eventually(page, (now) => now.frame).toBeGreaterThan(frame + 2);
});

test("what is opened before the samples are there stays", async ({ page, context }) => {
  await context.grantPermissions(["camera"]);
  await page.route("**/samples.json", async (route) => {
    await page.locator("#camera").click();
    await route.continue();
  });
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await expect(page.locator("#samples button")).not.toHaveCount(0);
  await eventually(page, ({ frame, width }) => width && frame).toBeGreaterThan(3);
});

test("bedroom: two children are followed", async ({ page }) => {
  test.skip(!samples, "SAM2_SAMPLES is not set");
  test.setTimeout(200_000 + bedroomFrames * 15_000); // on a machine that does much else
  await open(page, "", (page) => page.locator("#file").setInputFiles(`${samples}/bedroom.mp4`));
  await addObjects(page, [0.44, 0.35], [0.26, 0.52]);
  const began = Date.now();
  await page.locator("#track").click();
  for (let frames = 0; frames < bedroomFrames; ) {
    await page.waitForTimeout(500);
    const { count, tracking } = await state(page);
    if (frames < bedroomFrames / 2 && count >= bedroomFrames / 2)
      await page.screenshot(screenshot("bedroom"));
    expect(tracking, `tracking goes on after ${count} frames`).toBe(true);
    frames = count;
  }
  await page.locator("#track").click();
  await expect(page.locator("#track")).toHaveText("Resume", SLOW);
  const { known } = await state(page);
  console.log(`${known.length} frames, ${((Date.now() - began) / known.length).toFixed(0)} ms each`);
  expect(known).toEqual(known.map((_, i) => i));
  const json = await exported(page, "rle");
  const masks: Exported = JSON.parse(await readFile(json.path, "utf8"));
  for (const { name, segmentations } of masks.annotations)
    console.log(`${name}: visible in ${segmentations.filter(Boolean).length} of ${known.length} frames`);
  expect(masks.annotations.length).toBe(2);
});

test("an object whose clicks were taken back does not keep the others from being followed", async ({
  page,
}) => {
  test.setTimeout(400_000);
  await open(page, "&model=/fixture/micro.safetensors", sample("flower"));
  await addObjects(page, [0.47, 0.48], [0.7, 0.3]);
  await page.locator("#undo").click();
  await eventually(page, ({ busy }) => busy).toBe(false);
  await page.locator("#track").click();
  await eventually(page, ({ count }) => count).toBeGreaterThanOrEqual(3);
  await expect(page.locator("#toasts .toast")).toHaveCount(0);
  await page.locator("#track").click();
  await expect(page.locator("#track")).toHaveText("Resume", SLOW);
  // Clicked again, it is followed with the other.
  await clickAt(page, page.locator("#overlay"), 0.7, 0.3);
  await eventually(page, ({ busy }) => busy).toBe(false);
  await expect(page.locator(".object")).toHaveCount(2);
});

test("a camera that ends while things are followed ends that with a word", async ({ page, context }) => {
  await context.grantPermissions(["camera"]);
  await page.addInitScript(() => {
    const { mediaDevices } = navigator;
    const open = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async (wanted) => {
      const stream = await open(wanted);
      Object.assign(window, { unplug: () => stream.getTracks().map((track) => track.stop()) });
      return stream;
    };
  });
  await page.goto("/?test&device=cpu&model=/fixture/micro.safetensors");
  await page.locator("#camera").click();
  await eventually(page, ({ frame, width }) => width && frame).toBeGreaterThan(3);
  await clickAt(page, page.locator("#overlay"), 0.5, 0.5);
  await eventually(page, ({ tracked }) => tracked).toBeGreaterThan(2);
  await page.evaluate(() => (window as unknown as { unplug(): void }).unplug());
  await expect(page.locator("#status")).toHaveText("The camera has stopped.");
  const { tracked } = await state(page);
  await page.waitForTimeout(500);
  expect((await state(page)).tracked).toBe(tracked);
  // The page goes on.
  await sample("tortoise")(page);
  await expect(page.locator("#candidates-title")).toBeVisible();
});

/** The light of each frame's middle, 0 to 255, as the package reads a file. */
async function lights(page: Page, path: string): Promise<number[]> {
  await openTestPage(page);
  return page.evaluate(
    async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const sam = await window.tools.load();
      const video = await sam.openVideo(new Blob([bytes]));
      const found: number[] = [];
      for (let frame = 0; frame < (video.frameCount ?? 0); frame++) {
        const bitmap = await video.frameAt(frame);
        const context = new OffscreenCanvas(1, 1).getContext("2d");
        context?.drawImage(bitmap, 0, 0, 1, 1);
        const [r = 0, g = 0, b = 0] = context?.getImageData(0, 0, 1, 1).data ?? [];
        found.push(Math.round((r + g + b) / 3));
        bitmap.close();
      }
      sam.dispose();
      return found;
    },
    (await readFile(path)).toString("base64"),
  );
}

test("a cut-out's frames that were not tracked are as the visitor chose", async ({ page }) => {
  await open(page, "&model=/fixture/micro.safetensors", sample("flower"));
  await expect(page.locator("#untracked-choice")).toBeHidden();
  await addObjects(page, [0.47, 0.48]);
  await page.locator("#scrubber").focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowRight");
  await eventually(page, ({ frame }) => frame).toBe(4);
  await clickAt(page, page.locator("#overlay"), 0.47, 0.48);
  await eventually(page, ({ known, busy }) => !busy && known).toEqual([0, 4]);
  await page.locator(".effects label:has([value=cutout])").click();
  await expect(page.locator("#untracked-choice")).toBeVisible();
  await page.screenshot(screenshot("untracked"));
  const empty = await exported(page, "mp4");
  await page.locator("#untracked").selectOption("whole");
  const whole = await exported(page, "mp4");
  const [dark, light] = [await lights(page, empty.path), await lights(page, whole.path)];
  expect([dark.length, light.length]).toEqual([5, 5]);
  for (const frame of [1, 2, 3]) {
    expect(dark[frame]).toBeLessThan(3);
    expect(light[frame]).toBeGreaterThan(20);
  }
});

test("what was trimmed from a clip does not come back in an export", async ({ page }) => {
  test.setTimeout(400_000);
  const trimmed = fileURLToPath(new URL("../clips/end_trimmed_by_edit_list.mp4", import.meta.url));
  await open(page, "&model=/fixture/micro.safetensors", (page) =>
    page.locator("#file").setInputFiles(trimmed),
  );
  const { timestamps } = await state(page);
  expect(timestamps.length).toBe(24);
  await addObjects(page, [0.5, 0.5]);
  await page.locator("#track").click();
  await eventually(page, ({ count, tracking }) => !tracking && count).toBe(24);
  const { path } = await exported(page, "mp4");
  expect(await lights(page, path)).toHaveLength(24);
});
