import { describe, expect, it } from "vitest";
import type { Cut } from "../src/cutout/cut.js";
import { Mask } from "../src/mask.js";
import { PredictedMask } from "../src/predicted-mask.js";
import type { Box, CutoutOptions } from "../src/types.js";
import { drawn, maskWhere, noise, SIZES, toText } from "./drawn-masks.js";

const code = (call: () => unknown): string | undefined => {
  try {
    call();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

/** Of a 3 x 3 picture, the middle and the last pixel. */
const mask = drawn("...", ".#.", "..#");
const empty = new Mask(3, 3);

describe("a mask's measures", () => {
  it("says which pixels are set", () => {
    const set = Array.from({ length: 9 }, (_, i) => mask.has(i % 3, Math.floor(i / 3)));
    expect(set).toEqual([false, false, false, false, true, false, false, false, true]);
    expect(mask.has(1.7, 1.2)).toBe(true);
    for (const [x, y] of [
      [-1, 2],
      [3, 1],
      [Number.NaN, 1],
    ] as const)
      expect(mask.has(x, y)).toBe(false);
  });

  it("has an area, a box with its last pixels, and a centre by the pixels' middles", () => {
    expect([mask.area, mask.box, mask.centroid]).toEqual([2, [1, 1, 2, 2], { x: 2, y: 2 }]);
    expect([empty.area, empty.box, empty.centroid]).toEqual([0, null, null]);
    for (const [width, height] of SIZES) {
      const some = noise(width, height, 0.4, width);
      let [area, x, y] = [0, 0, 0];
      const [xs, ys] = [new Set<number>(), new Set<number>()];
      for (let row = 0; row < height; row++) {
        for (let column = 0; column < width; column++) {
          if (!some.has(column, row)) continue;
          area++;
          x += column + 0.5;
          y += row + 0.5;
          xs.add(column);
          ys.add(row);
        }
      }
      expect(some.area).toBe(area);
      expect(some.box).toEqual(
        area ? [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] : null,
      );
      expect(some.centroid?.x ?? 0).toBeCloseTo(area ? x / area : 0);
      expect(some.centroid?.y ?? 0).toBeCloseTo(area ? y / area : 0);
    }
  });

  it("does not count bits beyond the last pixel", () => {
    const filled = new Mask(3, 1, Uint8Array.of(0xff));
    expect([filled.area, filled.box, filled.toRle().counts]).toEqual([3, [0, 0, 2, 0], "03"]);
    expect(filled.not().area).toBe(0);
    expect(filled.iou(new Mask(3, 1, Uint8Array.of(0b111)))).toBe(1);
  });

  it("is refused where its size and its bits do not fit", () => {
    expect(code(() => new Mask(4, 4, new Uint8Array(3)))).toBe("INVALID_MASK");
    expect(code(() => new Mask(4, 4, [0, 0] as never))).toBe("INVALID_MASK");
    for (const [width, height] of [
      [0, 3],
      [-1, 3],
      [1.5, 2],
      [Number.NaN, 2],
      ["3", 3],
    ])
      expect(code(() => new Mask(width as number, height as number))).toBe("INVALID_MASK");
    expect(code(() => new Mask(65_536, 65_536, new Uint8Array(0)))).toBe("IMAGE_TOO_LARGE");
  });
});

describe("masks together", () => {
  const [a, b] = [drawn("##..", "##.."), drawn(".##.", "....")];

  it("are joined, cut and compared", () => {
    expect(toText(a.and(b))).toEqual([".#..", "...."]);
    expect(toText(a.or(b))).toEqual(["###.", "##.."]);
    expect(toText(a.minus(b))).toEqual(["#...", "##.."]);
    expect(toText(a.not())).toEqual(["..##", "..##"]);
    expect(a.iou(b)).toBe(1 / 5);
    expect([empty.iou(empty), mask.iou(empty)]).toEqual([1, 0]);
  });

  it("must be of one size", () => {
    for (const call of ["and", "or", "minus", "iou"] as const) {
      expect(code(() => a[call](mask))).toBe("INVALID_MASK");
      expect(code(() => a[call]({} as Mask))).toBe("INVALID_MASK");
    }
  });
});

describe("a mask's shape", () => {
  /** The pixels within `radius` of a set one, one by one. */
  const grown = (of: Mask, radius: number) =>
    maskWhere(of.width, of.height, (x, y) => {
      for (let v = 0; v < of.height; v++)
        for (let u = 0; u < of.width; u++)
          if (of.has(u, v) && (u - x) ** 2 + (v - y) ** 2 <= radius ** 2 + 1e-9) return true;
      return false;
    });

  it("grows by a disc", () => {
    const dot = drawn(".....", ".....", "..#..", ".....", ".....");
    expect(toText(dot.grow(1))).toEqual([".....", "..#..", ".###.", "..#..", "....."]);
    expect(toText(dot.grow(1.5))).toEqual([".....", ".###.", ".###.", ".###.", "....."]);
    expect(toText(dot.grow(2))).toEqual(["..#..", ".###.", "#####", ".###.", "..#.."]);
    for (const [width, height] of SIZES) {
      const some = noise(width, height, 0.05, height);
      for (const radius of [0, 0.5, 1, 1.5, 2.3, Math.sqrt(13), 5, 1000]) {
        expect(toText(some.grow(radius))).toEqual(toText(grown(some, radius)));
        expect(toText(some.not().shrink(radius))).toEqual(toText(grown(some, radius).not()));
      }
    }
  });

  it("shrinks by a disc, but not at the picture's edge", () => {
    expect(toText(drawn("####.", "####.", "####.").shrink(1))).toEqual(["###..", "###..", "###.."]);
    expect(new Mask(5, 5).not().shrink(3).area).toBe(25);
    expect(empty.grow(4).area).toBe(0);
  });

  it("refuses a radius that is none", () => {
    for (const radius of [-1, Number.NaN, Number.POSITIVE_INFINITY, "2" as never]) {
      expect(code(() => mask.grow(radius))).toBe("UNSUPPORTED_INPUT");
      expect(code(() => mask.shrink(radius))).toBe("UNSUPPORTED_INPUT");
    }
  });

  it("has a largest part, joined at edges or corners", () => {
    expect(toText(drawn("##...#", "....#.", "##.#..").largestComponent())).toEqual([
      ".....#",
      "....#.",
      "...#..",
    ]);
    expect(toText(drawn("#.#.#", "#.#.#", "###.#").largestComponent())).toEqual(["#.#..", "#.#..", "###.."]);
    expect(toText(drawn("#.#").largestComponent())).toEqual(["#.."]);
    expect(empty.largestComponent().area).toBe(0);
    for (const [width, height] of SIZES) {
      const some = noise(width, height, 0.4, 7 * width);
      // Parts by flooding, one by one.
      let [rest, largest] = [some, new Mask(width, height)];
      while (rest.box) {
        const [, y] = rest.box;
        const x =
          Array.from({ length: width }, (_, column) => column).find((column) => rest.has(column, y)) ?? 0;
        let part = maskWhere(width, height, (u, v) => u === x && v === y);
        for (let before = 0; before !== part.area; ) {
          before = part.area;
          part = part.grow(1.5).and(some);
        }
        if (part.area > largest.area) largest = part;
        rest = rest.minus(part);
      }
      expect(toText(some.largestComponent())).toEqual(toText(largest));
    }
  });

  it("is resized by the nearest pixel", () => {
    expect(toText(drawn("#.", ".#").resize(4, 4))).toEqual(["##..", "##..", "..##", "..##"]);
    for (const [width, height] of SIZES) {
      const some = noise(width, height, 0.5, 3 * width + height);
      for (const [toWidth, toHeight] of SIZES) {
        const nearest = maskWhere(toWidth, toHeight, (x, y) =>
          some.has(
            Math.floor(((2 * x + 1) * width) / (2 * toWidth)),
            Math.floor(((2 * y + 1) * height) / (2 * toHeight)),
          ),
        );
        expect(toText(some.resize(toWidth, toHeight))).toEqual(toText(nearest));
      }
    }
    expect(code(() => mask.resize(0, 4))).toBe("INVALID_MASK");
    expect(code(() => mask.resize(100_000, 100_000))).toBe("IMAGE_TOO_LARGE");
  });
});

describe("a mask as a picture", () => {
  it("is painted in the colour asked for", () => {
    const { data } = mask.toImageData({ color: [1, 2, 3], alpha: 1 });
    const pixels = Array.from({ length: 9 }, (_, i) => [...data.slice(4 * i, 4 * i + 4)].join());
    const none = "0,0,0,0";
    expect(pixels).toEqual([none, none, none, none, "1,2,3,255", none, none, none, "1,2,3,255"]);
    expect(empty.toImageData().data.every((value) => value === 0)).toBe(true);
  });

  it("comes back from one", () => {
    for (const some of [mask, empty, noise(37, 29, 0.3), new Mask(5, 2).not()])
      expect(toText(Mask.fromImageData(some.toImageData()))).toEqual(toText(some));
  });

  it("is read by the alpha's shape, else by the brightest colour, from half of the largest on", () => {
    const read = (...pixels: (readonly number[])[]) =>
      toText(
        Mask.fromImageData({
          data: new Uint8ClampedArray(pixels.flat()),
          width: pixels.length,
          height: 1,
        } as ImageData),
      )[0];
    const grey = (value: number) => [value, value, value, 255];
    expect(read(grey(0), grey(1), grey(1))).toBe(".##");
    expect(read(grey(0), grey(127), grey(128), grey(255))).toBe("..##");
    expect(read([0, 0, 0, 255], [0, 0, 200, 255], [90, 0, 0, 255])).toBe(".#.");
    expect(read([9, 9, 9, 0], [0, 0, 0, 100], [0, 0, 0, 40])).toBe(".#.");
    expect(read([255, 255, 255, 0], [255, 0, 0, 0])).toBe("..");
    expect(read(grey(0), grey(0))).toBe("..");
  });

  it("is refused where the picture has lost its pixels", () => {
    const lost = { data: new Uint8ClampedArray(0), width: 3, height: 3 } as ImageData;
    expect(code(() => Mask.fromImageData(lost))).toBe("INVALID_MASK");
  });
});

describe("PredictedMask", () => {
  const picture = { width: 3, height: 3 };
  const logits = { logitsWidth: 1, logitsHeight: 1 };
  const asked: Cut[] = [];
  const cutOut = async (cut: Cut) => {
    asked.push(cut);
    return new Blob();
  };
  const predicted = (of: Mask) =>
    new PredictedMask(
      { score: 0.9, bits: of.bits, logits: new Float32Array(1) },
      logits,
      picture,
      picture,
      cutOut,
    );

  it("is a mask, with what the model says of it", () => {
    expect(predicted(mask)).toBeInstanceOf(Mask);
    expect(predicted(mask)).toMatchObject({ area: 2, score: 0.9, logitsWidth: 1 });
    expect(predicted(mask).and(mask).area).toBe(2);
  });

  it("is cut out as it is asked", async () => {
    const cut = async (options?: CutoutOptions) => {
      await predicted(mask).cutout(options);
      return asked.pop();
    };
    const plain = { bits: mask.bits, box: [1, 1, 2, 2], crop: true, type: "image/png" };
    expect(await cut()).toEqual(plain);
    expect(await cut({ softEdge: false })).toEqual(plain);
    expect(await cut({ crop: false })).toEqual({ ...plain, crop: false });
    expect(await cut({ type: "image/webp", quality: 0.5 })).toMatchObject({
      type: "image/webp",
      quality: 0.5,
    });
    const logits = { values: new Float32Array(1), width: 1, height: 1 };
    expect(await cut({ softEdge: true })).toMatchObject({ edge: { radius: 1, strength: 1, logits } });
    expect(await cut({ softEdge: { radius: 7.5, strength: 0.5 } })).toMatchObject({
      edge: { radius: 7.5, strength: 0.5, logits },
    });
  });

  it("has a soft edge of a fiftieth of the longer side", async () => {
    const size = { width: 400, height: 1200 };
    const wide = new PredictedMask({ score: 1, logits: Float32Array.of(1) }, logits, size, size, cutOut);
    await wide.cutout({ softEdge: { strength: 0 } });
    expect(asked.pop()?.edge).toMatchObject({ radius: 24, strength: 0 });
  });

  it("has a soft edge also where only the mask is left", async () => {
    const past = { score: 0.9, logits: new Float32Array(0), bits: mask.bits };
    await new PredictedMask(past, { logitsWidth: 0, logitsHeight: 0 }, picture, picture, cutOut).cutout({
      softEdge: true,
    });
    const { values, width, height } = asked.pop()?.edge?.logits ?? {};
    expect([width, height]).toEqual([3, 3]);
    expect(Array.from(values ?? [], (value) => value > 0)).toEqual(
      Array.from({ length: 9 }, (_, i) => mask.has(i % 3, Math.floor(i / 3))),
    );
  });

  it("is not cut out by options out of range, and it is said what was expected", async () => {
    const wrong: [options: unknown, expected: string][] = [
      [{ softEdge: { radius: 0 } }, "softEdge.radius must be a number, from 1 to 500, not 0"],
      [{ softEdge: { radius: 501 } }, "from 1 to 500, not 501"],
      [{ softEdge: { radius: Number.NaN } }, "not NaN"],
      [{ softEdge: { radius: "9" } }, "softEdge.radius"],
      [{ softEdge: { strength: -0.1 } }, "softEdge.strength must be a number, from 0 to 1, not -0.1"],
      [{ softEdge: { strength: 2 } }, "not 2"],
      [{ softEdge: 9 }, "softEdge must be true, false or { radius, strength }, not 9"],
      [{ softEdge: null }, "not null"],
      [{ crop: "no" }, "crop must be true or false"],
      [{ type: "image/jpeg" }, "which keep transparency"],
    ];
    for (const [options, expected] of wrong) {
      const error = await predicted(mask)
        .cutout(options as CutoutOptions)
        .catch((error) => error);
      expect(error).toMatchObject({
        code: "UNSUPPORTED_INPUT",
        message: expect.stringContaining(expected),
      });
    }
    for (const softEdge of [true, false])
      await expect(predicted(empty).cutout({ softEdge })).rejects.toMatchObject({
        code: "UNSUPPORTED_INPUT",
        message: expect.stringContaining("empty"),
      });
    expect(asked).toEqual([]);
  });

  describe("made of logits", () => {
    const low = { logitsWidth: 2, logitsHeight: 1 };
    const size = { width: 8, height: 3 };
    const step = { score: 0.9, logits: Float32Array.of(-1, 1) };
    const grown = new PredictedMask(step, low, size, size, cutOut);
    const rows = (mask: Mask) =>
      Array.from({ length: mask.height }, (_, y) =>
        Array.from({ length: mask.width }, (_, x) => (mask.has(x, y) ? "#" : ".")).join(""),
      );

    it("has the picture's size", () => {
      expect(rows(grown)).toEqual(["....####", "....####", "....####"]);
      expect(grown.box).toEqual([4, 0, 7, 2]);
    });

    it("is made of the logits for masks where these differ", () => {
      const cleaned = { ...step, maskLogits: Float32Array.of(1, -1) };
      expect(rows(new PredictedMask(cleaned, low, size, size, cutOut))[0]).toBe("####....");
    });

    it("can be asked for a part, and at another threshold", () => {
      expect(rows(grown.at({ threshold: 0.5 }))[0]).toBe(".....###");
      expect(rows(grown.at({ crop: [3, 1, 5, 2] }))).toEqual([".##", ".##"]);
      for (const crop of [
        [0, 0, 8, 2],
        [-1, 0, 1, 1],
        [2, 0, 1, 1],
        [0.5, 0, 1, 1],
      ] as Box[])
        expect(code(() => grown.at({ crop }))).toBe("UNSUPPORTED_INPUT");
      expect(code(() => grown.at({ threshold: Number.NaN }))).toBe("UNSUPPORTED_INPUT");
    });

    it("says what it cannot be where only the mask is left", () => {
      const past = { score: 0.9, logits: new Float32Array(0), bits: new Uint8Array(3) };
      const mask = new PredictedMask(past, { logitsWidth: 0, logitsHeight: 0 }, size, size, cutOut);
      expect(code(() => mask.at())).toBe("UNSUPPORTED_INPUT");
      expect(mask.stability).toBeNaN();
    });

    it("tells how stable it is", () => {
      const mask = { score: 0.9, logits: Float32Array.of(-2, -0.5, 0.5, 3) };
      const four = { logitsWidth: 4, logitsHeight: 1 };
      expect(new PredictedMask(mask, four, size, size, cutOut).stability).toBeCloseTo(1 / 3);
    });

    it("may have the logits' own size, and is no cut-out then", async () => {
      const small = new PredictedMask(step, low, size, { width: 2, height: 1 }, cutOut);
      expect(rows(small)).toEqual([".#"]);
      await expect(small.cutout()).rejects.toMatchObject({ code: "UNSUPPORTED_INPUT" });
      expect(rows(small.at())).toEqual(rows(grown));
    });
  });
});
