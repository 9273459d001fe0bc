// Nano's figures in the browser beside the native tool's on the same clips. Opt-in, as the clips are not in the
// repository:
//
//     sam2 eval --weights weights/nano.safetensors --data DIR --video --out FILE.json
//     npm run build -w tests/browser     # the page with the weights as they are now
//     SAM2_DATA=DIR SAM2_REPORT=FILE.json npm test -w tests/browser -- eval
//
// DIR as `sam2 eval` takes it: `video/<source>/<clip>/NNNNN.jpg` and `.png`.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
// Other readers would give a palette's colours, not its indices.
import { decode } from "fast-png";
import { expect, openTestPage, test } from "../support.js";

const { SAM2_DATA: data, SAM2_REPORT: report } = process.env;

/** Objects smaller than this part of the first frame are not followed; these pixels count for nothing. */
const SMALLEST = 0.005;
const IGNORED = 255;

test("nano follows from a mask as well as natively", async ({ page }) => {
  test.skip(!data || !report, "SAM2_DATA and SAM2_REPORT are not set");
  test.setTimeout(7_200_000);
  const root = join(data ?? "", "video");
  await page.route("**/clip-test/**", (route) => {
    const path = decodeURIComponent(new URL(route.request().url()).pathname.split("/clip-test/")[1] ?? "");
    const file = readFileSync(join(root, path));
    return route.fulfill({ body: path.endsWith(".png") ? Buffer.from(decode(file).data) : file });
  });
  await openTestPage(page);
  const found = new Map<string, number[]>();
  for (const source of readdirSync(root).sort()) {
    for (const clip of readdirSync(join(root, source)).sort()) {
      const folder = join(source, clip);
      const frames = readdirSync(join(root, folder))
        .filter((name) => name.endsWith(".jpg"))
        .sort();
      const first = decode(readFileSync(join(root, folder, (frames[0] ?? "").replace(/jpg$/, "png")))).data;
      const areas = new Array<number>(256).fill(0);
      for (const label of first) areas[label] = (areas[label] ?? 0) + 1;
      const objects = areas.flatMap((area, label) =>
        label > 0 && label < IGNORED && area >= SMALLEST * first.length ? [label] : [],
      );
      if (objects.length === 0) continue;
      const js = await page.evaluate(follow, { folder, frames, objects, ignored: IGNORED });
      console.log(folder, js);
      found.set(source, [...(found.get(source) ?? []), ...js]);
    }
  }
  const native: { j_mask: number; sources: { source: string; n: number; j_mask: number }[] } = JSON.parse(
    readFileSync(report ?? "", "utf8"),
  );
  const rows = [
    ...native.sources.map(({ source, n, j_mask }) => ({
      source,
      n,
      native: j_mask,
      js: found.get(source) ?? [],
    })),
    {
      source: "all",
      n: native.sources.reduce((sum, { n }) => sum + n, 0),
      native: native.j_mask,
      js: [...found.values()].flat(),
    },
  ];
  const table = rows.map(({ js, ...row }) => ({ ...row, followed: js.length, browser: mean(js) }));
  console.table(table);
  for (const { source, n, followed, native, browser } of table) {
    expect.soft(followed, `objects of ${source}`).toBe(n);
    expect.soft(Math.abs(browser - native), source).toBeLessThanOrEqual(0.01);
  }
});

const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

interface Clip {
  folder: string;
  frames: string[];
  objects: number[];
  ignored: number;
}

/** On the page: each object's mean IoU over the later frames, followed from its mask on the first one. */
async function follow({ folder, frames, objects, ignored }: Clip): Promise<number[]> {
  const { clips, tools } = window;
  const file = async (name: string) => (await fetch(`/clip-test/${folder}/${name}`)).blob();
  const labelsOf = async (frame: number) => {
    const blob = await file((frames[frame] ?? "").replace(/jpg$/, "png"));
    return new Uint8Array(await blob.arrayBuffer());
  };
  const sam = await tools.Sam2.load({ model: "nano", device: "cpu" });
  try {
    const pictures = clips.frames(frames.length, async (i) => createImageBitmap(await file(frames[i] ?? "")));
    // As the native tool, which does as the official predictor on a CPU.
    const video = await sam.openVideo(pictures, { fillHoles: 0 });
    const first = await labelsOf(0);
    for (const object of objects) {
      const mask = first.map((label) => (label === object ? 1 : 0));
      await video.prompt({ frame: 0, object, mask });
    }
    const sums = objects.map(() => 0);
    for await (const { frame, masks } of video.propagate()) {
      if (frame === 0) continue;
      const labels = await labelsOf(frame);
      for (const [i, { object, mask }] of masks.entries()) {
        let [both, either] = [0, 0];
        for (const [pixel, label] of labels.entries()) {
          if (label === ignored) continue;
          const found = ((mask.bits[pixel >> 3] ?? 0) >> (pixel & 7)) & 1;
          const wanted = label === object ? 1 : 0;
          both += found & wanted;
          either += found | wanted;
        }
        sums[i] = (sums[i] ?? 0) + (either === 0 ? 1 : both / either);
      }
    }
    return sums.map((sum) => sum / (frames.length - 1));
  } finally {
    sam.dispose();
  }
}
