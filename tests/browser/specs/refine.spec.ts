// A mask predicted again at full resolution, and images that are saved and restored.
import { expect, openTestPage, test } from "../support.js";

test.beforeEach(({ page }) => openTestPage(page));

for (const worker of [true, false]) {
  test(`a small object in a large picture gets a finer mask ${worker ? "in a worker" : "on the page"}`, async ({
    page,
  }) => {
    const found = await page.evaluate(async (worker) => {
      const { load, failure, Mask, pixelsOf } = window.tools;
      const [width, height, x, y, radius] = [3000, 2000, 2210, 640, 60];
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      const ground = context.createLinearGradient(0, 0, width, height);
      ground.addColorStop(0, "#567a5c");
      ground.addColorStop(1, "#8aa39a");
      context.fillStyle = ground;
      context.fillRect(0, 0, width, height);
      context.fillStyle = "#c8382e";
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
      const corners = Array.from({ length: 360 }, (_, i) => {
        const angle = (i * Math.PI) / 180;
        return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)] as const;
      });
      const disc = Mask.fromPolygons([[corners]], { width, height });
      const sam = await load({ model: "nano", worker });
      const image = await sam.setImage(context.getImageData(0, 0, width, height));
      const { masks } = await image.predict({ points: [{ x, y, label: 1 }] });
      const best = masks.reduce((a, b) => (b.score > a.score ? b : a));
      const refined = await image.refine(best);
      const again = await image.predict({ mask: refined, points: [{ x, y, label: 1 }], multimask: false });
      const cut = await pixelsOf(await refined.cutout());
      const soft = await pixelsOf(await image.cutout(refined, { softEdge: { radius: 8 } }));
      const fails = {
        empty: await failure(() => image.refine(new Mask(width, height))),
        size: await failure(() => image.refine(new Mask(9, 9))),
      };
      const result = {
        before: best.iou(disc),
        after: refined.iou(disc),
        part: refined.part,
        score: refined.score,
        objectScore: refined.objectScore,
        again: again.masks[0]?.iou(disc),
        cut: [cut.width, cut.height],
        soft: [soft.width, soft.height],
        fails,
      };
      sam.dispose();
      return result;
    }, worker);
    console.log(`IoU with the disc: ${found.before.toFixed(4)}, refined ${found.after.toFixed(4)}`);
    expect(found.after).toBeGreaterThan(found.before);
    expect(found.after).toBeGreaterThan(0.97);
    expect(found.score).toBeGreaterThan(0.8);
    expect(found.objectScore).toBeGreaterThan(0);
    expect(found.again).toBeGreaterThan(0.8);
    const [left, top, right, bottom] = found.part;
    expect(left).toBeLessThan(2150);
    expect(right).toBeGreaterThan(2270);
    expect(bottom - top).toBeLessThan(700);
    for (const side of found.cut) expect(Math.abs(side - 120)).toBeLessThan(8);
    for (const side of found.soft) expect(Math.abs(side - 120)).toBeLessThan(24);
    expect(found.fails).toMatchObject({ empty: { code: "INVALID_MASK" }, size: { code: "INVALID_MASK" } });
  });
}

test("a saved image answers as before, in another worker and after a reload", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, failure, canvas } = window.tools;
    const picture = await canvas();
    const prompt = { points: [{ x: picture.width / 3, y: picture.height / 2, label: 1 as const }] };
    const logitsOf = async (image: {
      predict(p: typeof prompt): Promise<{ masks: { logits: Float32Array }[] }>;
    }) => (await image.predict(prompt)).masks.flatMap(({ logits }) => [...logits]);
    const first = await load();
    const image = await first.setImage(picture);
    const expected = await logitsOf(image);
    const saved = await image.save();
    first.dispose();
    const sam = await load();
    const restored = await sam.restoreImage(saved, { picture });
    const same = (logits: number[]) => logits.length > 0 && logits.every((logit, i) => logit === expected[i]);
    const [mask] = (await restored.predict(prompt)).masks;
    const result = {
      encodeMs: restored.encodeMs,
      restored: same(await logitsOf(restored)),
      cutout: (await mask?.cutout())?.type,
      reloaded: false,
      cut: await failure(() => sam.restoreImage(saved.slice(0, saved.size - 8))),
      other: await failure(() => sam.restoreImage(new Blob(["no image"]))),
      model: undefined as unknown,
    };
    const bare = await sam.restoreImage(saved);
    await sam.reload();
    result.reloaded = same(await logitsOf(bare));
    const nano = await load({ model: "nano" });
    result.model = await failure(() => nano.restoreImage(saved));
    nano.dispose();
    sam.dispose();
    return result;
  });
  const refused = { code: "UNSUPPORTED_INPUT" };
  expect(found).toMatchObject({ encodeMs: 0, restored: true, cutout: "image/png", reloaded: true });
  expect(found).toMatchObject({ cut: refused, other: refused, model: refused });
});
