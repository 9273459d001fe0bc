import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Mask, RefinedMask, Sam2 } from "../src/index.js";
import { cropBits, cropPixels, partAround } from "../src/part.js";
import { maskWhere } from "./drawn-masks.js";
import { alive, fakeWasm, hooks } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

// The fake engine draws an ellipse into a box.

async function embedded() {
  const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu", imageSize: 16 });
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
  stubWorkers(() => new FakeWorker(fakeWasm));
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
    expect(refined).toMatchObject({ width: 40, height: 30, score: 0.93, objectScore: 4.2 });
    expect(refined.part).toEqual([6, 1, 25, 20]);
    expect(refined.box).toEqual([12, 7, 20, 15]);
    expect(sam.encodes).toBe(1);
    // It is a mask like any other.
    expect((await image.refine(refined)).box).toEqual([13, 8, 20, 15]);
    expect(alive.embeddings).toBe(1);
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

describe("the part around a mask", () => {
  it("is a square inside the picture, as the crate has it", () => {
    const picture = { width: 1000, height: 600 };
    const around = (...box: [number, number, number, number]) => {
      const { left, top, right, bottom } = partAround(box, picture, 100);
      return [left, top, right, bottom];
    };
    expect(around(400, 200, 499, 259)).toEqual([350, 130, 550, 330]);
    expect(around(0, 0, 99, 9)).toEqual([0, 0, 200, 200]);
    expect(around(950, 590, 999, 599)).toEqual([900, 500, 1000, 600]);
    expect(around(500, 300, 500, 300)).toEqual([475, 275, 525, 325]);
    expect(around(300, 100, 699, 499)).toEqual([100, 0, 900, 600]);
    expect(partAround([0, 0, 2, 2], { width: 3, height: 3 }, 100)).toEqual({
      left: 0,
      top: 0,
      right: 3,
      bottom: 3,
    });
  });

  it("has its pixels and its bits", () => {
    const [width, height] = [13, 7];
    const inside = (x: number, y: number) => (x * 5 + y * 3) % 4 > 1;
    const data = Uint8ClampedArray.from({ length: width * height * 4 }, (_, i) => i % 251);
    const part = { left: 3, top: 2, right: 12, bottom: 6 };
    const pixels = cropPixels({ data, width, height }, part);
    const bits = cropBits(maskWhere(width, height, inside).bits, { width, height }, part);
    const cropped = new Mask(9, 4, bits);
    expect([pixels.width, pixels.height]).toEqual([9, 4]);
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 9; x++) {
        const from = ((y + 2) * width + x + 3) * 4;
        expect([...pixels.data.subarray((y * 9 + x) * 4, (y * 9 + x + 1) * 4)]).toEqual([
          ...data.subarray(from, from + 4),
        ]);
        expect(cropped.has(x, y)).toBe(inside(x + 3, y + 2));
      }
    }
  });
});
