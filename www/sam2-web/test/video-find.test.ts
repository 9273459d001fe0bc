import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Sam2, Sam2Error, type Video } from "../src/index.js";
import { type Port, serve } from "../src/serve.js";
import { serveDetector } from "../src/serve-detector.js";
import { detector, fakeDetector } from "./fake-detector.js";
import { fakeWasm } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

const [width, height] = [40, 30];
const files = { model: new ArrayBuffer(64), vocabulary: new ArrayBuffer(16) };
/** Ten frames. */
function serveFile(port: Port): void {
  const timestamps = Float64Array.from({ length: 10 }, (_, i) => i / 10);
  serve(
    async (method: string) =>
      method === "open"
        ? { width, height, duration: 1, timestamps, leftOut: 0 }
        : { data: new Uint8ClampedArray(width * height * 4), width, height },
    () => [],
    port,
  );
}

let sam: Sam2;
let video: Video;

beforeEach(async () => {
  Object.assign(detector, { images: 0, encodes: 0, asked: [], loaded: [] });
  stubWorkers(({ href }) => {
    if (href.includes("worker-detector"))
      return new FakeWorker(undefined, (port) => serveDetector(fakeDetector, port));
    return href.includes("worker-video") ? new FakeWorker(undefined, serveFile) : new FakeWorker(fakeWasm);
  });
  sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
  video = await sam.openVideo(new Blob(["a clip"]));
});

afterEach(() => {
  sam.dispose();
  vi.unstubAllGlobals();
});

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => (error instanceof Sam2Error ? error.code : error),
  );

/** The labels of each frame's objects. */
async function labels(options: Parameters<Video["propagate"]>[0] = {}) {
  const all: string[] = [];
  for await (const { frame, masks } of video.propagate(options))
    all.push(`${frame}: ${masks.map(({ object, label }) => `${object} ${label}`).join(", ")}`);
  return all;
}

describe("find in a video", () => {
  beforeEach(() => sam.loadDetector({ ...files, device: "cpu" }));

  it("makes an object of each box, with its label, beside those that are there", async () => {
    await video.prompt({ frame: 0, object: 1, points: [{ x: 30, y: 20, label: 1 }] });
    const found = await video.find(2, ["ab", "c"], { threshold: 0.3 });
    expect(found.map(({ object, label, box }) => [object, label, box])).toEqual([
      [0, "ab", [0, 0, 8, 8]],
      [2, "ab", [1, 0, 9, 8]],
      [3, "c", [0, 0, 8, 8]],
    ]);
    expect(found.every(({ mask, score }) => mask.has(4, 4) && score > 0.3)).toBe(true);
    expect(detector.asked).toEqual([{ query: ["ab", "c"], options: { threshold: 0.3 } }]);
    expect(await labels({ from: 2, frames: 1 })).toEqual(["2: 1 undefined, 0 ab, 2 ab, 3 c"]);
    await video.removeObject(2);
    expect(await labels({ from: 2, frames: 1 })).toEqual(["2: 1 undefined, 0 ab, 3 c"]);
    await video.reset();
    expect((await video.find(0, "z")).map(({ object, label }) => [object, label])).toEqual([[0, "z"]]);
    // Of a frame nothing is kept.
    await vi.waitFor(() => expect(detector.images).toBe(0));
  });

  it("looks again on every nth frame, and follows those that are not followed yet", async () => {
    // All drift to the right by a pixel a frame, and the detector finds a box at the left each time.
    await video.find(0, "a");
    video.findAgain({ every: 4 });
    expect(await labels()).toEqual([
      "0: 0 a",
      "1: 0 a",
      "2: 0 a",
      // Of eight pixels four are covered.
      "3: 0 a",
      "4: 0 a",
      "5: 0 a",
      "6: 0 a",
      "7: 0 a, 1 a",
      "8: 0 a, 1 a",
      "9: 0 a, 1 a",
    ]);
    video.findAgain({ every: 0 });
    const searches = detector.asked.length;
    expect(searches).toBe(3);
    await labels();
    expect(detector.asked).toHaveLength(searches);
    await vi.waitFor(() => expect(detector.images).toBe(0));
  });

  it("says what is wrong, and makes nothing then", async () => {
    expect(() => video.findAgain({ every: 4 })).toThrow(/call find/);
    expect(await codeOf(video.find(99, "a"))).toBe("FRAME_OUT_OF_RANGE");
    expect(await codeOf(video.find(0, " "))).toBe("INVALID_PROMPT");
    expect(await codeOf(video.find(0, "a".repeat(10_000)))).toBe("INVALID_PROMPT");
    expect(await codeOf(video.find(0, "a", { signal: AbortSignal.abort() }))).toBe("ABORTED");
    for (const every of [-1, 0.5, Number.NaN])
      expect(() => video.findAgain({ every })).toThrow(/whole number/);
    expect((await video.find(0, "a")).map(({ object }) => object)).toEqual([0]);
    expect(await labels({ frames: 1 })).toEqual(["0: 0 a"]);
    video.dispose();
    expect(await codeOf(video.find(0, "a"))).toBe("DISPOSED");
  });
});

it("finds nothing in a video without a detector", async () => {
  expect(await codeOf(video.find(0, "a"))).toBe("UNSUPPORTED_INPUT");
});
