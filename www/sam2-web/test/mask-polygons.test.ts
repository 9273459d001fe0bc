import { describe, expect, it } from "vitest";
import { Mask } from "../src/mask.js";
import type { Polygon, Ring } from "../src/types.js";
import known from "./data/outlines.json" with { type: "json" };
import pycocotools from "./data/pycocotools.json" with { type: "json" };
import { drawn, maskWhere, noise, SIZES, toText } from "./drawn-masks.js";

const disc = (radius: number, hole = 0) =>
  maskWhere(2 * radius + 7, 2 * radius + 5, (x, y) => {
    const distance = Math.hypot(x - radius - 3, y - radius - 2);
    return distance <= radius && distance >= hole;
  });

/** Twice the area, positive where the ring goes clockwise as one looks at the picture. */
const turn = (ring: Ring) =>
  ring.reduce((sum, [x, y], i) => {
    const [u, v] = ring[(i + 1) % ring.length] ?? [0, 0];
    return sum + x * v - y * u;
  }, 0);

const refusal = expect.objectContaining({ name: "Sam2Error", code: "INVALID_MASK" });

describe("outlines", () => {
  it("run along the pixels' edges, with holes, corners only", () => {
    expect(drawn("....", ".##.", "....").toPolygons()).toEqual([
      [
        [
          [1, 2],
          [3, 2],
          [3, 1],
          [1, 1],
        ],
      ],
    ]);
    const [ring, ...more] = drawn("###", "#.#", "###").toPolygons();
    expect(more).toEqual([]);
    expect(ring).toEqual([
      [
        [0, 3],
        [3, 3],
        [3, 0],
        [0, 0],
      ],
      [
        [1, 1],
        [2, 1],
        [2, 2],
        [1, 2],
      ],
    ]);
    expect(new Mask(4, 4).toPolygons()).toEqual([]);
    expect(new Mask(4, 4).toSvgPath()).toBe("");
  });

  it("keep pixels apart that touch at a corner only, and come to no place twice", () => {
    expect(drawn("#.", ".#").toPolygons()).toHaveLength(2);
    // One object round two holes that touch at a corner, and one whose ends touch.
    for (const mask of [drawn("####", "#.##", "##.#", "####"), drawn("##.", "#.#", "###")]) {
      const [rings, ...more] = mask.toPolygons();
      expect(more).toEqual([]);
      expect(rings).toHaveLength(mask.width - 1);
    }
  });

  it("give the mask again, and are valid, whatever it is", () => {
    for (const [width, height] of SIZES) {
      for (const share of [0, 0.2, 0.5, 0.8, 1]) {
        const mask = noise(width, height, share, 11 * width);
        const polygons = mask.toPolygons();
        expect(toText(Mask.fromPolygons(polygons, { width, height }))).toEqual(toText(mask));
        for (const rings of polygons) {
          for (const [i, ring] of rings.entries()) {
            expect(new Set(ring.map((point) => point.join())).size).toBe(ring.length);
            expect(Math.sign(turn(ring))).toBe(i === 0 ? -1 : 1);
          }
        }
        const area = polygons.flat().reduce((sum, ring) => sum - turn(ring) / 2, 0);
        expect(area).toBe(mask.area);
      }
    }
  });

  it("with points left out are still the mask, to an IoU of 0.99", () => {
    const masks = [
      ...[1, 2, 3, 5, 8, 13, 34, 100, 333].map((radius) => disc(radius)),
      disc(60, 40),
      disc(12, 9),
      noise(40, 30, 0.5),
      drawn("#"),
      drawn("#####"),
      maskWhere(200, 150, (x, y) => Math.sin(x / 17) + Math.cos(y / 11) > 0.5),
      maskWhere(90, 90, (x, y) => Math.abs(x - y) <= 1),
    ];
    for (const mask of masks) {
      for (const tolerance of [0.5, 1, 2, 5]) {
        const polygons = mask.toPolygons({ tolerance });
        expect(Mask.fromPolygons(polygons, mask).iou(mask)).toBeGreaterThanOrEqual(0.99);
      }
    }
    for (const [width, height] of SIZES) {
      for (const share of [0.2, 0.5, 0.8]) {
        const mask = noise(width, height, share, 5 * height);
        const smooth = mask.toPolygons({ tolerance: 1, minIou: 1 });
        expect(toText(Mask.fromPolygons(smooth, mask))).toEqual(toText(mask));
      }
    }
    const points = (polygons: Polygon[]) => polygons.flat(2).length;
    const large = disc(333);
    expect(points(large.toPolygons({ tolerance: 1 }))).toBeLessThan(points(large.toPolygons()) / 15);
    expect(points(large.toPolygons({ tolerance: 20, minIou: 0.5 }))).toBeLessThan(20);
  });

  it("are those of the command-line tool, which is tested with the same file", () => {
    for (const { width, height, counts, tolerance, polygons } of known.outlines)
      expect(Mask.fromRle({ size: [height, width], counts }).toPolygons({ tolerance })).toEqual(polygons);
  });

  it("are an SVG path", () => {
    expect(drawn("###", "#.#", "###").toSvgPath()).toBe("M0 3L3 3L3 0L0 0ZM1 1L2 1L2 2L1 2Z");
  });

  it("refuse options out of range", () => {
    for (const options of [
      { tolerance: -1 },
      { tolerance: Number.NaN },
      { minIou: 2 },
      { minIou: "1" as never },
    ])
      expect(() => drawn("#").toPolygons(options)).toThrow(
        expect.objectContaining({ code: "UNSUPPORTED_INPUT" }),
      );
  });
});

describe("masks of polygons", () => {
  const size = { width: 60, height: 60 };
  const square = (x: number, y: number, side: number): Ring => [
    [x, y],
    [x + side, y],
    [x + side, y + side],
    [x, y + side],
  ];

  it("have the pixels whose middle is inside, in any of them, and in no hole", () => {
    const mask = Mask.fromPolygons(
      [
        [
          [
            [0.5, 0],
            [2.5, 0],
            [2.5, 1.6],
            [0.5, 1.6],
          ],
        ],
        [square(1, 1, 4), square(2, 2, 2)],
        [square(3, 3, 1)],
      ],
      { width: 6, height: 6 },
    );
    expect(toText(mask)).toEqual(["##....", "#####.", ".#..#.", ".#.##.", ".####.", "......"]);
  });

  it("may reach out of the picture", () => {
    expect(Mask.fromPolygons([[square(-10, -10, 100)]], size).area).toBe(3600);
    expect(Mask.fromPolygons([[square(50, -5, 20)]], size).area).toBe(150);
    expect(Mask.fromPolygons([[square(-30, 5, 20)], [square(5, 1e9, 9)]], size).area).toBe(0);
    expect(Mask.fromPolygons([], size).area).toBe(0);
  });

  it("are those of pycocotools, but for pixels whose middle is within its rounding of an edge", () => {
    for (const { width, height, rings, text } of pycocotools.polygons) {
      const theirs = Mask.fromRle({ size: [height, width], counts: text });
      const polygons = (rings as Ring[]).map((ring) => [ring]);
      const ours = Mask.fromPolygons(polygons, { width, height, crossing: "even-odd" });
      const different = ours.minus(theirs).or(theirs.minus(ours));
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          if (different.has(x, y))
            expect(
              Math.min(...(rings as Ring[]).map((ring) => distance(ring, x + 0.5, y + 0.5))),
            ).toBeLessThan(0.2);
    }
  });

  it.each([
    [
      "a bow tie",
      [
        [
          [0, 0],
          [10, 10],
          [10, 0],
          [0, 10],
        ],
      ],
    ],
    [
      "a bow tie of one pixel",
      [
        [
          [0, 0],
          [1, 1],
          [1, 0],
          [0, 1],
        ],
      ],
    ],
    [
      "a bow tie that crosses at one of its points",
      [
        [
          [0, 0],
          [5, 5],
          [10, 10],
          [10, 0],
          [5, 5],
          [0, 10],
        ],
      ],
    ],
    [
      "a star",
      [Array.from({ length: 5 }, (_, i) => [30 + 20 * Math.cos(i * 2.5133), 30 + 20 * Math.sin(i * 2.5133)])],
    ],
    ["a ring that goes round twice", [[...square(3, 3, 9), ...square(3, 3, 9)]]],
    ["a loop inside", [[...square(3, 3, 9).slice(0, 3), [8, 12], [8, 5], [5, 5], [5, 8], [12, 8], [3, 12]]]],
    ["a hole across the outline", [square(10, 10, 20), square(25, 15, 10)]],
    ["a hole out of the outline", [square(10, 10, 20), square(40, 15, 10)]],
    ["holes across one another", [square(10, 10, 30), square(15, 15, 10), square(20, 20, 10)]],
  ] as [string, Ring[]][])("are refused where the polygon crosses itself: %s", (_, rings) => {
    expect(() => Mask.fromPolygons([rings], size)).toThrow(refusal);
    expect(() => Mask.fromPolygons([[square(30, 30, 5)], rings], size)).toThrow(/Polygon 1/);
    expect(Mask.fromPolygons([rings], { ...size, crossing: "even-odd" }).area).toBeLessThan(3600);
  });

  it("fill crossings by the even-odd rule where that is asked for", () => {
    const star = Array.from({ length: 5 }, (_, i) => [
      30 + 28 * Math.cos(i * 2.5133),
      30 + 28 * Math.sin(i * 2.5133),
    ]) as Ring;
    const mask = Mask.fromPolygons([[star]], { ...size, crossing: "even-odd" });
    expect([mask.has(30, 30), mask.has(53, 30)]).toEqual([false, true]);
  });

  it("may touch themselves, go a way there and back, and lie over one another", () => {
    const touching: Ring = [
      [0, 0],
      [10, 10],
      [0, 20],
      [20, 20],
      [10, 10],
      [20, 0],
    ];
    const keyhole: Ring = [...square(10, 10, 20), [10, 10], [15, 15], [15, 20], [20, 20], [20, 15], [15, 15]];
    for (const rings of [[touching], [keyhole], [square(10, 10, 20), square(10, 10, 20)]])
      expect(() => Mask.fromPolygons([rings], size)).not.toThrow();
    expect(Mask.fromPolygons([[keyhole]], size).area).toBe(400 - 25);
    expect(Mask.fromPolygons([[square(0, 0, 10)], [square(5, 5, 10)]], size).area).toBe(175);
  });

  it.each([
    ["no array", 3],
    ["a ring where a polygon is due", [square(0, 0, 5)]],
    ["two points", [[square(0, 0, 5).slice(2)]]],
    ["no points", [[[]]]],
    ["a point of one number", [[[[0, 1], [2, 3], [4]]]]],
    [
      "a point that is not finite",
      [
        [
          [
            [0, 1],
            [2, Number.NaN],
            [4, 2],
          ],
        ],
      ],
    ],
    [
      "a point that is too far out",
      [
        [
          [
            [0, 1],
            [1e300, 5],
            [4, 2],
          ],
        ],
      ],
    ],
    ["points of text", [[["ab", "cd", "ef"]]]],
  ])("are refused where they are no polygons: %s", (_, polygons) => {
    expect(() => Mask.fromPolygons(polygons as never, size)).toThrow(refusal);
  });

  it("refuse a size or an option that is none", () => {
    expect(() => Mask.fromPolygons([], { width: 0, height: 4 })).toThrow(refusal);
    expect(() => Mask.fromPolygons([], { ...size, crossing: "union" as never })).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED_INPUT" }),
    );
  });
});

function distance(ring: Ring, x: number, y: number): number {
  return Math.min(
    ...ring.map(([x0, y0], i) => {
      const [x1, y1] = ring[(i + 1) % ring.length] ?? [0, 0];
      const [dx, dy] = [x1 - x0, y1 - y0];
      const along = Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0), 1);
      return Math.hypot(x - x0 - along * dx, y - y0 - along * dy);
    }),
  );
}
