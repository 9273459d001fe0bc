// Clips that cameras and tools make and that the browser's own encoder never does: in tests/browser/clips, 48 frames of
// ffmpeg's, whose number is written at the top in squares of 16 pixels, the lowest bit first.
import { readFile } from "node:fs/promises";
import type { Page } from "@playwright/test";
import { expect, openTestPage, test } from "../support.js";

test.beforeEach(({ page }) => openTestPage(page));

interface Found {
  size: number[];
  leftOut: number;
  duration: number | undefined;
  forward: (number | string)[];
  backward: (number | string)[];
  jumps: (number | string)[][];
  tracked: number[];
  unreadable: number[];
}

/** Everything that a clip gives: its frames' own numbers forward, backward and at random, and how far it is followed. */
async function open(page: Page, clip: Buffer): Promise<Found> {
  await page.route("**/odd-clip", (route) => route.fulfill({ body: clip }));
  return page.evaluate(async () => {
    const { tools } = window;
    const sam = await tools.load();
    const video = await sam.openVideo(await (await fetch("/odd-clip")).blob());
    const at = async (frame: number): Promise<number | string> => {
      try {
        const bitmap = await video.frameAt(frame);
        const { width, height } = bitmap;
        // The squares are pixels of the stored picture: 720 wide where the shown one is wider.
        const square = 16 * (width > 320 ? width / 720 : 1);
        const context = new OffscreenCanvas(width, height).getContext(
          "2d",
        ) as OffscreenCanvasRenderingContext2D;
        context.drawImage(bitmap, 0, 0);
        bitmap.close();
        let number = 0;
        for (let bit = 0; bit < 8; bit++) {
          const [value = 0] = context.getImageData((bit + 0.5) * square, 8, 1, 1).data;
          if (value > 127) number |= 1 << bit;
        }
        return number;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const count = video.frameCount ?? 0;
    const forward: (number | string)[] = [];
    for (let i = 0; i < count; i++) forward.push(await at(i));
    const backward: (number | string)[] = [];
    for (let i = count - 1; i >= 0; i--) backward.unshift(await at(i));
    const jumps: (number | string)[][] = [];
    for (const i of [count - 1, 3, count >> 1, 0, 7]) jumps.push([await at(i), forward[i] ?? "none"]);
    const tracked: number[] = [];
    const unreadable: number[] = [];
    await video.prompt({ frame: 0, object: 1, points: [{ x: 60, y: 130, label: 1 }] });
    for await (const { frame, unreadable: error } of video.propagate())
      (error ? unreadable : tracked).push(frame);
    const { width, height, framesLeftOut: leftOut, duration } = video;
    sam.dispose();
    return { size: [width, height], leftOut, duration, forward, backward, jumps, tracked, unreadable };
  });
}

const clip = (name: string) => readFile(new URL(`../clips/${name}`, import.meta.url));
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

function expectWhole(found: Found, own: number[]): void {
  expect(found.forward).toEqual(own);
  expect(found.backward).toEqual(own);
  for (const [jumped, forward] of found.jumps) expect(jumped).toBe(forward);
  expect(found.tracked).toEqual(numbers(0, own.length));
  expect(found.unreadable).toEqual([]);
}

for (const [what, name] of [
  ["packets that are never shown", "altref.webm"],
  ["many frames of one millisecond", "equal_times.webm"],
  ["a frame that lasts no time", "zero_duration.mp4"],
  ["an open group of pictures", "open_gop.mp4"],
] as const) {
  test(`${what}: every frame has its number`, async ({ page }) => {
    const found = await open(page, await clip(name));
    expect(found).toMatchObject({ size: [320, 240], leftOut: 0 });
    expectWhole(found, numbers(0, 48));
  });
}

test("no key frame at the start: opens at the first, and says what was left out", async ({ page }) => {
  const found = await open(page, await clip("no_key_at_start.webm"));
  // Of 48 frames the first seven are missing, and the key frame is number 20.
  expect(found.leftOut).toBe(13);
  expectWhole(found, numbers(20, 48));
});

test("the stream alone says that its pixels are not square: display size", async ({ page }) => {
  const found = await open(page, await clip("sar_in_stream_only.mp4"));
  expect(found.size).toEqual([853, 480]);
  expectWhole(found, numbers(0, 48));
});

test("an edit list that trims the end", async ({ page }) => {
  const found = await open(page, await clip("end_trimmed_by_edit_list.mp4"));
  expect(found.duration).toBeCloseTo(1, 9);
  expectWhole(found, numbers(0, 24));
});

test("a frame that cannot be read is reported and passed over, or ends the run", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { clips, tools } = window;
    const sam = await tools.load();
    // The frame at 0.4 s, number 10: a block of WebM's own, whose picture is overwritten.
    const bytes = new Uint8Array(await (await clips.make({ frames: 20, keyEvery: 8 })).arrayBuffer());
    clips.damageFrame(bytes, 10);
    const file = new Blob([bytes]);
    const run = async (unreadable: "skip" | "stop") => {
      const video = await sam.openVideo(file);
      const own: (number | string)[] = [];
      for (let i = 0; i < (video.frameCount ?? 0); i++) {
        const bitmap = await video.frameAt(i).catch((error: { code: string }) => error.code);
        own.push(typeof bitmap === "string" ? bitmap : clips.readNumber(bitmap));
      }
      await video.prompt({ frame: 0, object: 1, points: [{ x: 80, y: 70, label: 1 }] });
      const seen: [number, string][] = [];
      const ended = await tools.failure(async () => {
        for await (const { frame, masks, unreadable: error } of video.propagate({ unreadable }))
          seen.push([frame, error ? error.code : `${masks.length}`]);
      });
      video.dispose();
      return { own, seen, ended: ended.code };
    };
    const result = { skip: await run("skip"), stop: await run("stop") };
    sam.dispose();
    return result;
  });
  expect(found.skip.ended).toBe("NONE");
  expect(found.skip.seen).toEqual(
    numbers(0, 20).map((frame) => [frame, frame === 10 ? "VIDEO_CORRUPT" : "1"]),
  );
  expect(found.skip.own[10]).toBe("VIDEO_CORRUPT");
  // From the next key frame on nothing of the damage is left.
  expect(found.skip.own.slice(16)).toEqual([16, 17, 18, 19]);
  expect(found.skip.own.slice(0, 10)).toEqual(numbers(0, 10));
  expect(found.stop.ended).toBe("VIDEO_CORRUPT");
  expect(found.stop.seen.map(([frame]) => frame)).toEqual(numbers(0, 10));
});
