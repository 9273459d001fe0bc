import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Sam2, Sam2Error } from "../src/index.js";
import { alive, Device, fakeWasm, hooks, Model } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

const click = { points: [{ x: 20, y: 15, label: 1 as const }] };
const picture = () => new ImageData(40, 30);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "NONE",
    (error) => (error instanceof Sam2Error ? error.code : `untyped ${error}`),
  );
const settled = (promise: Promise<unknown>) =>
  Promise.race([promise.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 30))]);

let workers: FakeWorker[] = [];
beforeEach(() => {
  workers = stubWorkers(() => new FakeWorker(fakeWasm));
  // Node has no pictures but this.
  vi.stubGlobal("ImageBitmap", undefined);
});
afterEach(() => {
  for (const hook of Object.keys(hooks)) delete hooks[hook as keyof typeof hooks];
  for (const worker of workers) worker.terminate();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe.each([
  ["in a worker", true],
  ["on this thread", false],
])("a model %s", (_, worker) => {
  const load = (options: object = {}) =>
    Sam2.load({ model: new ArrayBuffer(64), device: "cpu", worker, ...options });

  it.each(["DEVICE_LOST", "OUT_OF_MEMORY"])(
    "tells that it cannot go on while nobody asks: %s",
    async (code) => {
      const sam = await load();
      const image = await sam.setImage(picture());
      expect(await settled(sam.lost)).toBe(false);
      hooks.loseDevice?.(code);
      expect(await sam.lost).toMatchObject({ code });
      expect(await codeOf(image.predict(click))).toBe(code);
      expect(await codeOf(sam.setImage(picture()))).toBe(code);
      sam.dispose();
    },
  );

  it("ends an encode and a click that are under way, and answers both after reload", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    for (const [hook, call] of [
      ["beforeEncode", () => sam.setImage(picture())],
      ["beforeDecode", () => image.predict(click)],
    ] as const) {
      hooks[hook] = () => new Promise(() => {});
      const underWay = codeOf(call());
      await new Promise((resolve) => setTimeout(resolve, 20));
      hooks.loseDevice?.("DEVICE_LOST");
      expect(await underWay).toBe("DEVICE_LOST");
      delete hooks[hook];
      await sam.reload();
      expect(await settled(sam.lost)).toBe(false);
      expect((await image.predict(click)).masks).toHaveLength(3);
    }
    // Once at first, and once after each reload.
    expect(sam.encodes).toBe(3);
    sam.dispose();
  });

  it("tells of a panic, and a new instance works", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    hooks.panic?.("index out of bounds");
    expect(await sam.lost).toMatchObject({ code: "INTERNAL" });
    await sam.reload();
    expect((await image.predict(click)).masks).toHaveLength(3);
    sam.dispose();
  });

  it("knows the reason also where a read fails before it is told", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    hooks.beforeDecode = async () => {
      setTimeout(() => hooks.loseDevice?.("OUT_OF_MEMORY"), 5);
      throw Object.assign(new Error("a buffer could not be mapped"), { code: "DEVICE_LOST" });
    };
    expect(await codeOf(image.predict(click))).toBe("OUT_OF_MEMORY");
    expect(await sam.lost).toMatchObject({ code: "OUT_OF_MEMORY" });
    sam.dispose();
  });

  it("asks for pictures that do not keep, and forgets those that cannot be had", async () => {
    const sam = await load();
    const again = vi.fn(() => picture());
    const kept = await sam.setImage(picture());
    const given = await sam.setImage(picture(), { transfer: true, again });
    const gone = await sam.setImage(picture(), { transfer: true });
    const failing = await sam.setImage(picture(), {
      again: () => {
        throw new TypeError("the page's own");
      },
    });
    const disposed = await sam.setImage(picture(), { again });
    disposed.dispose();
    await sam.reload();
    expect(again).toHaveBeenCalledTimes(1);
    expect((await kept.predict(click)).masks).toHaveLength(3);
    expect((await given.predict(click)).masks).toHaveLength(3);
    await expect(gone.predict(click)).rejects.toMatchObject({ code: "DEVICE_LOST" });
    await expect(failing.predict(click)).rejects.toMatchObject({
      code: "DEVICE_LOST",
      message: expect.stringMatching(/the page's own.*setImage again/),
    });
    expect(await codeOf(disposed.predict(click))).toBe("DISPOSED");
    sam.dispose();
  });

  it("reloads once where it is asked twice, and calls under way end", async () => {
    const opened = vi.spyOn(Device, "open");
    const sam = await load();
    hooks.beforeEncode = () => new Promise(() => {});
    const underWay = codeOf(sam.setImage(picture()));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await Promise.all([sam.reload(), sam.reload()]);
    expect(await underWay).toBe("DEVICE_LOST");
    expect(opened).toHaveBeenCalledTimes(2);
    sam.dispose();
    expect(await codeOf(sam.reload())).toBe("DISPOSED");
  });

  it("a reload that fails can be tried again", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    vi.spyOn(Model, "load").mockRejectedValueOnce(
      Object.assign(new Error("no room"), { code: "OUT_OF_MEMORY" }),
    );
    expect(await codeOf(sam.reload())).toBe("OUT_OF_MEMORY");
    expect(await codeOf(sam.reload({ signal: AbortSignal.abort() }))).toBe("ABORTED");
    expect(await codeOf(image.predict(click))).toBe("DEVICE_LOST");
    await sam.reload();
    expect((await image.predict(click)).masks).toHaveLength(3);
    sam.dispose();
  });

  it("of two models only one is told", async () => {
    const first = await load();
    const lose = hooks.loseDevice;
    const second = await load();
    lose?.("DEVICE_LOST");
    expect(await first.lost).toMatchObject({ code: "DEVICE_LOST" });
    expect(await settled(second.lost)).toBe(false);
    await second.setImage(picture());
    first.dispose();
    await second.setImage(picture());
    second.dispose();
  });
});

describe("a model", () => {
  it("frees the device that it leaves, on this thread too", async () => {
    const before = { ...alive };
    const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu", worker: false });
    await sam.setImage(picture());
    await sam.reload();
    await sam.reload();
    await vi.waitFor(() => expect(alive.devices).toBe(before.devices + 1));
    sam.dispose();
    await vi.waitFor(() => expect(alive).toEqual(before));
  });

  it("tells of a worker that dies", async () => {
    const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
    workers[0]?.fail("killed");
    expect(await sam.lost).toMatchObject({ code: "INTERNAL" });
    await sam.reload();
    await sam.setImage(picture());
    sam.dispose();
  });
});
