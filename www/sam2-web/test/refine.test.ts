import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Mask, RefinedMask, Sam2 } from "../src/index.js";
import { fakeWasm, hooks } from "./fake-wasm.js";
import { FakeWorker } from "./fake-worker.js";

// The fake engine makes the left half of the mask's box of it.

async function embedded() {
  const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
  return { sam, image: await sam.setImage(new ImageData(40, 30)) };
}

function rectangle(x0: number, y0: number, x1: number, y1: number): Mask {
  const ring = [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ] as const;
  return Mask.fromPolygons([[ring]], { width: 40, height: 30 });
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    ({ code, message }) => ({ code, message }),
  );

beforeEach(() => {
  vi.stubGlobal(
    "Worker",
    class {
      constructor() {
        // biome-ignore lint/correctness/noConstructorReturn: stands in for the browser's class
        return new FakeWorker(fakeWasm);
      }
    },
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  delete hooks.beforeEncode;
});

describe("refine", () => {
  it("gives a mask of the picture's size from logits of a part of it", async () => {
    const { sam, image } = await embedded();
    const refined = await image.refine(rectangle(11, 6, 21, 16));
    expect(refined).toBeInstanceOf(RefinedMask);
    expect(refined).toMatchObject({ width: 40, height: 30, score: 0.97, objectScore: 3 });
    expect(refined.part).toEqual([10, 5, 20, 15]);
    expect(refined.box).toEqual([11, 6, 15, 15]);
    expect(refined.area).toBe(50);
    expect(sam.encodes).toBe(1);
    // It is a mask like any other.
    expect((await image.refine(refined)).box).toEqual([11, 6, 12, 15]);
  });

  it("takes only a mask of something in the picture", async () => {
    const { image } = await embedded();
    expect(await errorOf(image.refine(new Mask(40, 30)))).toMatchObject({ code: "INVALID_MASK" });
    expect(await errorOf(image.refine(new Mask(20, 15)))).toEqual({
      code: "INVALID_MASK",
      message: "refine takes a Mask of the picture's 40 x 30 pixels, not one of 20 x 15.",
    });
    expect(await errorOf(image.refine({} as Mask))).toMatchObject({ code: "INVALID_MASK" });
  });

  it("ends with its signal, and with the image", async () => {
    const { image } = await embedded();
    hooks.beforeEncode = () => new Promise((resolve) => setTimeout(resolve, 20));
    const mask = rectangle(1, 1, 9, 9);
    const aborted = new AbortController();
    const refining = errorOf(image.refine(mask, { signal: aborted.signal }));
    aborted.abort();
    expect(await refining).toMatchObject({ code: "ABORTED" });
    image.dispose();
    expect(await errorOf(image.refine(mask))).toMatchObject({ code: "DISPOSED" });
  });
});
