import { describe, expect, it } from "vitest";
import "../../sam2-web/test/polyfill.js";
import { measure, runs, toImage } from "../src/video/rle.js";

// Counts, areas and boxes as pycocotools 2.0.11 gives them: mask.encode, mask.area, mask.toBbox.
const CASES = [
  {
    name: "cross",
    rows: [".....", "..#..", ".###.", "..#.."],
    counts: "61220N3",
    area: 5,
    bbox: [1, 1, 3, 3],
  },
  { name: "corners", rows: ["#...", "....", "...#"], counts: "01:0", area: 2, bbox: [0, 0, 4, 3] },
  {
    name: "a run over two columns",
    rows: ["..#", "..#", ".#.", ".#.", ".#."],
    counts: "753",
    area: 5,
    bbox: [1, 0, 2, 5],
  },
  { name: "all", rows: ["##", "##"], counts: "04", area: 4, bbox: [0, 0, 2, 2] },
  { name: "none", rows: ["...", "..."], counts: "6", area: 0, bbox: [0, 0, 0, 0] },
];
const RING =
  "d`4?X26J6L2M4M2M4M2N2N2N2O0O2N2O0O2N2O000O2O000O2O00000000000000SOZOFf09\\OFd08@F`0:@F`09BF>9DF<:DF=9CF>:BF>:BF?9A" +
  "F`0:@F`0:@Fa09_OFc0:[OFf0;XOFi09WOFk0;QOFP1;nNFS1o02N2N2N3L3N3L3N4J6Ja[4";

describe("COCO run lengths", () => {
  it.each(CASES)("reads and measures $name", ({ rows, counts, area, bbox }) => {
    const size = { width: rows[0]?.length ?? 0, height: rows.length };
    const { data } = toImage(counts, size);
    const drawn = rows.map((row, y) =>
      [...row].map((_, x) => (data[4 * (y * size.width + x) + 3] ? "#" : ".")).join(""),
    );
    expect(drawn).toEqual(rows);
    expect(measure(counts, size)).toEqual({ area, bbox });
  });

  it("reads lengths of several groups and negative differences", () => {
    const size = { width: 160, height: 90 };
    expect(runs(RING).reduce((a, b) => a + b)).toBe(160 * 90);
    expect(measure(RING, size)).toEqual({ area: 2504, bbox: [51, 16, 59, 59] });
    const { data } = toImage(RING, size, [255, 255, 255, 255], [0, 0, 0, 255]);
    const at = (x: number, y: number) => [...data.subarray(4 * (y * 160 + x), 4 * (y * 160 + x) + 4)];
    expect(at(80, 20)).toEqual([255, 255, 255, 255]);
    expect(at(90, 50)).toEqual([0, 0, 0, 255]); // the hole
    expect(at(0, 0)).toEqual([0, 0, 0, 255]);
  });
});
