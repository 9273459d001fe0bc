// How a page uses the package when all goes well, and when it changes its mind.
import { expect, openTestPage, test } from "../support.js";

test.beforeEach(({ page }) => openTestPage(page));

for (const worker of [true, false]) {
  test(`every kind of picture, ${worker ? "in the worker" : "on the page's thread"}`, async ({ page }) => {
    const found = await page.evaluate(async (worker) => {
      const { load, canvas, fixture, click, iou } = window.tools;
      const sam = await load({ worker });
      const drawn = await canvas();
      const pixels = () => drawn.getContext("2d")?.getImageData(0, 0, drawn.width, drawn.height) as ImageData;
      const file = await fixture("picture.png");
      const element = Object.assign(new Image(), { src: URL.createObjectURL(file) });
      const offscreen = new OffscreenCanvas(drawn.width, drawn.height);
      offscreen.getContext("2d")?.drawImage(drawn, 0, 0);
      const video = Object.assign(document.createElement("video"), {
        srcObject: drawn.captureStream(10),
        muted: true,
      });
      // The stream's first frame comes with the next drawing.
      const redraw = setInterval(() => drawn.getContext("2d")?.drawImage(offscreen, 0, 0), 50);
      await video.play();
      const frame = new VideoFrame(drawn, { timestamp: 0 });
      const pictures = {
        ImageData: pixels(),
        ImageBitmap: await createImageBitmap(drawn),
        Blob: file,
        canvas: drawn,
        OffscreenCanvas: offscreen,
        img: element,
        video,
        VideoFrame: frame,
      };
      const wanted = await click(sam, pixels());
      const ious: Record<string, number> = {};
      for (const [kind, picture] of Object.entries(pictures)) {
        ious[kind] = iou((await click(sam, picture)).bits, wanted.bits);
      }
      clearInterval(redraw);
      frame.close();
      // A copy by default: the page's own picture is still there.
      const stillThere = pictures.ImageData.data.length > 0 && pictures.ImageBitmap.width > 0;
      const given = pixels();
      await click(sam, given);
      const moved = await sam.setImage(given, { transfer: true });
      const { encodes } = sam as typeof sam & { encodes: number };
      sam.dispose();
      return { ious, stillThere, movedAway: given.data.length === 0, width: moved.width, encodes };
    }, worker);
    console.log(found.ious);
    for (const [kind, iou] of Object.entries(found.ious)) {
      // A video's colours are rounded on their way through YUV.
      expect.soft(iou, kind).toBeGreaterThanOrEqual(kind === "video" ? 0.9 : 0.99);
    }
    expect(found).toMatchObject({ stillThere: true, movedAway: worker, encodes: 11 });
  });
}

test("prompts never encode again; masks come in every form", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, canvas, failure, Mask } = window.tools;
    const phases = new Set<string>();
    const sam = await load({ onProgress: ({ phase }) => phases.add(phase) });
    const image = await sam.setImage(await canvas());
    const { width, height } = image;
    const points = [{ x: width / 2, y: height / 2, label: 1 as const }];
    const three = await image.predict({ points });
    const best = three.masks.reduce((a, b) => (b.score > a.score ? b : a));
    const one = await image.predict({ points, mask: best.logits, multimask: false });
    const batch = await image.predictBatch([{ points }, { box: [5, 5, width - 5, height - 5] }]);
    let area = 0;
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) area += Number(best.has(x, y));
    const rle = best.toRle();
    const cutout = await createImageBitmap(await best.cutout());
    const bytes = async (file: Blob) => String(new Uint8Array(await file.arrayBuffer()));
    // A mask by itself, as one that was found or read from a file.
    const alone = Mask.fromRle(best.toRle());
    const sameCutOut = (await bytes(await image.cutout(alone))) === (await bytes(await best.cutout()));
    const otherSize = await failure(() => image.cutout(alone.resize(width - 1, height)));
    const empty = await failure(() => image.cutout(new Mask(width, height)));
    const png = await createImageBitmap(await best.toBlob());
    const webp = await best.toBlob({ type: "image/webp", quality: 0.5 });
    const bitmap = await best.toBitmap();
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context?.drawImage(png, 0, 0);
    const read = context && Mask.fromImageData(context.getImageData(0, 0, width, height));
    const unknown = await failure(() => best.toBlob({ type: "image/unknown" }));
    const [x0, y0, x1, y1] = best.box ?? [0, 0, 0, 0];
    const result = {
      model: sam.model,
      phases: [...phases],
      counts: [three.masks.length, one.masks.length, batch.length],
      same: batch[0]?.masks[0]?.area === three.masks[0]?.area,
      area: area === best.area,
      rle: rle.size[0] === height && rle.size[1] === width && rle.counts.length > 0,
      cutout: [cutout.width - (x1 - x0 + 1), cutout.height - (y1 - y0 + 1)],
      sameCutOut,
      refused: [otherSize.code, empty.code],
      png: [png.width - width, png.height - height],
      webp: webp.type,
      bitmap: [bitmap.width - width, bitmap.height - height],
      read: read?.iou(best),
      unknown,
      encodes: (sam as typeof sam & { encodes: number }).encodes,
    };
    sam.dispose();
    return result;
  });
  expect(found).toMatchObject({
    model: { version: "2.1", imageSize: 256 },
    phases: ["download", "verify", "compile", "upload", "ready"],
    counts: [3, 1, 2],
    same: true,
    area: true,
    rle: true,
    cutout: [0, 0],
    sameCutOut: true,
    refused: ["UNSUPPORTED_INPUT", "UNSUPPORTED_INPUT"],
    png: [0, 0],
    webp: "image/webp",
    bitmap: [0, 0],
    read: 1,
    unknown: { code: "UNSUPPORTED_INPUT", typed: true },
    encodes: 1,
  });
});

test("small holes and islands go where that is asked, and the logits stay", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, canvas } = window.tools;
    const sam = await load();
    const image = await sam.setImage(await canvas());
    const prompt = { points: [{ x: image.width / 2, y: image.height / 2, label: 1 as const }] };
    // Regions of the mask on, and off, the object, joined at edges or corners, by their area.
    const regions = (logits: Float32Array, side: number, on: boolean) => {
      const seen = new Set<number>();
      const areas: number[] = [];
      const inside = (at: number) => (logits[at] ?? 0) > 0 === on;
      for (let start = 0; start < logits.length; start++) {
        if (seen.has(start) || !inside(start)) continue;
        const open = [start];
        seen.add(start);
        let area = 0;
        for (let at = open.pop(); at !== undefined; at = open.pop()) {
          area++;
          const [x, y] = [at % side, Math.floor(at / side)];
          for (let ny = Math.max(0, y - 1); ny <= Math.min(side - 1, y + 1); ny++)
            for (let nx = Math.max(0, x - 1); nx <= Math.min(side - 1, x + 1); nx++) {
              const next = ny * side + nx;
              if (seen.has(next) || !inside(next)) continue;
              seen.add(next);
              open.push(next);
            }
        }
        areas.push(area);
      }
      return areas;
    };
    const [plain] = (await image.predict(prompt)).masks;
    const [none] = (await image.predict(prompt, { maxHoleArea: 0, maxSprinkleArea: 0 })).masks;
    const [holes] = (await image.predict(prompt, { maxHoleArea: 6 })).masks;
    const [islands] = (await image.predict(prompt, { maxSprinkleArea: 6 })).masks;
    const [all] = (await image.predict(prompt, { maxSprinkleArea: 64 * 64 })).masks;
    if (!plain || !none || !holes || !islands || !all) throw new Error("a mask is missing");
    const small = (on: boolean) =>
      regions(plain.logits, plain.logitsWidth, on).filter((area) => area <= 6).length;
    const same = [none, holes, islands, all].every(({ logits }) =>
      logits.every((value, i) => value === plain.logits[i]),
    );
    sam.dispose();
    return {
      small: [small(false), small(true)],
      same,
      areas: [none.area - plain.area, holes.area - plain.area, islands.area - plain.area, all.area],
    };
  });
  console.log(found);
  expect(found.same).toBe(true);
  expect(found.areas[0]).toBe(0);
  // Where there are any, their going shows.
  expect(Math.sign(found.areas[1] ?? 0)).toBe(found.small[0] ? 1 : 0);
  expect(Math.sign(found.areas[2] ?? 0)).toBe(found.small[1] ? -1 : 0);
  expect(found.areas[3]).toBe(0);
});

test("aborting and disposing", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, canvas, failure, click } = window.tools;
    const codes: Record<string, string> = {};
    const expectFailure = async (name: string, call: () => unknown) => {
      const { code, typed } = await failure(call);
      codes[name] = typed ? code : `untyped ${code}`;
    };
    const aborted = AbortSignal.abort();
    const soon = () => AbortSignal.timeout(1);

    await expectFailure("load, already aborted", () => load({ signal: aborted }));
    await expectFailure("load, aborted on the way", () => load({ signal: soon() }));
    const sam = await load();
    const picture = await canvas();
    await expectFailure("setImage, already aborted", () => sam.setImage(picture, { signal: aborted }));
    await expectFailure("setImage, aborted on the way", () => sam.setImage(picture, { signal: soon() }));
    const image = await sam.setImage(picture);
    const prompt = { points: [{ x: 10, y: 10, label: 1 as const }] };
    await expectFailure("predict, already aborted", () => image.predict(prompt, { signal: aborted }));
    const later = image.predict(prompt);
    await expectFailure("predict, aborted while it waits", () => image.predict(prompt, { signal: soon() }));
    const waited = (await later).masks.length;

    const underWay = image.predict(prompt);
    image.dispose();
    await expectFailure("predict, under way when its image went", () => underWay);
    await expectFailure("predict, after its image went", () => image.predict(prompt));
    const area = (await click(sam, picture)).area;
    const encoding = sam.setImage(picture);
    sam.dispose();
    sam.dispose();
    await expectFailure("setImage, under way when the model went", () => encoding);
    await expectFailure("setImage, after the model went", () => sam.setImage(picture));
    const again = await load();
    const areaAgain = (await click(again, picture)).area;
    again.dispose();
    return { codes, waited, same: area === areaAgain };
  });
  expect(found.codes).toEqual({
    "load, already aborted": "ABORTED",
    "load, aborted on the way": "ABORTED",
    "setImage, already aborted": "ABORTED",
    "setImage, aborted on the way": "ABORTED",
    "predict, already aborted": "ABORTED",
    "predict, aborted while it waits": "ABORTED",
    "predict, under way when its image went": "DISPOSED",
    "predict, after its image went": "DISPOSED",
    "setImage, under way when the model went": "DISPOSED",
    "setImage, after the model went": "DISPOSED",
  });
  expect(found).toMatchObject({ waited: 3, same: true });
});

test("auto takes the CPU where WebGPU is only emulated", async ({ page }) => {
  const device = await page.evaluate(async () => {
    const sam = await window.tools.load({ device: "auto" });
    const { device } = sam;
    sam.dispose();
    return device;
  });
  const software = await page.evaluate(async () => {
    const { gpu } = navigator as unknown as {
      gpu?: { requestAdapter(): Promise<{ info: { architecture: string } } | null> };
    };
    const adapter = await gpu?.requestAdapter();
    return !adapter || adapter.info.architecture === "swiftshader";
  });
  expect(device).toBe(software ? "cpu" : "webgpu");
});
