import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Mask, Sam2 } from "../src/index.js";
import { fakeWasm, generated, hooks } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

// The fake engine finds a disc at each point, and takes the last of each batch back with the next.

const picture = () => new ImageData(40, 30);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => error.code,
  );

async function embedded() {
  const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
  return { sam, image: await sam.setImage(picture()) };
}

beforeEach(() => {
  stubWorkers(() => new FakeWorker(fakeWasm));
});

afterEach(() => {
  vi.unstubAllGlobals();
  delete hooks.beforeDecode;
  generated.length = 0;
});

describe("generate", () => {
  it("gives masks as they are found, and those that stay at the end", async () => {
    const { sam, image } = await embedded();
    const progress: number[] = [];
    const generation = image.generate({
      pointsPerSide: 4,
      pointsPerBatch: 8,
      boxNmsThresh: 0.5,
      onProgress: ({ pointsDone, points }) => progress.push(pointsDone / points),
    });
    const [ids, gone]: [number[], number[]] = [[], []];
    const told = new Set<Mask>();
    for await (const { id, replaces, mask, pointCoords, area } of generation) {
      ids.push(id);
      told.add(mask);
      gone.push(...replaces);
      expect([mask.width, mask.height, mask.area]).toEqual([40, 30, area]);
      expect(mask.has(...pointCoords)).toBe(true);
    }
    expect(progress).toEqual([0.5, 1]);
    expect(generated).toEqual([{ boxNmsThresh: 0.5 }]);
    const records = await generation.all();
    expect(records).toHaveLength(ids.length - gone.length);
    expect(generation.found).toEqual(records);
    // What a page keeps with a mask that was told it finds again.
    expect(records.filter(({ mask }) => !told.has(mask))).toEqual([]);
    expect(new Set(records.map(({ mask }) => mask)).size).toBe(records.length);
    sam.dispose();
  });

  it("answers a click between two batches", async () => {
    const { sam, image } = await embedded();
    let batches = 0;
    const all = image.generate({ pointsPerSide: 8, pointsPerBatch: 4, onProgress: () => batches++ }).all();
    await image.predict({ points: [{ x: 3, y: 3, label: 1 }] });
    expect(batches).toBeLessThan(8);
    expect(await all).not.toHaveLength(0);
    expect(batches).toBe(16);
    sam.dispose();
  });

  it("ends where the loop is left, on abort and with the image", async () => {
    const { sam, image } = await embedded();
    const left = image.generate({ pointsPerSide: 8, pointsPerBatch: 1 });
    for await (const { id } of left) if (id === 2) break;
    expect((await left.all()).length).toBeLessThan(4);

    const controller = new AbortController();
    const aborted = image.generate({ pointsPerSide: 8, pointsPerBatch: 1, signal: controller.signal });
    const all = aborted.all();
    controller.abort();
    expect(await codeOf(all)).toBe("ABORTED");

    const alive = image.generate({ pointsPerSide: 8, pointsPerBatch: 1 }).all();
    image.dispose();
    expect(await codeOf(alive)).toBe("DISPOSED");
    sam.dispose();
  });

  it("does not go on in another engine, where its number may be another search's", async () => {
    const { sam, image } = await embedded();
    const options = { pointsPerSide: 4, pointsPerBatch: 4 };
    const before = image.generate(options);
    const left = image.generate(options);
    for (const generation of [before, left]) await generation[Symbol.asyncIterator]().next();
    await sam.reload();
    const wanted = (await image.generate(options).all()).length;
    const after = [image.generate(options), image.generate(options)];
    const first = await Promise.all(after.map((generation) => generation[Symbol.asyncIterator]().next()));
    expect(first.map(({ done }) => done)).toEqual([false, false]);
    expect(await codeOf(before.all())).toBe("DEVICE_LOST");
    for await (const _ of left) break;
    expect(await Promise.all(after.map(async (each) => (await each.all()).length))).toEqual([wanted, wanted]);
    sam.dispose();
  });

  it("hands over the picture for its parts, and refuses what the engine refuses", async () => {
    const { sam, image } = await embedded();
    expect(await image.generate({ pointsPerSide: 2, cropNLayers: 1 }).all()).not.toHaveLength(0);
    expect(await codeOf(image.generate({ pointsPerSide: 0 }).all())).toBe("UNSUPPORTED_INPUT");
    sam.dispose();
  });
});

describe("preview", () => {
  it("computes one at a time, and of those that wait the latest", async () => {
    const { sam, image } = await embedded();
    let decodes = 0;
    hooks.beforeDecode = async () => {
      decodes++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const moves = [2, 4, 6, 8, 10].map((x) => image.preview({ x, y: 15 }));
    const masks = await Promise.all(moves);
    expect(masks.map((mask) => mask !== undefined)).toEqual([true, false, false, false, true]);
    expect(masks[4]?.has(10, 15)).toBe(true);
    expect(decodes).toBe(2);
    sam.dispose();
  });

  it("takes the smallest of the masks that were found, without the model", async () => {
    const { sam, image } = await embedded();
    const records = await image.generate({ pointsPerSide: 2, pointsPerBatch: 4 }).all();
    hooks.beforeDecode = () => Promise.reject(new Error("The model was asked."));
    const [x, y] = records[0]?.pointCoords ?? [0, 0];
    expect(await image.preview({ x, y })).toBe(records[0]?.mask);
    delete hooks.beforeDecode;
    expect((await image.preview({ x: 20, y: 15 }))?.has(20, 15)).toBe(true);
    sam.dispose();
  });

  it("makes no pixels of masks that are elsewhere, or larger than the one that it gives", async () => {
    const { sam, image } = await embedded();
    const records = await image.generate({ pointsPerSide: 8, pointsPerBatch: 64 }).all();
    const asked: number[] = [];
    for (const [i, { mask }] of records.entries())
      vi.spyOn(mask, "has").mockImplementation(() => !!asked.push(i));
    const [x, y] = records[0]?.pointCoords ?? [0, 0];
    const mask = await image.preview({ x, y });
    expect(asked).toHaveLength(1);
    expect(mask).toBe(records[asked[0] ?? -1]?.mask);
    expect(records.length).toBeGreaterThan(30);
    sam.dispose();
  });

  it("may have the logits' size", async () => {
    const { sam, image } = await embedded();
    const { masks } = await image.predict({ points: [{ x: 3, y: 3, label: 1 }] }, { size: "logits" });
    expect([masks[0]?.width, masks[0]?.height]).toEqual([masks[0]?.logitsWidth, masks[0]?.logitsHeight]);
    const wrong = image.predict({ points: [{ x: 3, y: 3, label: 1 }] }, { size: "small" as "logits" });
    expect(await codeOf(wrong)).toBe("UNSUPPORTED_INPUT");
    sam.dispose();
  });
});
