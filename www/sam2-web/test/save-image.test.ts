import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Sam2 } from "../src/index.js";
import { alive, fakeWasm } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

// The fake engine's features are four 1s, two 2s and a 3.

const weights = (fill: number, length = 64) => new Uint8Array(length).fill(fill).buffer;
const load = (fill = 1, imageSize?: number) =>
  Sam2.load({ model: weights(fill), device: "cpu", ...(imageSize && { imageSize }) });
const picture = () => new ImageData(40, 30);
const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    ({ code, message }) => ({ code, message }),
  );

let workers: FakeWorker[] = [];

beforeEach(() => {
  workers = stubWorkers(() => new FakeWorker(fakeWasm));
});

afterEach(() => {
  for (const worker of workers) worker.terminate();
  vi.unstubAllGlobals();
});

describe("a saved image", () => {
  it("is restored without encoding it again, also by another instance of the model", async () => {
    const file = await (await (await load()).setImage(picture())).save();
    expect(file.size % 4).toBe(0);
    const sam = await load();
    const image = await sam.restoreImage(file);
    expect(image).toMatchObject({ width: 40, height: 30, encodeMs: 0 });
    expect(sam.encodes).toBe(0);
    const { masks } = await image.predict({ points: [{ x: 20, y: 15, label: 1 }] });
    expect(masks[0]?.has(20, 15)).toBe(true);
    await sam.reload();
    expect((await image.predict({ points: [{ x: 20, y: 15, label: 1 }] })).masks).toHaveLength(3);
  });

  it("is a safetensors file", async () => {
    const file = await (await (await load()).setImage(picture())).save();
    const bytes = new DataView(await file.arrayBuffer());
    const end = 8 + Number(bytes.getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.buffer.slice(8, end) as ArrayBuffer));
    expect(end % 8).toBe(0);
    expect(header.high_res_1).toEqual({ dtype: "F32", shape: [2], data_offsets: [16, 24] });
    expect(bytes.getFloat32(end + 24, true)).toBe(3);
    expect(header.__metadata__).toMatchObject({ width: "40", height: "30" });
  });

  it("is refused by another model, by the same one at another size, and where it is damaged", async () => {
    const file = await (await (await load()).setImage(picture())).save();
    const another = { code: "UNSUPPORTED_INPUT", message: expect.stringContaining("by another model") };
    const before = alive.embeddings;
    expect(await errorOf((await load(2)).restoreImage(file))).toEqual(another);
    const sam = await load(1, 256);
    expect(await errorOf(sam.restoreImage(file))).toEqual(another);
    for (const bad of [
      file.slice(0, file.size - 4),
      new Blob(["{}"]),
      new Blob([]),
      new Blob(["x".repeat(99)]),
    ])
      expect(await errorOf(sam.restoreImage(bad))).toMatchObject({
        code: "UNSUPPORTED_INPUT",
        message: expect.stringContaining("not a file of ImageEmbedding.save"),
      });
    expect(await errorOf(sam.restoreImage({} as Blob))).toMatchObject({ code: "UNSUPPORTED_INPUT" });
    expect(alive.embeddings).toBe(before);
  });

  it("needs its picture for what is made of pixels", async () => {
    const sam = await load();
    const file = await (await sam.setImage(picture())).save();
    const bare = await sam.restoreImage(file);
    const { masks } = await bare.predict({ points: [{ x: 20, y: 15, label: 1 }] });
    const [mask] = masks;
    if (!mask) throw new Error("no mask");
    const without = { code: "UNSUPPORTED_INPUT", message: expect.stringContaining("without its picture") };
    expect(await errorOf(bare.refine(mask))).toEqual(without);
    expect(await errorOf(mask.cutout())).toEqual(without);
    expect(await errorOf(bare.generate({ cropNLayers: 1 }).all())).toEqual(without);
    const whole = await sam.restoreImage(file, { picture: picture() });
    expect((await whole.refine(mask)).score).toBe(0.93);
    const wrong = await sam.restoreImage(file, { picture: new ImageData(30, 40) });
    expect(await errorOf(wrong.refine(mask))).toMatchObject({ code: "INVALID_IMAGE" });
  });
});

describe("setImages", () => {
  it("takes several pictures, and frees them all if one fails", async () => {
    const before = alive.embeddings;
    const sam = await load();
    const images = await sam.setImages([picture(), new ImageData(20, 10)]);
    expect(images.map(({ width }) => width)).toEqual([40, 20]);
    for (const image of images) image.dispose();
    const broken = "no picture" as unknown as ImageData;
    expect(await errorOf(sam.setImages([picture(), broken]))).toMatchObject({ code: "UNSUPPORTED_INPUT" });
    await vi.waitFor(() => expect(alive.embeddings).toBe(before));
  });
});

describe("what is no longer needed", () => {
  it("is freed at the end of its block by `using`", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    image[Symbol.dispose]();
    sam[Symbol.dispose]();
    expect(await errorOf(image.predict({ points: [] }))).toMatchObject({ code: "DISPOSED" });
    expect(workers.at(-1)?.terminated).toBe(true);
  });

  it("is freed with the garbage where dispose was forgotten", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const sam = await load();
    const before = alive.embeddings;
    await (async () => {
      await sam.setImage(picture());
    })();
    expect(alive.embeddings).toBe(before + 1);
    await vi.waitFor(
      () => {
        collect();
        expect(alive.embeddings).toBe(before);
      },
      { timeout: 5000 },
    );
    expect(sam.model.name).toBe("fake");
  });
});

describe("isSupported", () => {
  it("says whether the browser has what a device needs", async () => {
    expect(await Sam2.isSupported()).toBe(true);
    expect(await Sam2.isSupported({ device: "webgpu" })).toBe(false);
    vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => ({}) } });
    expect(await Sam2.isSupported({ device: "webgpu" })).toBe(true);
    vi.spyOn(WebAssembly, "validate").mockReturnValue(false);
    expect(await Sam2.isSupported()).toBe(false);
    vi.restoreAllMocks();
  });
});
