import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type OpenVideoOptions, Sam2, Sam2Error, type Video } from "../src/index.js";
import { type Port, serve } from "../src/serve.js";
import { alive, fakeWasm, hooks } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

const weights = new ArrayBuffer(64);
const point = { x: 20, y: 15, label: 1 as const };
const [width, height] = [40, 30];

/** Pictures that are open. */
let open = 0;

class FakeBitmap {
  #closed = false;
  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    open++;
  }
  get [Symbol.toStringTag]() {
    return "ImageBitmap";
  }
  close(): void {
    if (!this.#closed) open--;
    this.#closed = true;
  }
}

class FakeCanvas {
  getContext() {
    return {
      clearRect() {},
      drawImage() {},
      getImageData: (_x: number, _y: number, w: number, h: number) => ({
        data: new Uint8ClampedArray(w * h * 4),
      }),
    };
  }
}

/** What the fake file's worker was asked for. */
let asked: string[] = [];
let failAt: number | undefined;
const times = Float64Array.from([0, 0.04, 0.05, 0.3, 0.31, 1]);

function serveFile(port: Port): void {
  serve(
    async (method: string, args: { frame?: number }) => {
      asked.push(method === "open" ? method : `${method} ${args.frame}`);
      if (method === "open") return { width, height, duration: 1.04, timestamps: times.slice(), leftOut: 0 };
      if (args.frame === failAt) throw new Sam2Error("VIDEO_CORRUPT", "It is damaged, or was cut.");
      return { data: new Uint8ClampedArray(width * height * 4), width, height };
    },
    () => [],
    port,
  );
}

let workers: FakeWorker[] = [];

beforeEach(() => {
  open = 0;
  asked = [];
  failAt = undefined;
  vi.stubGlobal("ImageBitmap", FakeBitmap);
  vi.stubGlobal("OffscreenCanvas", FakeCanvas);
  vi.stubGlobal("createImageBitmap", async (from: FakeBitmap) => new FakeBitmap(from.width, from.height));
  workers = stubWorkers((url) =>
    url.href.includes("worker-video") ? new FakeWorker(undefined, serveFile) : new FakeWorker(fakeWasm),
  );
});

afterEach(() => {
  delete hooks.beforeEncode;
  delete hooks.beforeTrack;
  delete hooks.loseDevice;
  for (const worker of workers) worker.terminate();
  vi.unstubAllGlobals();
});

const pause = () => new Promise((resolve) => setTimeout(resolve, 10));

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(Sam2Error);
  return error.code;
}

/** Frames of a page's own, and how many were asked for. */
function frames(count: number, sizes: (frame: number) => [number, number] = () => [width, height]) {
  const state = { asked: 0, ended: false };
  async function* make() {
    try {
      while (state.asked < count) yield new FakeBitmap(...sizes(state.asked++)) as unknown as ImageBitmap;
    } finally {
      state.ended = true;
    }
  }
  return { state, frames: make() };
}

/** On this thread, since a fake picture cannot cross to a worker. */
async function openStream(count: number, options: OpenVideoOptions = {}, sizes?: () => [number, number]) {
  const sam = await Sam2.load({ model: weights, device: "cpu", worker: false });
  const { state, frames: source } = frames(count, sizes);
  return { sam, state, video: await sam.openVideo(source, options) };
}

async function openFile() {
  const sam = await Sam2.load({ model: weights, device: "cpu" });
  return { sam, video: await sam.openVideo(new Blob(["a clip"])) };
}

async function run(video: Video, options?: Parameters<Video["propagate"]>[0]): Promise<number[]> {
  const order: number[] = [];
  for await (const { frame } of video.propagate(options)) order.push(frame);
  return order;
}

describe("a stream", () => {
  it("is asked for a frame only when a step needs it, and for no more after the loop", async () => {
    const { sam, state, video } = await openStream(10);
    expect([state.asked, video.width, video.height, video.frameCount]).toEqual([1, width, height, undefined]);
    await video.prompt({ frame: 0, object: 7, points: [point] });
    const steps = video.propagate();
    expect((await steps.next()).value?.frame).toBe(0);
    expect(state.asked).toBe(1);
    expect((await steps.next()).value?.frame).toBe(1);
    await pause();
    expect(state.asked).toBe(2);
    for await (const { frame, masks } of steps) {
      expect(masks.map(({ object, visible }) => [object, visible])).toEqual([[7, true]]);
      if (frame === 4) break;
    }
    await pause();
    expect([state.asked, video.latestFrame]).toEqual([5, 4]);
    expect(await run(video)).toEqual([4, 5, 6, 7, 8, 9]);
    expect(await video.nextFrame()).toBeUndefined();
    video.dispose();
    sam.dispose();
    await vi.waitFor(() => expect([open, alive.videos]).toEqual([0, 0]));
  });

  it("keeps as many frames as it is told", async () => {
    const { sam, video } = await openStream(6, { keepFrames: 2 });
    for (let i = 0; i < 4; i++) await video.nextFrame();
    await video.prompt({ frame: 3, object: 1, points: [point] });
    expect(await codeOf(video.prompt({ frame: 1, object: 1, points: [point] }))).toBe("FRAME_GONE");
    expect(await codeOf(video.prompt({ frame: 5, object: 1, points: [point] }))).toBe("FRAME_OUT_OF_RANGE");
    expect(await run(video, { direction: "backward" })).toEqual([4, 3, 2]);
    expect(await run(video, { from: 3, frames: 2 })).toEqual([3, 4]);
    expect(open).toBe(3);
    sam.dispose();
    await vi.waitFor(() => expect(open).toBe(0));
  });

  it("waits without holding up prompts", async () => {
    let give = (_: ImageBitmap) => {};
    const bitmap = () => new FakeBitmap(width, height) as unknown as ImageBitmap;
    async function* slow() {
      yield bitmap();
      yield await new Promise<ImageBitmap>((resolve) => {
        give = resolve;
      });
    }
    const sam = await Sam2.load({ model: weights, device: "cpu", worker: false });
    const video = await sam.openVideo(slow());
    await video.prompt({ frame: 0, object: 1, points: [point] });
    const steps = video.propagate();
    await steps.next();
    const waiting = steps.next();
    await pause();
    const corrected = await video.prompt({ frame: 0, object: 2, points: [point] });
    expect(corrected.masks).toHaveLength(2);
    give(bitmap());
    expect((await waiting).value?.masks).toHaveLength(2);
    sam.dispose();
  });

  it("loses no frame to an abort", async () => {
    const { sam, video } = await openStream(5);
    await video.prompt({ frame: 0, object: 1, points: [point] });
    const controller = new AbortController();
    hooks.beforeTrack = async (frame) => {
      if (frame === 2) controller.abort();
      await pause();
    };
    const order: number[] = [];
    const aborted = (async () => {
      for await (const { frame } of video.propagate({ signal: controller.signal })) order.push(frame);
    })();
    expect(await codeOf(aborted)).toBe("ABORTED");
    expect(order).toEqual([0, 1]);
    delete hooks.beforeTrack;
    expect(await run(video)).toEqual([2, 3, 4]);
    sam.dispose();
  });

  it("ends when it is disposed of: what is under way rejects, its frames are closed", async () => {
    const { sam, state, video } = await openStream(9);
    await video.prompt({ frame: 0, object: 1, points: [point] });
    let release = () => {};
    hooks.beforeTrack = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const step = codeOf(video.propagate().next());
    await pause();
    video.dispose();
    video.dispose();
    expect(await step).toBe("DISPOSED");
    expect(await codeOf(video.masksAt(0))).toBe("DISPOSED");
    expect(await codeOf(video.propagate().next())).toBe("DISPOSED");
    release();
    await vi.waitFor(() => expect([open, alive.videos, state.ended]).toEqual([0, 0, true]));
    delete hooks.beforeTrack;
    const other = await sam.openVideo(frames(2).frames);
    await other.prompt({ frame: 0, object: 1, points: [point] });
    expect(await run(other)).toEqual([0, 1]);
    sam.dispose();
    await vi.waitFor(() => expect([open, alive.videos]).toEqual([0, 0]));
  });

  it("says when it fails, changes its size or is empty", async () => {
    const sam = await Sam2.load({ model: weights, device: "cpu", worker: false });
    const growing = await sam.openVideo(frames(4, (i) => [width * (i < 2 ? 1 : 2), height]).frames);
    await growing.prompt({ frame: 0, object: 1, points: [point] });
    expect(await codeOf(run(growing))).toBe("FRAME_SIZE_CHANGED");
    await growing.prompt({ frame: 1, object: 1, points: [point] });
    growing.dispose();
    expect(await codeOf(sam.openVideo(frames(0).frames))).toBe("NO_VIDEO_TRACK");
    const failing = (async function* (): AsyncGenerator<ImageBitmap> {
      yield new FakeBitmap(width, height) as unknown as ImageBitmap;
      throw new Error("the cable was pulled");
    })();
    const failed = await sam.openVideo(failing);
    await failed.prompt({ frame: 0, object: 1, points: [point] });
    expect(await codeOf(run(failed))).toBe("VIDEO_SOURCE_FAILED");
    expect(await codeOf(sam.openVideo({} as never))).toBe("UNSUPPORTED_INPUT");
    expect(await codeOf(sam.openVideo(frames(1).frames, { keepFrames: -1 }))).toBe("UNSUPPORTED_INPUT");
    expect(await codeOf(sam.openVideo(frames(1).frames, { signal: AbortSignal.abort() }))).toBe("ABORTED");
    sam.dispose();
    await vi.waitFor(() => expect(open).toBe(0));
  });
});

describe("a file", () => {
  it("has exact times, also between frames", async () => {
    const { sam, video } = await openFile();
    expect([video.frameCount, video.duration, video.latestFrame]).toEqual([6, 1.04, 5]);
    expect(Array.from(times, (_, i) => video.timestamp(i))).toEqual([...times]);
    expect([-1, 0, 0.039, 0.04, 0.0499999, 0.299, 0.31, 99].map((t) => video.frameNear(t))).toEqual([
      0, 0, 0, 1, 2, 2, 4, 5,
    ]);
    expect(() => video.timestamp(6)).toThrow(/has 6, counted from 0/);
    sam.dispose();
  });

  it("is decoded once a frame, in order, in both directions", async () => {
    const { sam, video } = await openFile();
    await video.prompt({ frame: 2, object: 1, points: [point] });
    await video.prompt({ frame: 2, object: 1, points: [point], keepPoints: true });
    expect(asked).toEqual(["open", "pixels 2"]);
    asked = [];
    expect(await run(video)).toEqual([2, 3, 4, 5]);
    expect(await run(video, { from: 3, direction: "backward" })).toEqual([3, 2, 1, 0]);
    expect(await run(video, { from: 0, frames: 1 })).toEqual([0]);
    expect(asked).toEqual([3, 4, 5, 3, 2, 1, 0].map((frame) => `pixels ${frame}`));
    sam.dispose();
  });

  it("passes over a frame that cannot be read and reports it, unless nothing after it can be", async () => {
    const { sam, video } = await openFile();
    await video.prompt({ frame: 0, object: 1, points: [point] });
    failAt = 2;
    const seen: [number, number, string | undefined][] = [];
    for await (const { frame, masks, unreadable } of video.propagate())
      seen.push([frame, masks.length, unreadable?.code]);
    expect(seen).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => [i, i === 2 ? 0 : 1, i === 2 ? "VIDEO_CORRUPT" : undefined]),
    );
    const backward: number[] = [];
    for await (const { frame } of video.propagate({ from: 4, direction: "backward" })) backward.push(frame);
    expect(backward).toEqual([4, 3, 2, 1, 0]);
    failAt = 5;
    const upToDamage: number[] = [];
    const cut = (async () => {
      for await (const { frame } of video.propagate({ from: 3 })) upToDamage.push(frame);
    })();
    expect(await codeOf(cut)).toBe("VIDEO_CORRUPT");
    expect(upToDamage).toEqual([3, 4]);
    expect(await codeOf(run(video, { unreadable: "often" as never }))).toBe("UNSUPPORTED_INPUT");
    failAt = undefined;
    sam.dispose();
  });

  it("goes on after damage, sending the frame again", async () => {
    const { sam, video } = await openFile();
    await video.prompt({ frame: 0, object: 1, points: [point] });
    failAt = 2;
    const order: number[] = [];
    const cut = (async () => {
      for await (const { frame } of video.propagate({ unreadable: "stop" })) order.push(frame);
    })();
    expect(await codeOf(cut)).toBe("VIDEO_CORRUPT");
    expect(order).toEqual([0, 1]);
    expect((await video.masksAt(1)).masks[0]?.visible).toBe(true);
    expect((await video.masksAt(2)).masks[0]).toMatchObject({ visible: false, objectScore: undefined });
    hooks.beforeTrack = async () => {
      throw Object.assign(new Error("The prompt is empty."), { code: "INVALID_PROMPT" });
    };
    asked = [];
    expect(await codeOf(run(video, { from: 3 }))).toBe("INVALID_PROMPT");
    delete hooks.beforeTrack;
    expect(await run(video, { from: 3, frames: 1 })).toEqual([3]);
    expect(asked).toEqual(["pixels 3", "pixels 3"]);
    sam.dispose();
  });

  it("follows one run at a time: the newer", async () => {
    const { sam, video } = await openFile();
    await video.prompt({ frame: 0, object: 1, points: [point] });
    const older = video.propagate();
    await older.next();
    const newer = video.propagate({ from: 3 });
    expect((await newer.next()).value?.frame).toBe(3);
    expect(await codeOf(older.next())).toBe("ABORTED");
    expect((await newer.next()).value?.frame).toBe(4);
    await newer.return();
    expect(await newer.next()).toEqual({ value: undefined, done: true });
    expect(await run(video, { from: 5 })).toEqual([5]);
    sam.dispose();
  });

  it("needs WebCodecs, and says what to do without", async () => {
    const sam = await Sam2.load({ model: weights, device: "cpu", worker: false });
    const error = await sam.openVideo(new Blob(["a clip"])).catch((thrown) => thrown);
    expect(error).toMatchObject({
      code: "VIDEO_UNSUPPORTED",
      message: expect.stringMatching(/async iterable/),
    });
    sam.dispose();
  });

  it("takes its decoder with it", async () => {
    const { sam, video } = await openFile();
    await openFile();
    const [, decoder, , other] = workers;
    video.dispose();
    expect([decoder?.terminated, other?.terminated]).toEqual([true, false]);
    const again = await sam.openVideo(new Blob(["a clip"]));
    sam.dispose();
    expect(workers.at(-1)?.terminated).toBe(true);
    expect(await codeOf(again.frameAt(0))).toBe("DISPOSED");
  });
});

describe("prompts", () => {
  it("take masks in every form, and say what is wrong", async () => {
    const { sam, video } = await openFile();
    const bytes = Uint8Array.from({ length: width * height }, (_, i) => (i % width < 10 ? 255 : 0));
    const first = await video.prompt({ frame: 0, object: 1, mask: bytes });
    const [{ mask } = expect.fail("no mask")] = first.masks;
    expect(mask.area).toBe(10 * height);
    const image = mask.toImageData({ color: [255, 255, 255], alpha: 1 });
    for (const other of [mask, image]) {
      const { masks } = await video.prompt({ frame: 1, object: 2, mask: other });
      expect(masks[1]?.mask.area).toBe(mask.area);
    }
    const wrong: unknown[] = [
      {},
      { points: [{ x: 999, y: 0, label: 1 }] },
      { mask: new Uint8Array(5) },
      { mask: new ImageData(2, 2) },
      { mask: bytes, points: [point] },
      { mask: "all" },
      { points: [point], object: 1.5 },
    ];
    for (const prompt of wrong) {
      expect(await codeOf(video.prompt({ frame: 0, object: 1, ...(prompt as object) }))).toBe(
        "INVALID_PROMPT",
      );
    }
    expect(await video.removeObject(2)).toMatchObject([{ frame: 1, masks: [{ object: 1 }] }]);
    await video.clearPrompts(0, 1);
    expect(await codeOf(run(video))).toBe("INVALID_PROMPT");
    await video.reset();
    expect((await video.masksAt(0)).masks).toEqual([]);
    sam.dispose();
  });
});

describe("a video whose device is lost", () => {
  it("is told all its prompts again, in their order, but not what was taken back", async () => {
    const { sam, video } = await openFile();
    const at = (x: number) => [{ x, y: 15, label: 1 as const }];
    await video.prompt({ frame: 0, object: 7, points: at(10) });
    await video.prompt({ frame: 0, object: 7, points: at(14), keepPoints: true });
    await video.prompt({ frame: 3, object: 2, box: [1, 1, 9, 9] });
    await video.prompt({ frame: 2, object: 7, points: at(20) });
    await video.clearPrompts(2, 7);
    await video.prompt({ frame: 1, object: 5, points: at(20) });
    await video.removeObject(5);
    const known = await video.masksAt(0);
    const before = await run(video, { frames: 3 });
    hooks.beforeTrack = () => new Promise(() => {});
    const underWay = codeOf(run(video));
    await pause();
    hooks.loseDevice?.("DEVICE_LOST");
    expect(await underWay).toBe("DEVICE_LOST");
    expect(await codeOf(video.masksAt(0))).toBe("DEVICE_LOST");
    delete hooks.beforeTrack;
    await sam.reload();
    expect(await video.masksAt(0)).toEqual(known);
    expect(await run(video, { frames: 3 })).toEqual(before);
    sam.dispose();
  });

  it("of a stream goes on with what it can, and forgets objects whose frames are gone", async () => {
    const { sam, video } = await openStream(9, { keepFrames: 1 });
    const points = [{ x: 10, y: 15, label: 1 as const }];
    await video.nextFrame();
    await video.prompt({ frame: video.latestFrame, object: 1, points });
    await video.nextFrame();
    await video.nextFrame();
    await video.nextFrame();
    const frame = video.latestFrame;
    await video.prompt({ frame, object: 2, points });
    await sam.reload();
    expect((await video.masksAt(frame)).masks.map(({ object }) => object)).toEqual([2]);
    expect(await run(video, { frames: 2 })).toEqual([frame, frame + 1]);
    sam.dispose();
  });
});
