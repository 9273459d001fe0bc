// Kinds of picture files that readers treat differently (tests/pictures). The command-line tool is tested with the same.
import type { Page } from "@playwright/test";
import { png } from "../files.js";
import { DISC, expected, expectPixels, iouWithDisc, places } from "../pictures.js";
import { expect, openTestPage, test } from "../support.js";

const inThePage = Object.keys(expected).filter((name) => expected[name]?.only !== "tool");

/** What the package makes of files: their pixels, and the mask of a click on the disc. */
function look(page: Page, names: string[]) {
  return page.evaluate(
    async ([names, places, { x, y }]) => {
      const { Sam2, readPicture, picture } = window.tools;
      const sam = await Sam2.load({ device: "cpu" });
      const found: Record<string, { size: number[]; seen: Record<string, number[]>; mask: string }> = {};
      for (const name of names) {
        const file = await picture(name);
        const { data, width, height } = await readPicture(file);
        const seen = Object.fromEntries(
          places.map((at) => {
            const [x = 0, y = 0] = at.split(",").map(Number);
            return [at, [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4)]];
          }),
        );
        const image = await sam.setImage(file);
        const { masks } = await image.predict({ points: [{ x, y, label: 1 }], multimask: false });
        let mask = "";
        for (let i = 0; i < width * height; i++)
          mask += masks[0]?.has(i % width, Math.floor(i / width)) ? 1 : 0;
        found[name] = { size: [image.width, image.height], seen, mask };
        image.dispose();
      }
      sam.dispose();
      return found;
    },
    [names, places, DISC] as const,
  );
}

test("pictures of every kind are seen as they are to be seen, and the disc is found", async ({ page }) => {
  test.setTimeout(900_000); // some 35 pictures are encoded
  await openTestPage(page);
  const found = await look(page, inThePage);
  const ious: Record<string, number> = {};
  for (const [name, { size, seen, mask }] of Object.entries(found)) {
    expectPixels(name, size, seen);
    ious[name] = iouWithDisc(mask);
    expect.soft(ious[name], name).toBeGreaterThan(0.85);
  }
  console.log(Math.min(...Object.values(ious)));
});

test("what an <img> shows is what the package sees, turned or not", async ({ page }) => {
  await openTestPage(page);
  const names = Object.keys(expected).filter((name) => /^(exif|plain|cmyk|hidden_disc|palette)/.test(name));
  const differences = await page.evaluate(
    async (names) => {
      const { readPicture, picture } = window.tools;
      const found: Record<string, number | string> = {};
      for (const name of names) {
        const file = await picture(name);
        const shown = Object.assign(new Image(), { src: URL.createObjectURL(file) });
        await shown.decode();
        const { naturalWidth: width, naturalHeight: height } = shown;
        const context = new OffscreenCanvas(width, height).getContext("2d");
        context?.drawImage(shown, 0, 0);
        const right = context?.getImageData(0, 0, width, height).data ?? [];
        const seen = await readPicture(file);
        if (seen.width !== width || seen.height !== height)
          found[name] = `${seen.width} x ${seen.height}, shown as ${width} x ${height}`;
        else found[name] = seen.data.filter((value, i) => value !== right[i]).length;
      }
      return found;
    },
    names.filter((name) => !name.endsWith(".tif")),
  );
  expect(differences).toEqual(Object.fromEntries(Object.keys(differences).map((name) => [name, 0])));
  expect(Object.keys(differences).length).toBeGreaterThan(15);
});

test("values of more than 8 bits are stretched from the range that is asked for, also when cut out and after a reload", async ({
  page,
}) => {
  await openTestPage(page);
  const found = await page.evaluate(async ({ x, y }) => {
    const { Sam2, readPicture, picture, failure } = window.tools;
    const sam = await Sam2.load({ device: "cpu" });
    const results: Record<string, unknown> = {};
    for (const name of ["twelve_bits.png", "twelve_bits.tif", "sixteen_bits.png"]) {
      const file = await picture(name);
      const red = async (range?: [number, number]) =>
        (await readPicture(file, range && { range })).data[4 * (y * 160 + x)];
      const full = name.startsWith("sixteen") ? 65_535 : 4095;
      const reds = [await red(), await red([0, full]), await red([0, 1]), await red([0, full * 2])];
      const image = await sam.setImage(file, { range: [0, full * 2] });
      const click = { points: [{ x, y, label: 1 as const }], multimask: false };
      const first = (await image.predict(click)).masks[0];
      const cut = await createImageBitmap((await first?.cutout()) as Blob);
      const context = new OffscreenCanvas(cut.width, cut.height).getContext("2d");
      context?.drawImage(cut, 0, 0);
      const [left = 0, top = 0] = first?.box ?? [];
      const cutRed = context?.getImageData(x - left, y - top, 1, 1).data[0];
      await sam.reload();
      const same = (await image.predict(click)).masks[0]?.area === first?.area;
      const white = await sam.setImage(file, { range: [0, 1] });
      const differs = (await white.predict(click)).masks[0]?.area !== first?.area;
      results[name] = { reds, cutRed, same, differs };
    }
    const wrong = await failure(async () => readPicture(await picture("plain.png"), { range: [9, 1] }));
    sam.dispose();
    return { results, wrong: wrong.code };
  }, DISC);
  const right = { reds: [157, 157, 255, 78], cutRed: 78, same: true, differs: true };
  for (const [name, result] of Object.entries(found.results)) expect.soft(result, name).toEqual(right);
  expect(found.wrong).toBe("UNSUPPORTED_INPUT");
});

test("pixels in wide colours or floats are seen as sRGB", async ({ page }) => {
  await openTestPage(page);
  const found = await page.evaluate(async () => {
    const { load } = window.tools;
    const sam = await load();
    const orange = [240, 140, 30, 255];
    const wide = new ImageData(64, 48, { colorSpace: "display-p3" });
    for (let i = 0; i < wide.data.length; i++) wide.data[i] = orange[i % 4] ?? 0;
    const floats = new ImageData(64, 48, { pixelFormat: "rgba-float16" } as ImageDataSettings);
    for (let i = 0; i < floats.data.length; i++) floats.data[i] = (orange[i % 4] ?? 0) / 255;
    const seen: number[][] = [];
    for (const picture of [wide, floats]) {
      const image = await sam.setImage(picture);
      const { masks } = await image.predict({ box: [0, 0, 64, 48] });
      const cut = await createImageBitmap((await masks[0]?.cutout({ crop: false })) as Blob);
      const [x = 0, y = 0] = masks[0]?.box ?? [];
      const row = Array.from({ length: 64 }, (_, at) => at).find((at) => masks[0]?.has(at, y)) ?? x;
      const context = new OffscreenCanvas(64, 48).getContext("2d");
      context?.drawImage(cut, 0, 0);
      seen.push([...(context?.getImageData(row, y, 1, 1).data ?? [])]);
    }
    sam.dispose();
    return seen;
  });
  const [wide = [], floats = []] = found;
  expect(floats).toEqual([240, 140, 30, 255]);
  // That orange is out of sRGB's reach: its red is the most that there is.
  expect(wide).toEqual([255, expect.any(Number), 0, 255]);
  expect(Math.abs((wide[1] ?? 0) - 137)).toBeLessThanOrEqual(3);
});

/** So much of a file is half of a picture. */
const PART = 0.6;

test("half a picture is refused, as cut, and the next whole one works", async ({ page }) => {
  test.setTimeout(300_000);
  await openTestPage(page);
  const names = [
    ...["plain.jpg", "progressive.jpg", "cmyk.jpg", "plain.png", "plain.webp", "plain.gif", "plain.avif"],
    ...["palette.png", "twelve_bits.png", "twelve_bits.tif", "float.tif", "exif6.tif", "hidden_disc.webp"],
  ];
  const found = await page.evaluate(
    async ([names, part]) => {
      const { load, picture, failure, click } = window.tools;
      const sam = await load();
      const failures: Record<string, string> = {};
      const areas = new Set<number>();
      for (const name of names) {
        const whole = await (await picture(name)).arrayBuffer();
        const end = Math.floor(whole.byteLength * part);
        const cut = whole.slice(0, end);
        const ways = { cut: new Blob([cut]) } as Record<string, Blob>;
        // As a download leaves it that was given its size beforehand. (WebP and AVIF have nothing that would show it.)
        if (!/(webp|avif)$/.test(name)) ways.zeros = new Blob([cut, new Uint8Array(whole.byteLength - end)]);
        for (const [way, file] of Object.entries(ways)) {
          const { code, message } = await failure(() => sam.setImage(file));
          failures[`${name}, ${way}`] = `${code}${/is cut/.test(message) ? ", as cut" : `: ${message}`}`;
        }
        areas.add((await click(sam, await picture("plain.png"))).area);
      }
      sam.dispose();
      return { failures, areas: areas.size };
    },
    [names, PART] as const,
  );
  expect(found.areas).toBe(1);
  const wrong = Object.entries(found.failures).filter(([, how]) => how !== "INVALID_IMAGE, as cut");
  expect(Object.fromEntries(wrong)).toEqual({});
});

test("very long pictures are seen, or refused with the limit", async ({ page }) => {
  await openTestPage(page);
  const sizes = [
    [1, 65_000],
    [65_000, 1],
    [1, 349_526],
    [349_526, 1],
    [450, 50_000],
    [70_000, 100],
    [8, 8_388_608],
  ] as const;
  for (const [width, height] of sizes) {
    const text = png(width, height).toString("base64");
    const found = await page.evaluate(async (text) => {
      const { load, failure } = window.tools;
      const sam = await load();
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      let size: number[] = [];
      const { code, message } = await failure(async () => {
        const image = await sam.setImage(new Blob([bytes]));
        const { masks } = await image.predict({ points: [{ x: 0, y: 0, label: 1 }] });
        size = [masks[0]?.width ?? 0, masks[0]?.height ?? 0];
      });
      sam.dispose();
      return { code, message, size };
    }, text);
    const name = `${width} x ${height}`;
    if (found.code === "NONE") expect.soft(found.size, name).toEqual([width, height]);
    else
      expect.soft(found, name).toMatchObject({
        code: "IMAGE_TOO_LARGE",
        message: expect.stringMatching(new RegExp(`${width} x ${height}.*16384`)),
      });
    console.log(name, found.code);
  }
});
