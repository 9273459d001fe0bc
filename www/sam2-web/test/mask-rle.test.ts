import { describe, expect, it } from "vitest";
import { Mask } from "../src/mask.js";
import pycocotools from "./data/pycocotools.json" with { type: "json" };
import { noise, SIZES, toText } from "./drawn-masks.js";

const bytes = (base64: string) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

describe("COCO's run-length form", () => {
  it.each(pycocotools.masks.map((made) => [`${made.width} x ${made.height}`, made] as const))(
    "is that of pycocotools, both ways: %s",
    (_, { width, height, bits, text, counts, area, bbox }) => {
      const mask = new Mask(width, height, bytes(bits));
      expect(mask.toRle()).toEqual({ size: [height, width], counts: text });
      expect(mask.toRle({ compressed: false })).toEqual({ size: [height, width], counts });
      for (const form of [text, counts, Uint32Array.from(counts)])
        expect(Mask.fromRle({ size: [height, width], counts: form }).bits).toEqual(mask.bits);
      expect(mask.area).toBe(area);
      const [x0, y0, x1, y1] = mask.box ?? [0, 0, -1, -1];
      expect([x0, y0, x1 - x0 + 1, y1 - y0 + 1]).toEqual(bbox);
    },
  );

  it("comes back from every size", () => {
    for (const [width, height] of SIZES) {
      for (const share of [0, 0.1, 0.5, 1]) {
        const mask = noise(width, height, share, width * height);
        expect(toText(Mask.fromRle(mask.toRle()))).toEqual(toText(mask));
        expect(toText(Mask.fromRle(mask.toRle({ compressed: false })))).toEqual(toText(mask));
      }
    }
  });

  it("may have runs of no length", () => {
    expect(toText(Mask.fromRle({ size: [2, 2], counts: [1, 0, 1, 2, 0, 0] }))).toEqual([".#", ".#"]);
  });

  it.each([
    ["runs that add up to less than the size", [2, 2], [1, 2]],
    ["runs that add up to more", [2, 2], [1, 4]],
    ["no runs", [2, 2], []],
    ["a size that is not that of the text", [4, 7], "6230009"],
    ["a negative length", [2, 2], [5, -1]],
    ["half a pixel", [2, 2], [1.5, 2.5]],
    ["lengths that are no numbers", [2, 2], [1, "3"]],
    ["text that ends within a number", [5, 6], "623000Y"],
    ["a character that is none of its own", [1, 1], "1\u007f"],
    ["a number that is too long", [1, 1], "oooooooooooo"],
    ["a difference that leads below 0", [2, 2], "01N"],
    ["a size of nothing", [0, 0], []],
    ["a size that is no number", ["a", 2], [4]],
    ["half a size", [4], [4]],
    ["no size", undefined, [4]],
    ["counts that are none", [2, 2], undefined],
  ])("is refused with a typed error: %s", (_, size, counts) => {
    expect(() => Mask.fromRle({ size, counts } as never)).toThrow(
      expect.objectContaining({ name: "Sam2Error", code: "INVALID_MASK" }),
    );
  });

  it("is refused where it claims a size that would take all memory", () => {
    for (const size of [
      [1e6, 1e6],
      [2 ** 31, 2 ** 31],
      [1e300, 1e300],
    ])
      expect(() => Mask.fromRle({ size, counts: [1] })).toThrow(
        expect.objectContaining({ code: "IMAGE_TOO_LARGE" }),
      );
    for (const rle of [null, undefined, 3, "61220N3"])
      expect(() => Mask.fromRle(rle as never)).toThrow(expect.objectContaining({ code: "INVALID_MASK" }));
  });
});
