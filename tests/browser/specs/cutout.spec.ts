// Cut-outs with a hard and a soft edge, of the demo's samples, of odd pictures and of a video's frames.
import { fileURLToPath } from "node:url";
import { DISC } from "../pictures.js";
import { expect, openTestPage, test } from "../support.js";

test.beforeEach(({ page }) => openTestPage(page));

test("a soft edge is soft in its band only, and has the picture's own pixels inside", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, failure, pixelsOf, readPicture } = window.tools;
    const sam = await load({ model: "nano" });
    const file = await (await fetch("/samples/sweater.jpg")).blob();
    const { data: picture, width, height } = await readPicture(file);
    const image = await sam.setImage(file);
    const { masks } = await image.predict({ points: [{ x: 197, y: 242, label: 1 }] });
    const best = masks.reduce((a, b) => (b.score > a.score ? b : a));
    const radius = 9;
    const soft = await pixelsOf(await best.cutout({ softEdge: { radius }, crop: false }));
    const hard = await pixelsOf(await best.cutout({ crop: false }));
    const trimmed = await pixelsOf(await best.cutout({ softEdge: { radius } }));
    const [inside, outside] = [best.shrink(radius), best.grow(radius)];
    const wrong = { inside: 0, outside: 0, hard: 0 };
    let partly = 0;
    /** How much of the pale cloth is left at the edge of the brown sweater. */
    const pale = { hard: 0, soft: 0 };
    const box = [width, height, -1, -1] as [number, number, number, number];
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += 4) {
        const own = [...picture.subarray(at, at + 4)].join();
        const [r = 0, g = 0, b = 0, a = 0] = soft.data.subarray(at, at + 4);
        const sharp = hard.data.subarray(at, at + 4);
        if (inside.has(x, y) && [r, g, b, a].join() !== own) wrong.inside++;
        if (!outside.has(x, y) && a > 0) wrong.outside++;
        if ([...sharp].join() !== (best.has(x, y) ? own : "0,0,0,0")) wrong.hard++;
        if (a > 0 && a < 255) partly++;
        // The cuff lies beside a gap in the sweater that the mask has filled: only the rim is looked at.
        const rim = outside.has(x, y) && !inside.has(x, y);
        if (rim && Math.min(r, g, b) > 120) pale.soft += a / 255;
        if (rim && Math.min(...sharp.subarray(0, 3)) > 120) pale.hard++;
        if (a === 0) continue;
        box[0] = Math.min(box[0], x);
        box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x);
        box[3] = y;
      }
    }
    const same = (await pixelsOf(await image.cutout(best, { softEdge: { radius }, crop: false }))).data;
    const pixelsAlone = await pixelsOf(
      await image.cutout(best.and(best), { softEdge: { radius }, crop: false }),
    );
    const result = {
      wrong,
      partly,
      pale,
      trimmed: [trimmed.width - (box[2] - box[0] + 1), trimmed.height - (box[3] - box[1] + 1)],
      same: same.every((value, i) => value === soft.data[i]),
      /** Of the opacities, with and without the logits. */
      alone:
        pixelsAlone.data.reduce(
          (sum, value, i) => sum + (i % 4 === 3 ? Math.abs(value - (soft.data[i] ?? 0)) : 0),
          0,
        ) /
        255 /
        partly,
      webp: (await best.cutout({ softEdge: true, type: "image/webp", quality: 0.9 })).type,
      refused: [
        await failure(() => best.cutout({ type: "image/jpeg" })),
        await failure(() => best.cutout({ softEdge: { radius: 0 } })),
        await failure(() => best.cutout({ softEdge: { strength: 1.1 } })),
        await failure(() => best.cutout({ quality: 90 })),
        await failure(() => image.cutout(best.minus(best), { softEdge: true })),
        await failure(() => image.cutout(best.resize(9, 9), { softEdge: true })),
      ].map(({ code, typed }) => (typed ? code : "not typed")),
    };
    sam.dispose();
    return result;
  });
  console.log(found);
  expect(found).toMatchObject({
    wrong: { inside: 0, outside: 0, hard: 0 },
    trimmed: [0, 0],
    same: true,
    webp: "image/webp",
    refused: Array(6).fill("UNSUPPORTED_INPUT"),
  });
  expect(found.partly).toBeGreaterThan(500);
  expect(found.pale.soft).toBeLessThan(found.pale.hard / 2);
  expect(found.alone).toBeLessThan(0.2);
});

test("pictures that are turned, deep or partly hidden have a soft edge as well", async ({ page }) => {
  const names = [
    "plain.png",
    "exif6.jpg",
    "exif6.tif",
    "twelve_bits.png",
    "twelve_bits.tif",
    "hidden_disc.png",
  ];
  const found = await page.evaluate(
    async ([names, { x, y, radius }]) => {
      const { load, picture, pixelsOf, readPicture } = window.tools;
      const sam = await load({ model: "nano" });
      const found: Record<string, unknown> = {};
      for (const name of names) {
        const file = await picture(name);
        const own = await readPicture(file);
        const image = await sam.setImage(file);
        const { masks } = await image.predict({ points: [{ x, y, label: 1 }], multimask: false });
        const cut = await pixelsOf((await masks[0]?.cutout({ softEdge: true, crop: false })) as Blob);
        let [both, either] = [0, 0];
        for (let at = 0; at < own.width * own.height; at++) {
          const disc = Math.hypot((at % own.width) - x, Math.floor(at / own.width) - y) < radius;
          const seen = (cut.data[4 * at + 3] ?? 0) > 127;
          both += Number(disc && seen);
          either += Number(disc || seen);
        }
        const middle = 4 * (y * own.width + x);
        found[name] = {
          size: [cut.width - own.width, cut.height - own.height],
          middle: cut.data.subarray(middle, middle + 4).every((value, i) => value === own.data[middle + i]),
          round: both / either > 0.85,
          corner: cut.data[3],
        };
        image.dispose();
      }
      sam.dispose();
      return found;
    },
    [names, DISC] as const,
  );
  for (const name of names)
    expect.soft(found[name], name).toEqual({ size: [0, 0], middle: true, round: true, corner: 0 });
});

test("a video's frames are cut out in the worker, also when only the mask is left of one", async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const { load, failure, pixelsOf } = window.tools;
    const sam = await load({ model: "nano" });
    const file = await window.clips.make({ container: "webm", codec: "vp8", frames: 24 });
    const video = await sam.openVideo(file);
    const { width, height } = video;
    // The disc of the first frame, below on the left.
    await video.prompt({ frame: 0, object: 1, box: [0, 0.58 * height, width / 6, 0.92 * height] });
    for await (const { frame } of video.propagate()) if (frame === 23) break;
    const cuts = [];
    for (const frame of [0, 2]) {
      const { masks } = await video.masksAt(frame);
      const mask = masks[0]?.mask;
      const hard = await pixelsOf((await mask?.cutout({ crop: false })) as Blob);
      const soft = await pixelsOf((await mask?.cutout({ crop: false, softEdge: true })) as Blob);
      let [set, differ, partly] = [0, 0, 0];
      for (let at = 3; at < hard.data.length; at += 4) {
        const [h = 0, s = 0] = [hard.data[at], soft.data[at]];
        set += Number(h === 255);
        differ += Number(h > 127 !== s > 127);
        partly += Number(s > 0 && s < 255);
      }
      const { code } = await failure(() => mask?.at({ threshold: 1 }));
      cuts.push({
        logits: code === "NONE",
        size: [hard.width, hard.height, soft.width, soft.height].join(),
        area: set === mask?.area && set > 20,
        alike: differ < set / 3,
        partly: partly > 20,
      });
    }
    video.dispose();
    sam.dispose();
    return { cuts, size: [width, height, width, height].join() };
  });
  // Frame 2 was passed by long ago.
  const right = { logits: true, size: found.size, area: true, alike: true, partly: true };
  expect(found.cuts).toEqual([right, { ...right, logits: false }]);
});

test("what a soft edge looks like", async ({ page }) => {
  const samples = [
    { name: "sweater.jpg", box: [20, 70, 375, 395], shown: [255, 90, 385, 290] },
    { name: "flower.jpg", box: [58, 25, 120, 95], shown: [50, 20, 128, 98] },
  ];
  const found = await page.evaluate(async (samples) => {
    const { load } = window.tools;
    const sam = await load({ model: "nano" });
    const canvas = document.createElement("canvas");
    canvas.id = "comparison";
    const [rows, gap] = [400, 8];
    canvas.height = rows * 2 + gap;
    const parts = [];
    for (const [row, { name, box, shown }] of samples.entries()) {
      const file = await (await fetch(`/samples/${name}`)).blob();
      const image = await sam.setImage(file);
      const asked = box as [number, number, number, number];
      const { masks } = await image.predict({ box: asked, multimask: false });
      const cuts = [
        await createImageBitmap(file),
        await createImageBitmap((await masks[0]?.cutout({ crop: false })) as Blob),
        await createImageBitmap((await masks[0]?.cutout({ crop: false, softEdge: true })) as Blob),
      ];
      const [x0 = 0, y0 = 0, x1 = 0, y1 = 0] = shown;
      for (const [column, cut] of cuts.entries())
        parts.push({ cut, row, column, x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
      image.dispose();
    }
    canvas.width = 3 * rows + 2 * gap;
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    context.fillStyle = "white";
    context.fillRect(0, 0, canvas.width, canvas.height);
    for (const { cut, row, column, x, y, width, height } of parts) {
      const [left, top, side] = [column * (rows + gap), row * (rows + gap), Math.min(width, height)];
      context.fillStyle = "#3c6ebe";
      context.fillRect(left, top, rows, rows);
      context.drawImage(cut, x, y, side, side, left, top, rows, rows);
    }
    document.body.replaceChildren(canvas);
    const drawn = context.getImageData(0, 0, canvas.width, canvas.height).data;
    sam.dispose();
    return { width: canvas.width, colours: new Set(new Uint32Array(drawn.buffer)).size };
  }, samples);
  expect(found.colours).toBeGreaterThan(1000);
  // docs/cutout.jpg is this picture.
  const path = fileURLToPath(new URL("../test-results/cutout.jpg", import.meta.url));
  await page.locator("#comparison").screenshot({ path, type: "jpeg", quality: 88 });
});
