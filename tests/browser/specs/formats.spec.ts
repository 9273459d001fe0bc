// Label files in the browser, by the built package: written, read again, and gone on from.
import { expect, openTestPage, test } from "../support.js";

test("a predicted mask goes through every format, and what is read is a prompt", async ({ page }) => {
  await openTestPage(page);
  const found = await page.evaluate(async () => {
    const { formats, load } = window.tools;
    const sam = await load({ model: "nano" });
    const image = await sam.setImage(await (await fetch("/samples/sweater.jpg")).blob());
    const { width, height } = image;
    const { masks } = await image.predict({ points: [{ x: 197, y: 242, label: 1 }], multimask: false });
    const mask = masks[0];
    if (!mask) throw new Error("no mask");
    const labels = [{ mask, category: "sweater", id: 1 }];
    const picture = { width, height, labels, fileName: "sweater.jpg" };
    const text = (value: object) => JSON.stringify(value);
    const classes = ["sweater"];
    const read = {
      coco: formats.readCoco(text(formats.writeCoco({ pictures: [picture] }))).pictures[0],
      polygons: formats.readCoco(
        text(formats.writeCoco({ pictures: [picture] }, { segmentation: "polygons" })),
      ).pictures[0],
      yolo: formats.readYolo(formats.writeYolo(picture, { classes }), { width, height, classes }),
      labelme: await formats.readLabelme(text(await formats.writeLabelme(picture))),
      indexed: await formats.readIndexedPng(await formats.writeIndexedPng(picture), {
        categories: { 1: "sweater" },
      }),
      geojson: formats.readGeoJson(text(formats.writeGeoJson(picture)), { width, height }),
    };
    const results: Record<string, { category: string; read: number; again: number }> = {};
    for (const [name, { labels = [] } = {}] of Object.entries(read)) {
      // Of the parts that some formats make of one mask.
      const whole = labels.map((label) => label.mask).reduce((a, b) => a.or(b));
      const again = (await image.predict({ mask: whole, multimask: false })).masks[0];
      results[name] = {
        category: labels[0]?.category ?? "",
        read: whole.iou(mask),
        again: again?.iou(mask) ?? 0,
      };
    }
    sam.dispose();
    return results;
  });
  console.table(found);
  expect(Object.keys(found)).toEqual(["coco", "polygons", "yolo", "labelme", "indexed", "geojson"]);
  for (const [name, { category, read, again }] of Object.entries(found)) {
    expect.soft(category, name).toBe("sweater");
    // YOLO has rounded fractions of the picture.
    if (name === "yolo") expect.soft(read, name).toBeGreaterThan(0.98);
    else expect.soft(read, name).toBe(1);
    expect.soft(again, name).toBeGreaterThan(0.8);
  }
});
