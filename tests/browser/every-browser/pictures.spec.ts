// The package's pictures on the CPU: as in Chromium, and as the native build.
import { readFile } from "node:fs/promises";
import { PNG } from "pngjs";
import { Mask } from "sam2-web";
import { expect, expectLikeChromium, openTestPage, test } from "./fixtures.js";
import { support } from "./support.js";

const expected = new URL("../expected/", import.meta.url);
const [sample]: [{ image: string; mask: string; point: [number, number] }] = JSON.parse(
  await readFile(new URL("clicks.json", expected), "utf8"),
);

for (const worker of [true, false]) {
  test(`a click, a batch, a cut-out: ${worker ? "in a worker" : "on the page's thread"}`, async ({
    tab,
    name,
  }) => {
    await openTestPage(tab);
    const found = await tab.evaluate(
      async ({ image: file, point: [x, y], worker }) => {
        const sam = await window.tools.Sam2.load({ device: "cpu", worker });
        const picture = await (await fetch(`/samples/${file}`)).blob();
        const image = await sam.setImage(picture);
        const click = { points: [{ x, y, label: 1 as const }] };
        const { masks } = await image.predict(click);
        const best = masks.reduce((a, b) => (b.score > a.score ? b : a));
        const [again, boxed] = await image.predictBatch([click, { box: best.box ?? [0, 0, 1, 1] }]);
        const cutout = await createImageBitmap(await best.cutout());
        const [x0, y0, x1, y1] = best.box ?? [0, 0, 0, 0];
        const found = {
          device: sam.device,
          model: sam.model.name,
          size: [image.width, image.height],
          mask: best.toRle(),
          area: best.area,
          batch: [again?.masks.length, boxed?.masks.length],
          same: again?.masks[masks.indexOf(best)]?.area === best.area,
          cutout: [cutout.width - (x1 - x0 + 1), cutout.height - (y1 - y0 + 1)],
          soft: (await image.cutout(best, { softEdge: true })).type,
        };
        sam.dispose();
        return found;
      },
      { ...sample, worker },
    );
    const { width, height, data } = PNG.sync.read(await readFile(new URL(sample.mask, expected)));
    const wanted = Mask.fromImageData({
      width,
      height,
      data: Uint8ClampedArray.from(data),
      colorSpace: "srgb",
    });
    expect(found).toMatchObject({
      device: "cpu",
      model: "nano",
      size: [width, height],
      batch: [3, 3],
      same: true,
      cutout: [0, 0],
      soft: "image/png",
    });
    const mask = Mask.fromRle(found.mask);
    expect(mask.area).toBe(found.area);
    expect(mask.iou(wanted), "IoU with the object").toBeGreaterThanOrEqual(0.7);
    await expectLikeChromium(name, `click-${worker ? "worker" : "page"}`, [found.mask]);
  });
}

test("the network equals the native build", async ({ tab }) => {
  await openTestPage(tab);
  const { differences } = await tab.evaluate(() => window.tools.compare("micro", "cpu"));
  expect(differences.length).toBeGreaterThanOrEqual(10);
  for (const { name, logits, iou } of differences) {
    expect.soft(logits, `${name}: logits`).toBeLessThanOrEqual(1e-3);
    expect.soft(iou, `${name}: IoU`).toBeGreaterThanOrEqual(0.999);
  }
});

test("WebGPU is there, or the error says that it is not and the CPU is taken", async ({ tab, name }) => {
  await openTestPage(tab);
  const found = await tab.evaluate(async () => {
    const { Sam2, failure } = window.tools;
    const supported = await Sam2.isSupported({ device: "webgpu" });
    const { code, typed } = supported
      ? { code: "", typed: true }
      : await failure(() => Sam2.load({ device: "webgpu" }));
    const sam = await Sam2.load({ device: "auto" });
    const { device, fallback } = sam;
    sam.dispose();
    return { supported, code, typed, device, fallback: fallback?.code ?? "none" };
  });
  const { webgpu } = support[name];
  expect(found).toEqual({
    supported: webgpu,
    code: webgpu ? "" : "DEVICE_UNAVAILABLE",
    typed: true,
    device: "cpu",
    fallback: "none",
  });
});
