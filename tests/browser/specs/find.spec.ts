// Objects found by words and by an example, with the tiny detector of weights/shapes-detector and masks by nano.
import type { Page } from "@playwright/test";
import { expect, openTestPage, test, webgpuAdapter } from "../support.js";

/** Draws shapes and looks for the red circles: by words, and like the first of them. */
function findRedCircles(page: Page, device: "cpu" | "webgpu", worker: boolean) {
  return page.evaluate(
    async ([device, worker]) => {
      const { load, Mask, shapes } = window.tools;
      const { circle, square, paint } = shapes;
      const [width, height] = [640, 480];
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      const ground = context.createLinearGradient(0, 0, width, height);
      ground.addColorStop(0, "#9aa39c");
      ground.addColorStop(1, "#6d7480");
      context.fillStyle = ground;
      context.fillRect(0, 0, width, height);
      const wanted = [
        { x: 130, y: 120, radius: 80 },
        { x: 500, y: 330, radius: 95 },
        { x: 330, y: 90, radius: 65 },
      ];
      for (const { x, y, radius } of wanted) paint(context, circle(x, y, radius), "#d72828");
      paint(context, circle(140, 350, 80), "#2d4bd7");
      paint(context, square(540, 110, 65), "#d72828");
      paint(context, square(310, 320, 62), "#28a53c");
      const discs = wanted.map(({ x, y, radius }) =>
        Mask.fromPolygons([[circle(x, y, radius)]], { width, height }),
      );

      const phases: string[] = [];
      const sam = await load({ model: "nano", device, worker });
      const detector = await sam.loadDetector({
        model: "/detector/model.safetensors",
        device,
        onProgress: ({ phase }) => phases.push(phase),
      });
      const image = await sam.setImage(context.getImageData(0, 0, width, height));
      const start = performance.now();
      const streamed = [];
      const finding = image.find(["red circle", "blue circle", "red square", "green square"], {
        threshold: 0.4,
      });
      for await (const { label } of finding) streamed.push(label);
      const first = performance.now() - start;
      const found = await finding.all();
      const red = found.filter(({ label }) => label === "red circle");
      const again = performance.now();
      const other = await image.find("yellow star", { threshold: 0.4 }).all();
      const second = performance.now() - again;
      const example = red[0]?.mask;
      const alike = example ? await image.findLike(example, { threshold: 0.6, label: "like" }).all() : [];
      // For each disc the best mask.
      const ious = (masks: typeof found) =>
        discs.map((disc) => Math.max(0, ...masks.map(({ mask }) => mask.iou(disc))));
      const result = {
        device: [sam.device, detector.device],
        side: detector.model.imageSize,
        labels: found.map(({ label }) => label),
        streamed,
        red: ious(red),
        alike: [alike.length, ious(alike), [...new Set(alike.map(({ label }) => label))]] as const,
        other: other.length,
        scores: alike.map(({ score }) => score),
        milliseconds: [first, second],
        phases: [...new Set(phases)],
      };
      sam.dispose();
      return result;
    },
    [device, worker] as const,
  );
}

function check(found: Awaited<ReturnType<typeof findRedCircles>>, device: "cpu" | "webgpu"): void {
  console.log(JSON.stringify(found));
  expect(found.device).toEqual([device, device]);
  expect(found.phases).toEqual(["download", "verify", "compile", "upload", "ready"]);
  expect(found.streamed).toEqual(found.labels);
  const wanted = ["blue circle", "green square", "red circle", "red circle", "red circle", "red square"];
  expect([...found.labels].sort()).toEqual(wanted);
  expect(Math.min(...found.red), "IoU of the red circles' masks").toBeGreaterThanOrEqual(0.9);
  const [count, alike, labels] = found.alike;
  expect(count).toBe(3);
  expect(labels).toEqual(["like"]);
  expect(Math.min(...alike), "IoU of the masks like the first").toBeGreaterThanOrEqual(0.9);
  expect(found.other).toBe(0);
}

test.beforeEach(({ page }) => openTestPage(page));

for (const worker of [true, false]) {
  test(`red circles by words and by example on the CPU, ${worker ? "in workers" : "on the page"}`, async ({
    page,
  }) => check(await findRedCircles(page, "cpu", worker), "cpu"));
}

test("red circles by words and by example on WebGPU", async ({ page }) => {
  test.setTimeout(600_000); // a software adapter takes minutes
  test.skip(!(await webgpuAdapter(page)), "this Chromium has no WebGPU adapter");
  check(await findRedCircles(page, "webgpu", true), "webgpu");
});

test("what is wrong is said, and the next search works", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, failure, canvas, fixture, Mask } = window.tools;
    const sam = await load();
    const image = await sam.setImage(await canvas());
    const code = async (call: () => unknown) => {
      const { code, typed } = await failure(call);
      return typed ? code : `untyped: ${code}`;
    };
    const model = "/detector/model.safetensors";
    const merges = await (await fetch("/detector/merges.txt")).arrayBuffer();
    const codes: Record<string, string> = {};
    codes["no detector"] = await code(() => image.find("cat").all());
    codes["SAM 2 as a detector"] = await code(async () =>
      sam.loadDetector({ model: await fixture("micro.safetensors"), vocabulary: merges, device: "cpu" }),
    );
    codes["a detector as SAM 2"] = await code(() => load({ model }));
    codes["not there"] = await code(() =>
      sam.loadDetector({ model: "/detector/none.safetensors", device: "cpu" }),
    );
    codes["another vocabulary"] = await code(() =>
      sam.loadDetector({ model, vocabulary: new Blob(["#v\na b\n"]), device: "cpu" }),
    );
    codes["a vocabulary that is none"] = await code(() =>
      sam.loadDetector({ model, vocabulary: new Blob(["{}"]), device: "cpu" }),
    );
    codes["too large a side"] = await code(() => sam.loadDetector({ model, device: "cpu", imageSize: 4096 }));
    await sam.loadDetector({ model, device: "cpu" });
    codes["no words"] = await code(() => image.find([]).all());
    codes["empty words"] = await code(() => image.find(["red circle", " "]).all());
    codes["10,000 letters"] = await code(() => image.find("a".repeat(10_000)).all());
    codes["a threshold of 2"] = await code(() => image.find("star", { threshold: 2 }).all());
    codes["a box outside"] = await code(() => image.findLike([-9, -9, -1, -1]).all());
    codes["an empty mask"] = await code(() => image.findLike(new Mask(image.width, image.height)).all());
    const many = Array.from({ length: 500 }, (_, i) => `thing ${i}`);
    const counts = [(await image.find(many, { threshold: 0.99 }).all()).length];
    image.dispose();
    codes["an image that is gone"] = await code(() => image.find("star").all());
    sam.dispose();
    return { codes, counts };
  });
  expect(found.codes).toEqual({
    "no detector": "UNSUPPORTED_INPUT",
    "SAM 2 as a detector": "WEIGHTS_UNSUPPORTED",
    "a detector as SAM 2": "WEIGHTS_UNSUPPORTED",
    "not there": "NETWORK",
    "another vocabulary": "WEIGHTS_MISMATCH",
    "a vocabulary that is none": "WEIGHTS_UNSUPPORTED",
    "too large a side": "UNSUPPORTED_INPUT",
    "no words": "INVALID_PROMPT",
    "empty words": "INVALID_PROMPT",
    "10,000 letters": "INVALID_PROMPT",
    "a threshold of 2": "UNSUPPORTED_INPUT",
    "a box outside": "INVALID_PROMPT",
    "an empty mask": "INVALID_MASK",
    "an image that is gone": "DISPOSED",
  });
  expect(found.counts).toEqual([0]);
});

test("what is found in a video is followed, and a newcomer joins it", async ({ page }) => {
  test.setTimeout(240_000);
  const found = await page.evaluate(async () => {
    const { load, Mask, shapes } = window.tools;
    const { circle, square, paint } = shapes;
    const [width, height, count] = [640, 480, 7];
    /** A circle goes to the right, and a square is there from the third frame on. */
    const shapesOf = (frame: number) => [
      { label: "red circle", fill: "#d72828", outline: circle(150 + 12 * frame, 140, 85) },
      ...(frame < 2 ? [] : [{ label: "green square", fill: "#28a53c", outline: square(470, 330, 75) }]),
    ];
    async function* frames() {
      const canvas = new OffscreenCanvas(width, height);
      const context = canvas.getContext("2d");
      if (!context) throw new Error("no canvas");
      for (let frame = 0; frame < count; frame++) {
        context.fillStyle = "#858c8f";
        context.fillRect(0, 0, width, height);
        for (const { fill, outline } of shapesOf(frame)) paint(context, outline, fill);
        yield canvas.transferToImageBitmap();
      }
    }
    const sam = await load({ model: "nano", device: "cpu" });
    await sam.loadDetector({ model: "/detector/model.safetensors", device: "cpu" });
    const video = await sam.openVideo(frames());
    const started = await video.find(0, ["red circle", "green square"], { threshold: 0.4 });
    video.findAgain({ every: 3 });
    const steps = [];
    for await (const { frame, masks } of video.propagate()) {
      const ious = masks.map(({ label, mask }) => {
        const shape = shapesOf(frame).find((shape) => shape.label === label);
        return shape ? mask.iou(Mask.fromPolygons([[shape.outline]], { width, height })) : 0;
      });
      steps.push({ labels: masks.map(({ label }) => label), ious });
    }
    sam.dispose();
    return { started: started.map(({ object, label }) => [object, label]), steps };
  });
  console.log(JSON.stringify(found));
  expect(found.started).toEqual([[0, "red circle"]]);
  expect(found.steps).toHaveLength(7);
  for (const [frame, { labels, ious }] of found.steps.entries()) {
    // The run's first search is on its third frame, where the square has just come.
    const wanted = ["red circle", ...(frame < 2 ? [] : ["green square"])];
    expect(labels, `frame ${frame}`).toEqual(wanted);
    expect(Math.min(...ious), `frame ${frame}`).toBeGreaterThanOrEqual(0.85);
  }
});
