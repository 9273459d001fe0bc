import { Sam2Error } from "../errors.js";
import { byteCount } from "../mask/bits.js";
import { forEachRun } from "../mask/runs.js";
import { Mask } from "../mask.js";
import { checkSize } from "../size.js";
import { checkMasks, type Label, type LabeledPicture, type ReadPicture } from "./labels.js";
import { readSamples } from "./png-samples.js";

/** A label in each pixel is one of so many; 0 is none. */
const MOST_LABELS = 255;

/** Where PASCAL VOC has a border that is of no object. */
const VOC_BORDER = 255;

/**
 * Reads a PNG whose pixels are the labels' indices: of a palette (DAVIS, PASCAL VOC, YouTube-VOS) or grey levels of up to 16
 * bits. Each index but 0 is a label, and its id.
 *
 * @param options.categories - Names by index. Default: the index as text.
 * @param options.ignore - Indices that are no label. Default: 255, which is PASCAL VOC's border; where there is one,
 * `warnings` say so.
 *
 * Rejects with {@link Sam2Error} `INVALID_LABELS` for what is no such PNG.
 */
export async function readIndexedPng(
  file: Blob | ArrayBuffer | Uint8Array,
  {
    categories = [],
    ignore = [VOC_BORDER],
  }: { categories?: readonly string[] | Readonly<Record<number, string>>; ignore?: readonly number[] } = {},
): Promise<ReadPicture> {
  const bytes =
    file instanceof Uint8Array
      ? file
      : new Uint8Array(file instanceof Blob ? await file.arrayBuffer() : file);
  const { width, height, values } = await readSamples(bytes, "indexed PNG");
  const bitsOf = new Map<number, Uint8Array<ArrayBuffer>>();
  let [last, bits] = [0, new Uint8Array(0)];
  for (let i = 0; i < values.length; i++) {
    const index = values[i] ?? 0;
    if (index === 0) continue;
    if (index !== last) {
      last = index;
      bits = bitsOf.get(index) ?? new Uint8Array(byteCount(width, height));
      bitsOf.set(index, bits);
    }
    bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7));
  }
  const warnings: string[] = [];
  const labels: Label[] = [];
  for (const [index, found] of [...bitsOf].sort(([a], [b]) => a - b)) {
    if (ignore.includes(index)) {
      warnings.push(`Index ${index} is passed over, as a border. Pass { ignore: [] } to have it as a label.`);
      continue;
    }
    const category = (categories as Readonly<Record<number, string>>)[index] ?? String(index);
    labels.push({ mask: new Mask(width, height, found), category, id: index });
  }
  return { width, height, labels, warnings };
}

/**
 * A PNG with a palette, whose pixels are the labels' indices, in the colours of DAVIS and PASCAL VOC. A label's index is its
 * id where that is a whole number from 1 to 255, the first time; else the next free one. Where masks lie over one another,
 * the later label is on top.
 *
 * Rejects with {@link Sam2Error} `UNSUPPORTED_INPUT` for more than 255 labels.
 */
export async function writeIndexedPng(picture: LabeledPicture): Promise<Blob> {
  checkMasks(picture);
  const { width, height, labels } = picture;
  checkSize(width, height);
  if (labels.length > MOST_LABELS) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      `An indexed PNG has up to ${MOST_LABELS} labels, not ${labels.length}: take writeCoco.`,
    );
  }
  const data = new Uint8Array(width * height);
  for (const [label, index] of indices(labels)) {
    forEachRun(label.mask.bits, width, height, (y, from, end) =>
      data.fill(index, y * width + from, y * width + end),
    );
  }
  const { encode } = await import("fast-png");
  const palette = Array.from({ length: 256 }, (_, index) => vocColor(index));
  const file = encode({ width, height, data, channels: 1, depth: 8, palette });
  return new Blob([file as Uint8Array<ArrayBuffer>], { type: "image/png" });
}

function indices(labels: readonly Label[]): Map<Label, number> {
  const isIndex = (id: unknown): id is number =>
    Number.isInteger(id) && Number(id) >= 1 && Number(id) <= MOST_LABELS;
  const owner = new Map<number, Label>();
  for (const label of labels) if (isIndex(label.id) && !owner.has(label.id)) owner.set(label.id, label);
  let next = 1;
  return new Map(
    labels.map((label) => {
      if (isIndex(label.id) && owner.get(label.id) === label) return [label, label.id];
      while (owner.has(next)) next++;
      owner.set(next, label);
      return [label, next];
    }),
  );
}

/** PASCAL VOC's colours, which have the index's bits spread over red, green and blue, the lowest in the highest. */
function vocColor(index: number): [red: number, green: number, blue: number] {
  const color: [number, number, number] = [0, 0, 0];
  for (let bit = 0; bit < 8; bit++) {
    const channel = bit % 3;
    color[channel] = (color[channel] ?? 0) | (((index >> bit) & 1) << (7 - Math.floor(bit / 3)));
  }
  return color;
}
