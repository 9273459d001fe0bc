// Whatever is wrong with what a page gives: an error with the right code, and the next good call works.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { editHeader, maliciousPt, png } from "../files.js";
import { expect, openTestPage, test } from "../support.js";

const weights = () => readFile(fileURLToPath(new URL("../dist/fixture/micro.safetensors", import.meta.url)));

/** Files go to the page as text, as evaluate takes JSON only. */
const asText = (file: Buffer) => file.toString("base64");

async function loadFailure(page: Page, file: Buffer, worker = true) {
  const failure = await page.evaluate(
    async ([text, worker]) => {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return window.tools.failure(() => window.tools.load({ model: new Blob([bytes]), worker }));
    },
    [asText(file), worker] as const,
  );
  expect(failure.typed).toBe(true);
  return failure;
}

test.beforeEach(({ page }) => openTestPage(page));

test.afterEach(async ({ page }) => {
  // The page still works.
  const area = await page.evaluate(async () => {
    const sam = await window.tools.load();
    const { area } = await window.tools.click(sam, await window.tools.canvas());
    sam.dispose();
    return area;
  });
  expect(area).toBeGreaterThan(0);
});

test("weights: a .pt that would run code", async ({ page }) => {
  const { code, message } = await loadFailure(page, maliciousPt());
  expect(code).toBe("WEIGHTS_UNSAFE");
  expect(message).toContain("os.system");
});

test("weights: half a file", async ({ page }) => {
  const file = await weights();
  const { code } = await loadFailure(page, file.subarray(0, file.length / 2));
  expect(code).toBe("WEIGHTS_CORRUPT");
});

test("weights: half a file, on the page's thread", async ({ page }) => {
  const file = await weights();
  const { code } = await loadFailure(page, file.subarray(0, file.length / 2), false);
  expect(code).toBe("WEIGHTS_CORRUPT");
});

test("weights: nothing, and something else", async ({ page }) => {
  expect((await loadFailure(page, Buffer.alloc(0))).code).toMatch(/^WEIGHTS_(UNSUPPORTED|CORRUPT)$/);
  expect((await loadFailure(page, png(2, 2))).code).toBe("WEIGHTS_UNSUPPORTED");
});

test("weights: a configuration of another variant", async ({ page }) => {
  const file = await weights();
  const withConfig = (change: (config: string) => string) =>
    editHeader(file, ({ __metadata__: metadata }) => {
      const changed = change(metadata.config ?? "");
      expect(changed).not.toBe(metadata.config);
      metadata.config = changed;
    });
  // A trunk with two more blocks than there are tensors for.
  const deeper = withConfig((config) =>
    config.replace(/("stages":\s*\[[^\]]*)(\d+)/, (_, start, n) => start + (+n + 2)),
  );
  const mismatch = await loadFailure(page, deeper);
  expect(mismatch.code, mismatch.message).toBe("WEIGHTS_MISMATCH");
  expect(mismatch.message).toContain("image_encoder.trunk.");
  // One that no network could be built from.
  const impossible = withConfig((config) => config.replace(/("embed_dim":\s*)(\d+)/, "$10"));
  expect((await loadFailure(page, impossible)).code).toBe("WEIGHTS_UNSUPPORTED");
});

test("weights: a tensor is missing", async ({ page }) => {
  const name = "sam_mask_decoder.iou_token.weight";
  const wrong = editHeader(await weights(), (header) => {
    header[`${name}.renamed`] = header[name] as { shape: number[] };
    delete header[name];
  });
  const { code, message } = await loadFailure(page, wrong);
  expect(code).toBe("WEIGHTS_MISMATCH");
  expect(message).toContain(name);
});

test("weights: not there", async ({ page }) => {
  const failure = await page.evaluate(() =>
    window.tools.failure(() => window.tools.load({ model: "/fixture/none.safetensors" })),
  );
  expect(failure).toMatchObject({ code: "NETWORK", typed: true });
});

for (const worker of [true, false]) {
  test(`pictures, ${worker ? "in the worker" : "on the page's thread"}`, async ({ page }) => {
    const files = [png(0, 0), png(12_000, 9_000), (await weights()).subarray(0, 5000)].map(asText);
    const found = await page.evaluate(
      async ([files, worker]) => {
        const { load, failure, canvas, click } = window.tools;
        const sam = await load({ worker });
        const good = await canvas();
        const blobs = files.map((text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]));
        const sized = (width: number, height: number) =>
          Object.assign(document.createElement("canvas"), { width, height });
        const [empty, huge, other] = blobs as [Blob, Blob, Blob];
        const codes: Record<string, string> = {};
        const areas: number[] = [];
        const attempt = async (name: string, picture: unknown) => {
          codes[name] = (await failure(() => sam.setImage(picture as Blob))).code;
          areas.push((await click(sam, good)).area);
        };
        await attempt("not a picture", other);
        await attempt("text", new Blob(["hello"], { type: "image/png" }));
        await attempt("no pixels", empty);
        await attempt("12,000 x 9,000", huge);
        await attempt("a canvas without pixels", sized(0, 0));
        await attempt("a canvas of 12,000 x 9,000", sized(12_000, 9_000));
        await attempt("an image not loaded", new Image());
        await attempt("a string", "picture.png");
        await attempt("nothing", undefined);
        sam.dispose();
        return { codes, areas };
      },
      [files, worker] as const,
    );
    expect(found.codes).toEqual({
      "not a picture": "INVALID_IMAGE",
      text: "INVALID_IMAGE",
      "no pixels": "INVALID_IMAGE",
      "12,000 x 9,000": "IMAGE_TOO_LARGE",
      "a canvas without pixels": "INVALID_IMAGE",
      "a canvas of 12,000 x 9,000": "IMAGE_TOO_LARGE",
      "an image not loaded": "INVALID_IMAGE",
      "a string": "UNSUPPORTED_INPUT",
      nothing: "UNSUPPORTED_INPUT",
    });
    expect(new Set(found.areas).size, "the good call answers the same each time").toBe(1);
  });
}

test("prompts", async ({ page }) => {
  const found = await page.evaluate(async () => {
    const { load, failure, canvas } = window.tools;
    const sam = await load();
    const image = await sam.setImage(await canvas());
    const { width, height } = image;
    const good = { points: [{ x: width / 2, y: height / 2, label: 1 as const }] };
    const { masks } = await image.predict(good);
    const side = Math.sqrt(masks[0]?.logits.length ?? 0);
    const prompts: Record<string, unknown> = {
      "right of the picture": { points: [{ x: width + 1, y: 1, label: 1 }] },
      "above the picture": { points: [{ x: 1, y: -1, label: 1 }] },
      "a box that leaves it": { box: [0, 0, width + 5, height] },
      "a box the wrong way round": { box: [50, 50, 10, 10] },
      "not a number": { points: [{ x: Number.NaN, y: 1, label: 1 }] },
      infinite: { box: [0, 0, Number.POSITIVE_INFINITY, 5] },
      "an unknown label": { points: [{ x: 1, y: 1, label: 7 }] },
      "half a label": { points: [{ x: 1, y: 1, label: 0.5 }] },
      "a label of text": { points: [{ x: 1, y: 1, label: "1" }] },
      "a mask of another size": { mask: new Float32Array(7) },
      "a mask with a hole": { mask: new Float32Array(side * side).fill(Number.NaN) },
      "not an object": 5,
    };
    const codes: Record<string, string> = {};
    const areas: (number | undefined)[] = [];
    for (const [name, prompt] of Object.entries(prompts)) {
      codes[name] = (await failure(() => image.predict(prompt as typeof good))).code;
      areas.push((await image.predict(good)).masks[0]?.area);
    }
    const { encodes } = sam as typeof sam & { encodes: number };
    sam.dispose();
    return { codes, areas, first: masks[0]?.area, encodes };
  });
  for (const [name, code] of Object.entries(found.codes)) expect.soft(code, name).toBe("INVALID_PROMPT");
  expect(new Set(found.areas)).toEqual(new Set([found.first]));
  expect(found.encodes, "no prompt encodes the picture again").toBe(1);
});
