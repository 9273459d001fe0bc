import { Mask } from "sam2-web";
import { readCoco, readGeoJson, readIndexedPng, readLabelme, readYolo } from "sam2-web/formats";
import { describe, expect, it } from "vitest";
import { readLabels } from "../src/labels.js";
import { saveAs } from "../src/save-as.js";

const size = { width: 40, height: 30 };
const polygon = (rings: [number, number][][]) => Mask.fromPolygons([rings], size);
const ring = polygon([
  [
    [2, 2],
    [22, 2],
    [22, 22],
    [2, 22],
  ],
  [
    [8, 8],
    [16, 8],
    [16, 16],
    [8, 16],
  ],
]);
const small = polygon([
  [
    [10, 10],
    [13, 10],
    [10, 14],
  ],
]);
const picture = {
  ...size,
  fileName: "a.cup.jpg",
  labels: [
    { mask: small, category: "sugar" },
    { mask: ring, category: "cup", score: 0.875 },
  ],
};
const noCutOut = () => Promise.reject(new Error("nothing is to be cut out"));

describe("saveAs", () => {
  it.each([
    ["coco", "a.cup-coco.json", async (file: Blob) => readCoco(await file.text()).pictures[0]],
    [
      "yolo",
      "a.cup.txt",
      async (file: Blob) => readYolo(await file.text(), { ...size, classes: ["cup", "sugar"] }),
    ],
    ["labelme", "a.cup.json", async (file: Blob) => readLabelme(await file.text())],
    ["geojson", "a.cup.geojson", async (file: Blob) => readGeoJson(await file.text(), size)],
    [
      "indexed",
      "a.cup-labels.png",
      (file: Blob) => readIndexedPng(file, { categories: ["", "cup", "sugar"] }),
    ],
  ] as const)("%s is read back as the same masks, the larger ones first", async (format, name, read) => {
    const saved = await saveAs(format, picture, noCutOut);
    expect(saved.name).toBe(name);
    const labels = (await read(saved.file))?.labels ?? [];
    expect(labels.map(({ category }) => category)).toEqual(["cup", "sugar"]);
    expect(labels.map(({ mask }) => mask.toRle())).toEqual([ring.toRle(), small.toRle()]);
    expect(saved.note).toBe(format === "yolo" ? "The classes in the file are 0 cup, 1 sugar." : undefined);
  });

  it("cuts one out as a PNG, and many as a ZIP of them", async () => {
    const cutOut = async (mask: Mask) => new Blob([`PNG of ${mask.area}`]);
    const one = await saveAs("cutout", { ...picture, labels: picture.labels.slice(0, 1) }, cutOut);
    expect([one.name, await one.file.text()]).toEqual(["a.cup-cutout.png", `PNG of ${small.area}`]);
    const two = await saveAs("cutout", picture, cutOut);
    expect(two.name).toBe("a.cup-cutouts.zip");
    const zip = await two.file.text();
    expect(zip).toMatch(/^PK/);
    for (const part of [
      "a.cup-cutout-1.png",
      `PNG of ${ring.area}`,
      "a.cup-cutout-2.png",
      `PNG of ${small.area}`,
    ])
      expect(zip).toContain(part);
  });

  it("writes outlines with their holes as an SVG of the picture's size", async () => {
    const labels = [{ mask: ring, category: "<cup & saucer>" }];
    const { file, name } = await saveAs("svg", { ...picture, labels }, noCutOut);
    expect(name).toBe("a.cup-mask.svg");
    const text = await file.text();
    expect(text).toContain('viewBox="0 0 40 30"');
    expect(text).toContain("<title>&lt;cup &amp; saucer></title>");
    expect(text.match(/M[^MZ]+Z/g)).toHaveLength(2);
  });
});

describe("readLabels", () => {
  const read = (content: unknown, of = picture) =>
    readLabels(new Blob([typeof content === "string" ? content : JSON.stringify(content)]), of);

  it.each(["coco", "labelme", "geojson"] as const)("reads what is saved as %s", async (format) => {
    const { file } = await saveAs(format, picture, noCutOut);
    const { labels, warnings } = await readLabels(file, picture);
    expect(warnings).toEqual([]);
    expect(labels.map(({ category }) => category)).toEqual(["cup", "sugar"]);
    expect(labels.map(({ mask }) => mask.toRle())).toEqual([ring.toRle(), small.toRle()]);
  });

  it("takes this picture's labels of a data set, by its name", async () => {
    const annotation = (image_id: number, mask: Mask) => ({
      image_id,
      category_id: 1,
      segmentation: mask.toRle(),
    });
    const images = ["other.jpg", "train\\2026/a.cup.png", "third.jpg"].map((file_name, id) => ({
      id,
      file_name,
      ...size,
    }));
    const file = { images, annotations: [annotation(0, ring), annotation(1, small)] };
    const { labels } = await read(file);
    expect(labels.map(({ mask }) => mask.toRle())).toEqual([small.toRle()]);
    await expect(read(file, { ...picture, fileName: "cup.jpg" })).rejects.toThrow(
      /labels of 3 pictures, and none of them is called cup.jpg/,
    );
    await expect(read(file.annotations)).rejects.toThrow(/2 pictures, and does not say which/);
    await expect(read(file, { ...picture, fileName: "third.jpg" })).rejects.toThrow(
      /no masks for this picture/,
    );
  });

  it("tells what was passed over, and takes the rest", async () => {
    const file = {
      shapes: [
        { label: "cup", shape_type: "point", points: [[1, 1]] },
        {
          label: "cup",
          shape_type: "rectangle",
          points: [
            [2, 2],
            [5, 6],
          ],
        },
      ],
    };
    const { labels, warnings } = await read(file);
    expect(labels.map(({ mask }) => mask.box)).toEqual([[2, 2, 4, 5]]);
    expect(warnings).toEqual([expect.stringContaining("Shape number 1")]);
  });

  it.each([
    ["{ }", /neither COCO JSON, labelme JSON nor GeoJSON/],
    ["7", /neither/],
    ["[7]", /neither/],
    ['{"type": "Topology"}', /neither/],
    ['{"images": [', /cut or damaged/],
    ['{"annotations": []}', /no masks for this picture/],
    [
      '{"type": "Polygon", "coordinates": [[[1000, 1000], [1100, 1000], [1100, 1100], [1000, 1000]]]}',
      /outside of this picture/,
    ],
    [
      '{"imageWidth": 80, "imageHeight": 60, "shapes": []}',
      /80 × 60 pixels, and the one that is open has 40 × 30/,
    ],
  ])("says what is wrong with %s", async (text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: "INVALID_LABELS",
      message: expect.stringMatching(message),
    });
  });
});
