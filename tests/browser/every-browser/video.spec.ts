// Objects followed through files, through frames of the page's own, a <video>, and a camera.

import { expect, expectLikeChromium, openTestPage, test } from "./fixtures.js";
import { support } from "./support.js";

test.beforeEach(({ tab }) => openTestPage(tab));

for (const { kind, file, x } of [
  { kind: "WebM (VP9)", file: "/samples/flower.webm", x: 0.5 },
  { kind: "MP4 (H.264)", file: "/clips/zero_duration.mp4", x: 0.25 },
]) {
  test(`a file: ${kind}`, async ({ tab, name }) => {
    const masks = await tab.evaluate(
      async ({ file, x }) => {
        const sam = await window.tools.Sam2.load({ device: "cpu" });
        const video = await sam.openVideo(await (await fetch(file)).blob());
        const points = [{ x: x * video.width, y: video.height / 2, label: 1 as const }];
        await video.prompt({ frame: 0, object: 1, points });
        const masks = [];
        for await (const { masks: found } of video.propagate({ frames: 3 }))
          for (const { mask } of found) masks.push(mask.toRle());
        sam.dispose();
        return masks;
      },
      { file, x },
    );
    expect(masks.length).toBe(3);
    // Browsers differ in how they turn YUV into colours: Firefox takes the sample's full range for a limited one, also in a
    // <video>.
    await expectLikeChromium(name, `file ${kind}`, masks, 0.95);
  });
}

test("frames of the page's own", async ({ tab, name }) => {
  const masks = await tab.evaluate(async () => {
    const { clips, tools } = window;
    const sam = await tools.Sam2.load({ device: "cpu" });
    const picture = await createImageBitmap(await (await fetch("/samples/tortoise.jpg")).blob());
    const canvas = new OffscreenCanvas(picture.width, picture.height);
    // The camera pans to the right.
    const frames = clips.frames(3, (frame) => {
      canvas.getContext("2d")?.drawImage(picture, -10 * frame, 0);
      return createImageBitmap(canvas);
    });
    const video = await sam.openVideo(frames);
    await video.prompt({ frame: 0, object: 1, points: [{ x: 285, y: 265, label: 1 }] });
    const masks = [];
    for await (const { masks: found } of video.propagate())
      for (const { mask } of found) masks.push(mask.toRle());
    sam.dispose();
    return masks;
  });
  expect(masks.length).toBe(3);
  await expectLikeChromium(name, "own frames", masks);
});

test("a <video> that plays", async ({ tab }) => {
  const { size, timestamps } = await tab.evaluate(async () => {
    const sam = await window.tools.Sam2.load({ device: "cpu" });
    const element = Object.assign(document.createElement("video"), {
      src: "/samples/flower.webm",
      muted: true,
      loop: true,
    });
    const video = await sam.openVideo(element);
    const points = [{ x: video.width / 2, y: video.height / 2, label: 1 as const }];
    const first = await video.prompt({ frame: 0, object: 1, points });
    await element.play();
    const timestamps: number[] = [];
    for await (const { frame, timestamp } of video.propagate({ frames: 3 })) timestamps[frame] = timestamp;
    const size = [video.width, video.height, first.masks[0]?.mask.area];
    sam.dispose();
    return { size, timestamps };
  });
  expect(size).toEqual([640, 360, expect.any(Number)]);
  expect(size[2]).toBeGreaterThan(0);
  expect(timestamps.length).toBe(3);
  expect(new Set(timestamps).size).toBe(3);
});

test("a camera, or where the tests have none a canvas's stream", async ({ tab, name }) => {
  const { camera } = support[name];
  const found = await tab.evaluate(async (camera) => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    const drawing = setInterval(() => context?.fillRect(Math.random() * 300, 50, 20, 20), 30);
    const stream = camera
      ? await navigator.mediaDevices.getUserMedia({ video: true })
      : canvas.captureStream(30);
    const sam = await window.tools.Sam2.load({ device: "cpu" });
    const video = await sam.openVideo(stream);
    const points = [{ x: video.width / 2, y: video.height / 2, label: 1 as const }];
    await video.prompt({ frame: 0, object: 1, points });
    const frames: number[] = [];
    for await (const { frame } of video.propagate({ frames: 3 })) frames.push(frame);
    for (const track of stream.getTracks()) track.stop();
    clearInterval(drawing);
    sam.dispose();
    return { frames, size: [video.width, video.height] };
  }, camera);
  expect(found.frames).toEqual([0, 1, 2]);
  if (!camera) expect(found.size).toEqual([300, 150]);
});
