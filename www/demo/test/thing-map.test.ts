import { Mask } from "sam2-web";
import { expect, it } from "vitest";
import { marked, ThingMap } from "../src/thing-map.js";

const square = (x0: number, y0: number, x1: number, y1: number, width = 40, height = 30) => ({
  mask: Mask.fromPolygons(
    [
      [
        [
          [x0, y0],
          [x1, y0],
          [x1, y1],
          [x0, y1],
        ],
      ],
    ],
    { width, height },
  ),
  category: "object",
});

/** What is painted at a pixel: nothing, inside or line; and whose colour it has. */
function seen(map: ThingMap, x: number, y: number): [alpha: number, index: number] {
  const at = 4 * (y * map.width + x);
  const [r, g, b, alpha = 0] = map.pixels.slice(at, at + 4);
  return [alpha, alpha ? map.things.findIndex(({ color }) => String(color) === String([r, g, b])) : -1];
}

it("has the smallest thing on top, in whatever order they come, each with its line", () => {
  const [large, small] = [square(5, 5, 35, 25), square(10, 10, 20, 20)];
  for (const order of [
    [large, small],
    [small, large],
  ]) {
    const map = new ThingMap({ width: 40, height: 30 });
    for (const label of order) map.add(label);
    expect(map.at(15, 15)?.label).toBe(small);
    expect(map.at(5, 5)?.label).toBe(large);
    expect(map.at(4, 5)).toBeUndefined();
    expect(map.at(-1, 5)).toBeUndefined();
    expect(map.at(40, 5)).toBeUndefined();
    const [ofLarge, ofSmall] = [order.indexOf(large), order.indexOf(small)];
    expect(seen(map, 4, 5)).toEqual([0, -1]);
    expect(seen(map, 5, 5)).toEqual([255, ofLarge]);
    expect(seen(map, 6, 6)).toEqual([110, ofLarge]);
    expect(seen(map, 9, 15)).toEqual([255, ofLarge]); // against the small one
    expect(seen(map, 10, 15)).toEqual([255, ofSmall]);
    expect(seen(map, 15, 15)).toEqual([110, ofSmall]);
  }
});

it("shows what was under one that goes, and looks as if that had never come", () => {
  const labels = [square(0, 0, 30, 30), square(10, 10, 20, 20), square(12, 0, 18, 30), square(2, 2, 4, 4)];
  for (const gone of labels) {
    const map = new ThingMap({ width: 40, height: 30 });
    const never = new ThingMap({ width: 40, height: 30 });
    for (const label of labels) map.add(label);
    map.keep((label) => label !== gone);
    for (const label of labels) if (label !== gone) never.add(label);
    expect(map.things.map(({ label }) => label)).toEqual(labels.filter((label) => label !== gone));
    for (let y = 0; y < 30; y++)
      for (let x = 0; x < 40; x++) {
        expect(map.at(x, y)?.label).toBe(never.at(x, y)?.label);
        expect(seen(map, x, y)).toEqual(seen(never, x, y));
      }
  }
});

it("is smaller than a large picture, and gives colours of their own", () => {
  const map = new ThingMap({ width: 4001, height: 3000 });
  for (let i = 0; i < 60; i++) map.add(square(60 * i, 1000, 60 * i + 50, 2000, 4001, 3000));
  expect([map.width, map.height]).toEqual([1024, 768]);
  expect(map.at(3565, 1500)).toBe(map.things[59]);
  expect(map.at(3565, 990)).toBeUndefined();
  expect(map.at(4000.9, 2999.9)).toBeUndefined();
  expect(new Set(map.things.map(({ color }) => String(color))).size).toBe(60);
});

it("marks the whole of a thing, also under smaller ones, with a line that the picture's edge has none of", () => {
  const map = new ThingMap({ width: 40, height: 30 });
  for (const label of [square(0, 5, 20, 25), square(5, 10, 10, 20)]) map.add(label);
  const [thing] = map.things;
  if (!thing) throw new Error("there is no thing");
  const pixels = marked(thing);
  const at = (x: number, y: number) => Array.from(pixels.slice(4 * (y * 40 + x), 4 * (y * 40 + x) + 4));
  const [line, inside] = [
    [255, 255, 255, 255],
    [...thing.color, 150],
  ];
  for (const [x, y] of [
    [7, 15],
    [1, 6],
    [0, 15],
  ] as const)
    expect(at(x, y), `${x}, ${y}`).toEqual(inside);
  for (const [x, y] of [
    [19, 15],
    [20, 15],
    [10, 4],
    [10, 5],
    [10, 24],
    [10, 25],
  ] as const)
    expect(at(x, y), `${x}, ${y}`).toEqual(line);
  for (const [x, y] of [
    [21, 15],
    [10, 3],
    [10, 26],
    [20, 4],
  ] as const)
    expect(at(x, y)[3], `${x}, ${y}`).toBe(0);
});
