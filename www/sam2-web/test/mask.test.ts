import { describe, expect, it } from "vitest";
import { Mask, type MaskTools } from "../src/mask.js";

const size = { width: 3, height: 3, logitsWidth: 1, logitsHeight: 1 };
const tools: MaskTools = {
  rle: async () => "counts",
  cutout: async (_, crop) => new Blob([crop.join()]),
};

/** Of a 3 x 3 picture, the middle and the last pixel. */
const mask = new Mask(
  {
    score: 0.9,
    area: 2,
    box: [1, 1, 2, 2],
    bits: Uint8Array.of(0b0001_0000, 0b1),
    logits: new Float32Array(1),
  },
  size,
  tools,
);
const empty = new Mask(
  { score: 0, area: 0, box: null, bits: new Uint8Array(2), logits: new Float32Array(1) },
  size,
  tools,
);

describe("Mask", () => {
  it("says which pixels are set", () => {
    const set = Array.from({ length: 9 }, (_, i) => mask.has(i % 3, Math.floor(i / 3)));
    expect(set).toEqual([false, false, false, false, true, false, false, false, true]);
    expect(mask.has(1.7, 1.2)).toBe(true);
    expect(mask.has(-1, 2)).toBe(false);
    expect(mask.has(3, 1)).toBe(false);
  });

  it("paints the set pixels in the colour asked for", () => {
    const { data } = mask.toImageData({ color: [1, 2, 3], alpha: 1 });
    const pixels = Array.from({ length: 9 }, (_, i) => [...data.slice(4 * i, 4 * i + 4)].join());
    const none = "0,0,0,0";
    expect(pixels).toEqual([none, none, none, none, "1,2,3,255", none, none, none, "1,2,3,255"]);
    expect(empty.toImageData().data.every((value) => value === 0)).toBe(true);
  });

  it("cuts out its box, or the whole picture, and says when it is empty", async () => {
    expect(await (await mask.cutout()).text()).toBe("1,1,2,2");
    expect(await (await mask.cutout({ crop: false })).text()).toBe("0,0,2,2");
    await expect(empty.cutout()).rejects.toMatchObject({ code: "UNSUPPORTED_INPUT" });
  });
});
