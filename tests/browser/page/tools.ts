// What the specs share: the package, the fixture, and how far masks are from those expected.
import {
  type GenerateOptions,
  type LoadOptions,
  Mask,
  type MaskRecord,
  type PictureSource,
  type PredictedMask,
  type Prompt,
  readPicture,
  Sam2,
  Sam2Error,
} from "sam2-web";
import * as formats from "sam2-web/formats";
import "sam2-web-nano";
import * as shapes from "./shapes.js";

export interface Fixture {
  picture: { file: string; width: number; height: number };
  models: Record<string, { weights: string; cases: Case[]; everything: Everything[] }>;
}

/** Options of `generate`, and the records as they are expected, `counts` as COCO's text. */
export interface Everything {
  name: string;
  options: GenerateOptions;
  expected: (Omit<MaskRecord, "mask"> & { counts: string })[];
}

export interface Case {
  name: string;
  prompts: (Omit<Prompt, "mask"> & { mask?: number[] })[];
  expected: { objectScore: number; masks: ExpectedMask[] }[];
}

interface ExpectedMask {
  score: number;
  area: number;
  /** Base64 of little-endian f32. */
  logits: string;
  logitsSide: number;
  /** Base64, a bit a pixel, the first pixel in the lowest bit. */
  bits: string;
}

/** How far a case's masks are from the expected ones: the worst of them. */
export interface Difference {
  name: string;
  logits: number;
  score: number;
  objectScore: number;
  iou: number;
}

export const fixtureUrl = (file: string) => new URL(`../fixture/${file}`, document.baseURI);

export const decode = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

export function iou(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new Error(`masks of ${a.length} and ${b.length} bytes`);
  const ones = (byte: number) => byte.toString(2).replaceAll("0", "").length;
  let both = 0;
  let either = 0;
  for (let i = 0; i < a.length; i++) {
    both += ones((a[i] ?? 0) & (b[i] ?? 0));
    either += ones((a[i] ?? 0) | (b[i] ?? 0));
  }
  return either === 0 ? 1 : both / either;
}

export const largest = (values: Iterable<number>) =>
  [...values].reduce((a, b) => (b > a || Number.isNaN(b) ? b : a), 0);

export const tools = {
  Sam2,
  Sam2Error,
  Mask,
  formats,
  shapes,
  readPicture,
  iou,

  /** A file of tests/pictures. */
  async picture(name: string): Promise<Blob> {
    const response = await fetch(new URL(`../pictures/${name}`, document.baseURI));
    if (!response.ok) throw new Error(`${name}: ${response.status}`);
    return response.blob();
  },

  /** A file of tests/parity's browser fixture. */
  async fixture(file: string): Promise<Blob> {
    const response = await fetch(fixtureUrl(file));
    if (!response.ok) throw new Error(`${file}: ${response.status}`);
    return response.blob();
  },

  /** A picture file's pixels, as a canvas shows them. */
  async pixelsOf(file: Blob): Promise<ImageData> {
    const bitmap = await createImageBitmap(file);
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    if (!context) throw new Error("no canvas");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height);
  },

  load(options: LoadOptions = {}): Promise<Sam2> {
    return Sam2.load({ model: fixtureUrl("micro.safetensors"), device: "cpu", ...options });
  },

  /** The fixture's picture, as a canvas. */
  async canvas(): Promise<HTMLCanvasElement> {
    const bitmap = await createImageBitmap(await tools.fixture("picture.png"));
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    return canvas;
  },

  /** Every case of a model, on a device, against what the native build answered. */
  async compare(
    model: string,
    device: "cpu" | "webgpu",
    { worker = true, asFile = false } = {},
  ): Promise<{ device: string; version: string; differences: Difference[] }> {
    const fixture: Fixture = JSON.parse(await (await tools.fixture("cases.json")).text());
    const { weights, cases } = fixture.models[model] ?? { weights: "", cases: [] };
    const source = asFile ? await tools.fixture(weights) : fixtureUrl(weights);
    const sam = await tools.load({ model: source, device, worker });
    const image = await sam.setImage(await tools.fixture(fixture.picture.file));
    const differences: Difference[] = [];
    for (const { name, prompts, expected } of cases) {
      const predictions = await image.predictBatch(
        prompts.map(({ mask, ...rest }) => ({ ...rest, ...(mask && { mask: Float32Array.from(mask) }) })),
      );
      const pairs = predictions.flatMap(({ masks }, i) => {
        const wanted = expected[i]?.masks ?? [];
        if (masks.length !== wanted.length)
          throw new Error(`${name}: ${masks.length} masks, not ${wanted.length}`);
        return masks.map((mask, j) => [mask, wanted[j] as ExpectedMask] as const);
      });
      differences.push({
        name,
        logits: largest(pairs.map(([mask, wanted]) => logitsDifference(mask, wanted))),
        score: largest(pairs.map(([mask, wanted]) => Math.abs(mask.score - wanted.score))),
        objectScore: largest(
          predictions.map(({ objectScore }, i) =>
            Math.abs(objectScore - (expected[i]?.objectScore ?? Number.NaN)),
          ),
        ),
        iou: Math.min(...pairs.map(([mask, wanted]) => iou(mask.bits, decode(wanted.bits)))),
      });
    }
    const { adapter, encodes } = sam as Sam2 & { encodes: number };
    const { version } = sam.model;
    if (encodes !== 1) throw new Error(`${encodes} encodes instead of 1`);
    sam.dispose();
    return { device: adapter, version, differences };
  },

  /**
   * Everything in the fixture's picture by some of a model's options, against what the native build found: pixels that
   * differ, and the largest difference of the scores.
   */
  async compareEverything(
    model: string,
    device: "cpu" | "webgpu",
    variants: readonly string[],
  ): Promise<
    { name: string; records: number; expected: number; pixels: number; scores: number; same: boolean }[]
  > {
    const fixture: Fixture = JSON.parse(await (await tools.fixture("cases.json")).text());
    const { weights, everything } = fixture.models[model] ?? { weights: "", everything: [] };
    const sam = await tools.load({ model: fixtureUrl(weights), device });
    const image = await sam.setImage(await tools.fixture(fixture.picture.file));
    const found = [];
    for (const { name, options, expected } of everything.filter(({ name }) => variants.includes(name))) {
      const records = await image.generate(options).all();
      const pairs = expected.map((wanted, i) => [wanted, records[i]] as const);
      const { width, height } = fixture.picture;
      const differing = pairs.map(([{ counts }, record]) => {
        const wanted = Mask.fromRle({ size: [height, width], counts });
        return record ? wanted.or(record.mask).minus(wanted.and(record.mask)).area : Number.NaN;
      });
      const scores = pairs.flatMap(([wanted, record]) => [
        Math.abs(wanted.predictedIou - (record?.predictedIou ?? Number.NaN)),
        Math.abs(wanted.stabilityScore - (record?.stabilityScore ?? Number.NaN)),
      ]);
      const placed = (record: Omit<MaskRecord, "mask"> | undefined) =>
        JSON.stringify([record?.bbox, record?.pointCoords, record?.cropBox]);
      found.push({
        name,
        records: records.length,
        expected: expected.length,
        pixels: largest(differing),
        scores: largest(scores),
        same: pairs.every(([wanted, record]) => placed(wanted) === placed(record)),
      });
    }
    sam.dispose();
    return found;
  },

  /** What a call that must fail failed with. */
  async failure(
    call: () => unknown,
  ): Promise<{ code: string; name: string; message: string; typed: boolean }> {
    try {
      await call();
    } catch (error) {
      const { code, name, message } = error as Sam2Error;
      return { code, name, message, typed: error instanceof Sam2Error };
    }
    return { code: "NONE", name: "", message: "the call went well", typed: false };
  },

  /** One click in the middle, for calls that must go well. */
  async click(sam: Sam2, picture: PictureSource): Promise<PredictedMask> {
    const image = await sam.setImage(picture);
    const { masks } = await image.predict({
      points: [{ x: image.width / 2, y: image.height / 2, label: 1 }],
    });
    image.dispose();
    const best = masks.reduce((a, b) => (b.score > a.score ? b : a));
    return best;
  },
};

function logitsDifference(mask: PredictedMask, wanted: ExpectedMask): number {
  const values = new Float32Array(decode(wanted.logits).buffer);
  if (mask.logits.length !== values.length) return Number.NaN;
  return largest(values.map((value, i) => Math.abs(value - (mask.logits[i] ?? Number.NaN))));
}
