import { encode } from "fast-png";
import { describe, expect, it } from "vitest";
import { cocoPolygon } from "../src/formats/coco-polygon.js";
import {
  type Label,
  type LabeledPicture,
  readCoco,
  readGeoJson,
  readIndexedPng,
  readLabelme,
  readYolo,
  writeCoco,
  writeGeoJson,
  writeIndexedPng,
  writeLabelme,
  writeYolo,
} from "../src/formats/index.js";
import type { Ring } from "../src/mask/types.js";
import { Mask } from "../src/mask.js";
import pycocotools from "./data/pycocotools.json" with { type: "json" };
import { drawn, maskWhere, noise, toText } from "./drawn-masks.js";

const size = { width: 40, height: 30 };
const ellipse = maskWhere(40, 30, (x, y) => ((x - 12) / 9) ** 2 + ((y - 14) / 11) ** 2 < 1);
const ring = maskWhere(40, 30, (x, y) => Math.abs(Math.hypot(x - 28, y - 15) - 8) < 3);
const parts = maskWhere(40, 30, (x, y) => y > 24 && (x < 5 || x > 30));

/** One object of a part, one with a hole, one of two parts. */
const picture: LabeledPicture = {
  ...size,
  fileName: "shelf.jpg",
  id: 7,
  labels: [
    { mask: ellipse, category: "cup", id: 11 },
    { mask: ring, category: "ring", id: 5, score: 0.5 },
    { mask: parts, category: "cup", id: 3, crowd: true },
  ],
};

const drawnLabels = (labels: readonly Label[]) =>
  labels.map(({ mask, ...rest }) => ({ ...rest, mask: toText(mask) }));
const masks = (labels: readonly Label[]) => labels.map(({ mask }) => toText(mask));
const areas = (labels: readonly Label[]) => labels.map(({ mask }) => mask.area);
/** As it comes from a file. */
const saved = <T>(json: T): T => JSON.parse(JSON.stringify(json));
const failing = (code: string) => expect.objectContaining({ name: "Sam2Error", code });

describe("COCO", () => {
  const image = { id: 7, ...size, file_name: "shelf.jpg" };
  const square = [10, 10, 20, 10, 20, 20, 10, 20];
  const annotation = { id: 1, image_id: 7, category_id: 4, segmentation: [square], iscrowd: 0 };

  it.each(["rle", "polygons"] as const)(
    "comes back, with its ids, categories and crowds: %s",
    (segmentation) => {
      const categories = [
        { id: 90, name: "ring", supercategory: "round" },
        { id: 2, name: "unused" },
      ];
      const file = writeCoco({ pictures: [picture], categories }, { segmentation });
      expect(file.annotations[0]).toMatchObject({ id: 11, image_id: 7, area: ellipse.area, iscrowd: 0 });
      expect(file.annotations[2]).toMatchObject({ bbox: [0, 25, 40, 5], iscrowd: 1 });
      expect(file.annotations.map(({ segmentation }) => Array.isArray(segmentation))).toEqual(
        segmentation === "rle" ? [false, false, false] : [true, false, false],
      );
      const read = readCoco(JSON.stringify(file));
      expect(read.categories).toEqual([...categories, { id: 1, name: "cup" }]);
      expect(read.warnings).toEqual([]);
      expect(read.pictures).toHaveLength(1);
      expect(read.pictures[0]).toMatchObject({ ...size, id: 7, fileName: "shelf.jpg" });
      expect(drawnLabels(read.pictures[0]?.labels ?? [])).toEqual(drawnLabels(picture.labels));
    },
  );

  it("has polygons' masks as pycocotools has them, to the pixel", () => {
    for (const { width, height, rings, text } of pycocotools.polygons) {
      const file = {
        images: [{ id: 1, width, height }],
        annotations: [{ image_id: 1, category_id: 1, segmentation: rings.map((points) => points.flat()) }],
      };
      expect(readCoco(file).pictures[0]?.labels[0]?.mask.toRle().counts).toBe(text);
    }
    const far: Ring = [
      [-1e9, -1e9],
      [1e9, -1e9],
      [1e9, 1e9],
      [-1e9, 1e9],
    ];
    expect(cocoPolygon(far, size).area).toBe(1200);
  });

  it("reads annotations before images, other fields, ids of text, run lengths of numbers, and a mark before the text", () => {
    const counts = ellipse.toRle({ compressed: false }).counts;
    const file = {
      annotations: [
        {
          segmentation: { counts, size: [30, 40] },
          iscrowd: 1,
          image_id: "7",
          category_id: "4",
          area: 0,
          attributes: {},
        },
        { ...annotation, id: "b", category_id: 9, segmentation: square },
      ],
      licenses: [],
      categories: [{ name: "cup", id: 4 }],
      images: [{ ...image, license: 3 }],
    };
    const { pictures } = readCoco(`\uFEFF${JSON.stringify(file)}`);
    const [first, second] = pictures[0]?.labels ?? [];
    expect(first).toMatchObject({ category: "cup", crowd: true });
    expect(second).toMatchObject({ category: "9", id: "b" });
    expect([first?.mask.area, second?.mask.area]).toEqual([ellipse.area, 100]);
  });

  it("passes over what is no mask, and says so", () => {
    const other = (changes: object) => ({ ...annotation, ...changes });
    const file = {
      images: [image, { file_name: "no-id.jpg" }, { id: 8, width: 3, height: 2 }, { id: 9 }],
      annotations: [
        other({ segmentation: [[5, 5], square] }),
        other({ id: 2, segmentation: [[5, 5]] }),
        other({ id: 3, segmentation: [] }),
        other({ id: 4, segmentation: [[1, 2, 3, 4]] }),
        other({ id: 5, segmentation: [[...square, 3]] }),
        other({ id: 6, image_id: 99 }),
        other({ id: 7, image_id: 8, segmentation: ellipse.toRle() }),
        other({ id: 8, segmentation: undefined }),
        other({ id: 9, segmentation: [["a", 1, 2, 3, 4, 5]] }),
        null,
      ],
    };
    const { pictures, warnings } = readCoco(file);
    expect(pictures.map(({ id, labels }) => [id, areas(labels)])).toEqual([
      [7, [100]],
      [8, []],
    ]);
    for (const part of [
      "without an id",
      "Annotation 1: a polygon",
      "Annotation 2 ",
      "Annotation 3 ",
      "Annotation 4 ",
    ])
      expect(warnings.join("\n")).toContain(part);
    for (const part of [
      "Annotation 5 ",
      "no picture 99",
      "Annotation 7 ",
      "Annotation 8 ",
      "Annotation 9 ",
      "number 10 ",
    ])
      expect(warnings.join("\n")).toContain(part);
    expect(warnings.join("\n")).toContain("Picture 9 is passed over");
  });

  it("reads lists of results, and a picture's file of SA-1B", () => {
    const results = [{ image_id: 3, category_id: 1, segmentation: ring.toRle(), score: 0.25 }];
    expect(readCoco(results).pictures).toMatchObject([
      { ...size, id: 3, labels: [{ score: 0.25, category: "1" }] },
    ]);
    const { id: image_id, ...rest } = image;
    const { pictures } = readCoco({
      image: { image_id, ...rest },
      annotations: [{ id: 5, segmentation: ring.toRle() }],
    });
    expect(pictures).toMatchObject([{ ...size, id: 7, fileName: "shelf.jpg", labels: [{ id: 5 }] }]);
  });

  it("reads the records of a mask generator, which name no picture", () => {
    const records = [ring, ellipse].map((mask) => ({
      segmentation: mask.toRle(),
      predicted_iou: 0.5,
      stability_score: null,
    }));
    const { pictures, warnings } = readCoco(records);
    const label = (mask: Mask) => ({ mask, category: "object", score: 0.5 });
    expect(pictures.map(({ labels, ...rest }) => [rest, drawnLabels(labels)])).toEqual([
      [size, drawnLabels([label(ring), label(ellipse)])],
    ]);
    expect(warnings).toEqual([]);
  });

  it("asks for a size that is missing, and takes it of run lengths", () => {
    const file = { images: [{ id: 7, file_name: "shelf.jpg" }], annotations: [annotation] };
    expect(() => readCoco(file)).toThrow(failing("UNSUPPORTED_INPUT"));
    const asked: string[] = [];
    const sizeOf = (name: string) => {
      asked.push(name);
      return size;
    };
    expect(areas(readCoco(file, { sizeOf }).pictures[0]?.labels ?? [])).toEqual([100]);
    expect(asked).toEqual(["shelf.jpg"]);
    const rle = { ...file, annotations: [{ ...annotation, segmentation: ring.toRle() }] };
    expect(readCoco(rle).pictures[0]).toMatchObject(size);
  });

  it("is refused where it is no such file, or its run lengths lie", () => {
    for (const file of ["", "{", "[1", 3, null, {}, { annotations: 3 }, { images: [] }])
      expect(() => readCoco(file as object)).toThrow(failing("INVALID_LABELS"));
    const lying = { ...annotation, segmentation: { size: [30, 40], counts: [3] } };
    expect(() => readCoco({ images: [image], annotations: [lying] })).toThrow(failing("INVALID_MASK"));
    const huge = { ...annotation, segmentation: { size: [1e6, 1e6], counts: [3] } };
    expect(() => readCoco({ images: [image], annotations: [huge] })).toThrow(failing("IMAGE_TOO_LARGE"));
  });

  it("says which annotation it was", () => {
    const lying = { ...annotation, id: 81, segmentation: { size: [30, 40], counts: [3] } };
    expect(() => readCoco({ images: [image], annotations: [annotation, lying] })).toThrow(/^Annotation 81: /);
    const { id, ...nameless } = lying;
    expect(() => readCoco([annotation, nameless].slice(1).map((each) => ({ ...each })))).toThrow(
      /number 1: /,
    );
  });

  it("reads only the pictures that are asked for", () => {
    const file = {
      images: [image, { ...image, id: 8, file_name: "other.jpg" }, { id: 9, ...size }],
      annotations: [
        annotation,
        { ...annotation, image_id: 8, segmentation: { size: [30, 40], counts: [3] } },
      ],
    };
    const asked: string[] = [];
    const only = (picture: string) => {
      asked.push(picture);
      return picture !== "other.jpg";
    };
    const { pictures, warnings } = readCoco(file, { only });
    expect(pictures.map(({ id, labels }) => [id, labels.length])).toEqual([
      [7, 1],
      [9, 0],
    ]);
    expect([asked, warnings]).toEqual([["shelf.jpg", "other.jpg", "9"], []]);
  });

  it("keeps categories apart that have one name", () => {
    const file = {
      images: [image],
      categories: [0, 1, 2].map((id) => ({ id, name: id < 2 ? "plant" : "pot" })),
      annotations: [0, 1, 2].map((category_id) => ({ ...annotation, id: category_id, category_id })),
    };
    const read = readCoco(file);
    expect(read.pictures[0]?.labels.map(({ category }) => category)).toEqual(["plant", "plant", "pot"]);
    expect(writeCoco(read).annotations.map(({ category_id }) => category_id)).toEqual([0, 1, 2]);
  });

  it("gives ids where there are none, or two alike", () => {
    const label = (id?: number) => ({ mask: drawn("#"), category: "a", ...(id !== undefined && { id }) });
    const pictures = [{ width: 1, height: 1, labels: [label(2), label(), label(2), label(), label(1)] }];
    const { images, annotations } = writeCoco({ pictures });
    expect(images[0]?.id).toBe(1);
    expect(annotations.map(({ id }) => id)).toEqual([2, 3, 4, 5, 1]);
    const empty = { ...size, labels: [{ mask: new Mask(40, 30), category: "none" }] };
    expect(writeCoco({ pictures: [empty] }, { segmentation: "polygons" }).annotations[0]).toMatchObject({
      area: 0,
      bbox: [0, 0, 0, 0],
      segmentation: { size: [30, 40] },
    });
  });
});

describe("YOLO", () => {
  const classes = ["ring", "cup"];

  it("comes back, parts and holes too", () => {
    const text = writeYolo(picture, { classes });
    expect(text.split("\n").map((line) => line.split(" ")[0])).toEqual(["1", "0", "1", ""]);
    const read = readYolo(text, { ...size, classes });
    expect(read.warnings).toEqual([]);
    expect(read.labels.map(({ category }) => category)).toEqual(["cup", "ring", "cup"]);
    expect(masks(read.labels)).toEqual(masks(picture.labels));
    const some = noise(37, 29, 0.5);
    const again = readYolo(
      writeYolo({ width: 37, height: 29, labels: [{ mask: some, category: "3" }] }, { classes: {} }),
      { width: 37, height: 29 },
    );
    expect(again.labels.map(({ category }) => category)).toEqual(["3"]);
    expect(masks(again.labels)).toEqual([toText(some)]);
  });

  it("reads other line ends, blanks, a score, and numbers for names", () => {
    const text = "\uFEFF2\t0.25 0 0.75 0  0.75 1 0.25 1 \r\n\r\n1 .5 .5 1 .5 1 1 .5 1 0.875\n";
    const { labels } = readYolo(text, { ...size, classes: { 1: "cup" } });
    expect(labels.map(({ category, score, mask }) => [category, score, mask.area])).toEqual([
      ["2", undefined, 600],
      ["cup", 0.875, 300],
    ]);
  });

  it("passes over boxes and what is no outline, and says which line", () => {
    const { labels, warnings } = readYolo("0 .5 .5 .2 .2\n0 .5 .5\ncup 0 0 1 0 1 1\n-1 0 0 1 0 1 1\n0", size);
    expect(labels).toEqual([]);
    expect(warnings.map((warning) => warning.slice(0, 7))).toEqual(
      [1, 2, 3, 4, 5].map((line) => `Line ${line} `),
    );
  });

  it("is refused without the picture's size, or with a category that is no class", () => {
    expect(() => readYolo("", {} as never)).toThrow(failing("UNSUPPORTED_INPUT"));
    expect(() => writeYolo(picture, { classes: ["cup"] })).toThrow(failing("UNSUPPORTED_INPUT"));
  });
});

describe("labelme", () => {
  const shape = (changes: object) => ({
    label: "cup",
    points: [
      [10, 10],
      [20, 10],
      [20, 20],
    ],
    group_id: null,
    shape_type: "polygon",
    flags: {},
    ...changes,
  });
  const file = (...shapes: object[]) => ({
    version: "5.5.0",
    flags: {},
    shapes,
    imagePath: "shelf.jpg",
    imageData: null,
    imageHeight: 30,
    imageWidth: 40,
  });

  it("comes back, parts as a group and holes as a mask", async () => {
    const written = await writeLabelme(picture);
    expect(written.shapes.map(({ shape_type, group_id }) => [shape_type, group_id])).toEqual([
      ["polygon", 11],
      ["mask", 5],
      ["polygon", 3],
      ["polygon", 3],
    ]);
    const read = await readLabelme(JSON.stringify(written));
    expect(read).toMatchObject({ ...size, fileName: "shelf.jpg", warnings: [] });
    const kept = picture.labels.map(({ mask, category, id }) => ({ mask, category, id: id ?? 0 }));
    expect(drawnLabels(read.labels)).toEqual(drawnLabels(kept));
  });

  it("keeps objects apart that have no id", async () => {
    const labels = [parts, ellipse, parts].map((mask) => ({ mask, category: "cup" }));
    const read = await readLabelme(saved(await writeLabelme({ ...size, labels })));
    expect(masks(read.labels)).toEqual(masks(labels));
  });

  it("reads polygons, rectangles, circles and masks, in any order of fields", async () => {
    const png = encode({
      width: 3,
      height: 2,
      data: Uint8Array.of(0, 1, 1, 0, 255, 0),
      channels: 1,
      depth: 8,
    });
    const mask = btoa(String.fromCharCode(...png));
    const read = await readLabelme(
      file(
        {
          points: [
            [0, 0],
            [5, 0],
            [5, 4],
            [0, 4],
          ],
          label: "no type",
        },
        shape({
          shape_type: "rectangle",
          points: [
            [20, 20],
            [10, 10],
          ],
        }),
        shape({
          shape_type: "rectangle",
          points: [
            [1, 1],
            [3, 1],
            [3, 3],
            [1, 3],
          ],
        }),
        shape({
          shape_type: "circle",
          points: [
            [20, 15],
            [20, 25],
          ],
        }),
        shape({
          shape_type: "circle",
          points: [
            [0, 0],
            [0, 2],
          ],
        }),
        shape({
          shape_type: "mask",
          points: [
            [38, 29],
            [40, 30],
          ],
          mask,
        }),
        shape({
          shape_type: "mask",
          points: [
            [5, 6],
            [7, 7],
          ],
          mask,
        }),
      ),
    );
    const round = maskWhere(40, 30, (x, y) => (x - 19.5) ** 2 + (y - 14.5) ** 2 < 100);
    expect(read.warnings).toEqual([]);
    expect(areas(read.labels)).toEqual([20, 100, 4, round.area, 3, 1, 3]);
    expect(masks(read.labels)[3]).toEqual(toText(round));
    expect(read.labels[6]?.mask.box).toEqual([6, 6, 7, 7]);
  });

  it("joins shapes of one label and one group", async () => {
    const at = (x: number) => [
      [x, 0],
      [x + 2, 0],
      [x + 2, 2],
      [x, 2],
    ];
    const read = await readLabelme(
      file(
        shape({ group_id: 1, points: at(0) }),
        shape({ group_id: 2, points: at(4) }),
        shape({ group_id: 1, points: at(8) }),
        shape({ label: "lid", group_id: 1, points: at(12) }),
        shape({ points: at(16) }),
        shape({ points: at(20) }),
      ),
    );
    expect(read.labels.map(({ category, id, mask }) => [category, id, mask.area])).toEqual([
      ["cup", 1, 8],
      ["cup", 2, 4],
      ["lid", 1, 4],
      ["cup", undefined, 4],
      ["cup", undefined, 4],
    ]);
  });

  it("passes over what is no area, and says so", async () => {
    const { labels, warnings } = await readLabelme(
      file(
        shape({ points: [[3, 3]] }),
        shape({ shape_type: "point", points: [[3, 3]] }),
        shape({ shape_type: "linestrip" }),
        shape({ shape_type: "rectangle", points: [[3, 3]] }),
        shape({ points: "none" }),
        shape({ shape_type: "mask", mask: null }),
        shape({
          points: [
            [1, 1],
            [2, null],
            [3, 3],
          ],
        }),
      ),
    );
    expect(labels).toEqual([]);
    expect(warnings.map((warning) => warning.slice(0, 14))).toEqual(
      [1, 2, 3, 4, 5, 6, 7].map((number) => `Shape number ${number}`),
    );
    expect(warnings[0]).toContain("a polygon of 1 point");
  });

  it("takes a missing size of the picture in the file, or as it is given", async () => {
    const { imageHeight, imageWidth, ...rest } = file(shape({}));
    await expect(readLabelme(rest)).rejects.toEqual(failing("UNSUPPORTED_INPUT"));
    await expect(readLabelme({ ...rest, imageHeight: null, imageWidth: null })).rejects.toEqual(
      failing("UNSUPPORTED_INPUT"),
    );
    expect(await readLabelme({ ...rest, imageHeight }, size)).toMatchObject(size);
    const png = encode({ width: 50, height: 20, data: new Uint8Array(1000), channels: 1, depth: 8 });
    const imageData = btoa(String.fromCharCode(...png));
    expect(await readLabelme({ ...rest, imageWidth, imageData })).toMatchObject({ width: 50, height: 20 });
  });

  it("is refused where it is no such file", async () => {
    for (const bad of ["", "[]", {}, { shapes: 3 }, file(shape({ shape_type: "mask", mask: "????" }))])
      await expect(readLabelme(bad)).rejects.toEqual(failing("INVALID_LABELS"));
    await expect(readLabelme(file(shape({ shape_type: "mask", mask: btoa("no png") })))).rejects.toEqual(
      failing("INVALID_LABELS"),
    );
    await expect(readLabelme({ ...file(), imageHeight: 1e6, imageWidth: 1e6 })).rejects.toEqual(
      failing("IMAGE_TOO_LARGE"),
    );
  });
});

describe("an indexed PNG", () => {
  const png = (data: Uint8Array | Uint16Array, more: object) =>
    encode({ width: 5, height: 2, data, channels: 1, depth: 8, ...more });
  const palette = Array.from({ length: 256 }, (_, i) => [i, 0, 255 - i] as [number, number, number]);

  it("comes back, the later label on top", async () => {
    const file = await writeIndexedPng(picture);
    expect(file.type).toBe("image/png");
    const read = await readIndexedPng(file, { categories: { 3: "cup", 11: "cup", 5: "ring" } });
    expect(read).toMatchObject({ ...size, warnings: [] });
    expect(drawnLabels(read.labels)).toEqual(
      drawnLabels([
        { mask: parts, category: "cup", id: 3 },
        { mask: ring.minus(parts), category: "ring", id: 5 },
        { mask: ellipse.minus(ring).minus(parts), category: "cup", id: 11 },
      ]),
    );
  });

  it("has indices in the colours of DAVIS, the next free one where an id is none", async () => {
    const dot = (x: number) => maskWhere(6, 1, (column) => column === x);
    const ids = [undefined, 1, "a", 300, 1, 4] as const;
    const labels = ids.map((id, x) => ({ mask: dot(x), category: "", ...(id !== undefined && { id }) }));
    const { decode } = await import("fast-png");
    const { data, palette: colors } = decode(
      await (await writeIndexedPng({ width: 6, height: 1, labels })).arrayBuffer(),
    );
    expect([...data]).toEqual([2, 1, 3, 5, 6, 4]);
    expect(colors?.slice(0, 4)).toEqual([
      [0, 0, 0],
      [128, 0, 0],
      [0, 128, 0],
      [128, 128, 0],
    ]);
    expect(colors?.[255]).toEqual([224, 224, 192]);
  });

  it("is read with 1 to 8 bits of a palette, and 8 or 16 of grey", async () => {
    const values = [0, 1, 1, 0, 2, 3, 0, 2, 0, 1];
    const expected = { 1: 3, 2: 2, 3: 1 };
    const two = Uint8Array.of(0b00010100, 0b10000000, 0b11001000, 0b01000000);
    const four = Uint8Array.of(0x01, 0x10, 0x20, 0x30, 0x20, 0x10);
    for (const file of [
      png(Uint8Array.from(values), { palette }),
      png(Uint8Array.from(values), {}),
      png(two, { depth: 2, palette: palette.slice(0, 4) }),
      png(four, { depth: 4, palette: palette.slice(0, 16) }),
      png(Uint16Array.from(values), { depth: 16 }),
    ]) {
      const { labels } = await readIndexedPng(file as Uint8Array);
      expect(Object.fromEntries(labels.map(({ id, mask }) => [id, mask.area]))).toEqual(expected);
      expect(labels[2]?.mask.box).toEqual([0, 1, 0, 1]);
    }
    const one = await readIndexedPng(png(Uint8Array.of(0b01100000, 0b10001000), { depth: 1 }) as Uint8Array);
    expect(toText(one.labels[0]?.mask ?? new Mask(1, 1))).toEqual([".##..", "#...#"]);
    const many = await readIndexedPng(
      png(
        Uint16Array.from(values, (value) => value * 1000),
        { depth: 16 },
      ) as Uint8Array,
    );
    expect(many.labels.map(({ id, category }) => [id, category])).toEqual([
      [1000, "1000"],
      [2000, "2000"],
      [3000, "3000"],
    ]);
  });

  it("passes over a border of 255, unless that is an index", async () => {
    const file = png(Uint8Array.of(0, 255, 1, 1, 0, 0, 0, 0, 0, 0), { palette }) as Uint8Array;
    const read = await readIndexedPng(file);
    expect(read.labels.map(({ id }) => id)).toEqual([1]);
    expect(read.warnings).toHaveLength(1);
    expect((await readIndexedPng(file, { ignore: [] })).labels.map(({ id }) => id)).toEqual([1, 255]);
  });

  it("is refused where it is none, has colours, or is too large", async () => {
    const colours = encode({ width: 1, height: 1, data: new Uint8Array(3), channels: 3, depth: 8 });
    for (const bad of [
      colours as Uint8Array,
      new Uint8Array(3),
      new Blob(["no PNG, but long enough to be one"]),
    ])
      await expect(readIndexedPng(bad)).rejects.toEqual(failing("INVALID_LABELS"));
    const small = { ...size, shapes: [{ label: "", shape_type: "mask", points: [[0, 0]], mask: "" }] };
    const claims = png(new Uint8Array(10), {}).slice();
    new DataView(claims.buffer).setUint32(16, 1e6);
    new DataView(claims.buffer).setUint32(20, 1e6);
    await expect(readIndexedPng(claims as Uint8Array)).rejects.toEqual(failing("IMAGE_TOO_LARGE"));
    for (const shape of small.shapes) shape.mask = btoa(String.fromCharCode(...claims));
    await expect(readLabelme(small, size)).rejects.toEqual(failing("IMAGE_TOO_LARGE"));
    const labels = Array.from({ length: 256 }, () => ({ mask: drawn("#"), category: "" }));
    await expect(writeIndexedPng({ width: 1, height: 1, labels })).rejects.toEqual(
      failing("UNSUPPORTED_INPUT"),
    );
  });
});

describe("GeoJSON", () => {
  /** Pixels of half a metre, north up, as a GeoTIFF's; and one that is turned. */
  const north = [0.5, 0, 481_000, 0, -0.5, 5_450_000] as const;
  const turned = [0.3, -0.4, 12, 0.4, 0.3, -7] as const;

  it.each([["pixels"], ["north up", north], ["turned", turned]] as const)(
    "comes back: %s",
    (_, transform?) => {
      const options = transform && { transform };
      const file = writeGeoJson(picture, options);
      const read = readGeoJson(JSON.stringify(file), { ...size, ...options });
      expect(read).toMatchObject({ ...size, warnings: [] });
      expect(drawnLabels(read.labels)).toEqual(drawnLabels(picture.labels));
    },
  );

  it("has closed rings, outlines counterclockwise, in the map's coordinates", () => {
    const labels = [{ mask: drawn("..", ".#"), category: "roof", id: "r1" }];
    for (const transform of [north, [1, 0, 0, 0, 1, 0] as const]) {
      const [feature] = writeGeoJson({ width: 2, height: 2, labels }, { transform }).features;
      const [ring = []] = feature?.geometry?.coordinates[0] ?? [];
      expect(ring).toHaveLength(5);
      expect(ring[0]).toEqual(ring[4]);
      let area = 0;
      for (const [i, [x, y]] of ring.slice(1).entries())
        area += (ring[i]?.[0] ?? 0) * y - x * (ring[i]?.[1] ?? 0);
      expect(area).toBeGreaterThan(0);
      expect(feature).toMatchObject({ id: "r1", properties: { category: "roof" } });
    }
    const [feature] = writeGeoJson({ width: 2, height: 2, labels }, { transform: north }).features;
    const xs = feature?.geometry?.coordinates.flat(2).map(([x]) => x) ?? [];
    const ys = feature?.geometry?.coordinates.flat(2).map(([, y]) => y) ?? [];
    expect([Math.min(...xs), Math.max(...xs)]).toEqual([481_000.5, 481_001]);
    expect([Math.min(...ys), Math.max(...ys)]).toEqual([5_449_999, 5_449_999.5]);
  });

  it("reads other tools': bare geometries, lists, heights, QuPath's classes, nothing where nothing is", () => {
    const square = [
      [
        [1, 1],
        [5, 1],
        [5, 4],
        [1, 4],
        [1, 1],
      ],
    ];
    const polygon = { type: "Polygon", coordinates: square };
    const feature = (changes: object) => ({ type: "Feature", geometry: polygon, properties: {}, ...changes });
    const read = (file: object) => readGeoJson(file, size);
    expect(areas(read(polygon).labels)).toEqual([12]);
    expect(areas(read({ coordinates: [square], type: "MultiPolygon" }).labels)).toEqual([12]);
    expect(areas(read(feature({})).labels)).toEqual([12]);
    const collection = {
      type: "GeometryCollection",
      geometries: [polygon, { type: "Point", coordinates: [1, 2] }],
    };
    expect(areas(read(feature({ geometry: collection })).labels)).toEqual([12]);
    const { labels } = read([
      feature({ properties: { classification: { name: "Tumor", color: [200, 0, 0] } }, id: "a-b" }),
      feature({ properties: { name: "x", class: 3 } }),
      feature({ properties: null }),
      feature({ geometry: null, properties: { category: "none" } }),
      feature({ geometry: { type: "Polygon", coordinates: [square[0]?.map(([x, y]) => [x, y, 99])] } }),
    ]);
    expect(labels.map(({ category, id, mask }) => [category, id, mask.area])).toEqual([
      ["Tumor", "a-b", 12],
      ["3", undefined, 12],
      ["object", undefined, 12],
      ["none", undefined, 0],
      ["object", undefined, 12],
    ]);
  });

  it("passes over points, lines and rings that are none, and says so", () => {
    const features = [
      { type: "Feature", geometry: { type: "Point", coordinates: [1, 2] }, properties: {} },
      { type: "Feature", geometry: { type: "LineString", coordinates: [[1, 2]] }, properties: {} },
      {
        type: "Feature",
        geometry: {
          type: "Polygon",
          coordinates: [
            [
              [1, 2],
              [3, 4],
            ],
          ],
        },
        properties: {},
      },
      { type: "Feature", geometry: { type: "Polygon", coordinates: "none" }, properties: {} },
      7,
    ];
    const { labels, warnings } = readGeoJson({ type: "FeatureCollection", features }, size);
    expect(labels).toEqual([]);
    expect(warnings).toHaveLength(5);
  });

  it("is refused where it is none, or its transform has no way back", () => {
    for (const bad of ["", "3", {}, { type: "Topology" }])
      expect(() => readGeoJson(bad, size)).toThrow(failing("INVALID_LABELS"));
    expect(() => readGeoJson({ type: "Point" }, {} as never)).toThrow(failing("UNSUPPORTED_INPUT"));
    for (const transform of [[1, 1, 0, 1, 1, 0], [1, 2], [Number.NaN, 0, 0, 0, 1, 0], 3]) {
      expect(() => writeGeoJson(picture, { transform: transform as never })).toThrow(
        failing("UNSUPPORTED_INPUT"),
      );
      expect(() => readGeoJson({}, { ...size, transform: transform as never })).toThrow(
        failing("UNSUPPORTED_INPUT"),
      );
    }
  });
});

it("no file is written of masks that are not of their picture's size", async () => {
  const wrong: LabeledPicture = { ...size, labels: [{ mask: drawn("##"), category: "cup" }] };
  expect(() => writeCoco({ pictures: [wrong] })).toThrow(failing("INVALID_MASK"));
  expect(() => writeYolo(wrong, { classes: ["cup"] })).toThrow(failing("INVALID_MASK"));
  expect(() => writeGeoJson(wrong)).toThrow(failing("INVALID_MASK"));
  await expect(writeLabelme(wrong)).rejects.toEqual(failing("INVALID_MASK"));
  await expect(writeIndexedPng(wrong)).rejects.toEqual(failing("INVALID_MASK"));
});
