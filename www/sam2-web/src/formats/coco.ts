import { Sam2Error } from "../errors.js";
import type { Ring, Rle } from "../mask/types.js";
import { Mask } from "../mask.js";
import { cocoPolygon } from "./coco-polygon.js";
import {
  checkMasks,
  invalid,
  isId,
  isObject,
  type Label,
  type LabeledPicture,
  parsed,
  type Size,
  sizeOf,
} from "./labels.js";

export interface Category {
  id: number | string;
  name: string;
  supercategory?: string;
}

/** The pictures of a COCO file. */
export interface CocoLabels {
  pictures: LabeledPicture[];
  /** All of the file's, also those without objects. */
  categories: Category[];
}

export interface CocoFile {
  images: { id: number | string; width: number; height: number; file_name: string }[];
  categories: Category[];
  annotations: {
    id: number | string;
    image_id: number | string;
    category_id: number | string;
    segmentation: Rle | number[][];
    area: number;
    /** Left, top, width, height. */
    bbox: [number, number, number, number];
    iscrowd: 0 | 1;
    score?: number;
  }[];
}

/**
 * Reads COCO JSON, as text or parsed: a data set, a list of results, or a picture's file of SA-1B. Run lengths and polygons
 * become the very masks of pycocotools (polygons by its rounding, every second overlap left out).
 *
 * What is no mask (boxes and key points alone, polygons of fewer than three points) is passed over, and told in `warnings`.
 *
 * @param options.sizeOf - The size of a picture by its `file_name` or id, where polygons are of one whose size is not given.
 * @throws {@link Sam2Error} `INVALID_LABELS` for what is no such file; `UNSUPPORTED_INPUT` where a size is missing.
 */
export function readCoco(
  json: string | object,
  { sizeOf: askSize }: { sizeOf?: (picture: string) => Size | undefined } = {},
): CocoLabels & { warnings: string[] } {
  const file = parsed(json, "COCO");
  const results = Array.isArray(file);
  const annotations = results ? file : isObject(file) ? file.annotations : undefined;
  if (!Array.isArray(annotations)) throw invalid("COCO", "it has no list of annotations");
  const warnings: string[] = [];
  const categories = readCategories(isObject(file) ? file.categories : undefined);
  const names = new Map(categories.map(({ id, name }) => [String(id), name]));
  const listed = isObject(file)
    ? Array.isArray(file.images)
      ? file.images
      : isObject(file.image)
        ? [file.image]
        : []
    : [];
  const pictures = new Map<
    string,
    { entry: Record<string, unknown>; size?: Size | undefined; labels: Label[] }
  >();
  for (const entry of listed) {
    const id = isObject(entry) ? (entry.id ?? entry.image_id) : undefined;
    if (!isObject(entry) || !isId(id)) {
      warnings.push("A picture without an id is passed over.");
      continue;
    }
    const size = sizeOf(entry.width, entry.height);
    pictures.set(String(id), { entry: { ...entry, id }, labels: [], ...(size && { size }) });
  }

  const only = pictures.size === 1 ? [...pictures.keys()][0] : undefined;
  for (const [index, annotation] of annotations.entries()) {
    const id = isObject(annotation) ? annotation.id : undefined;
    const name = isId(id) ? `Annotation ${id}` : `Annotation number ${index + 1}`;
    const passOver = (why: string) => warnings.push(`${name} is passed over: ${why}.`);
    if (!isObject(annotation)) {
      passOver("it is no object");
      continue;
    }
    // A file of one picture need not name it.
    const of = annotation.image_id ?? only;
    let picture = isId(of) ? pictures.get(String(of)) : undefined;
    if (!picture && isId(of) && listed.length === 0) {
      picture = { entry: { id: of }, labels: [] };
      pictures.set(String(of), picture);
    }
    if (!picture) {
      passOver(`there is no picture ${of}`);
      continue;
    }
    const { segmentation } = annotation;
    if (isObject(segmentation)) picture.size ??= sizeOfRle(segmentation);
    const fileName = String(picture.entry.file_name ?? picture.entry.id);
    picture.size ??= askSize?.(fileName);
    const mask = readSegmentation(segmentation, picture.size, fileName, (why) =>
      warnings.push(`${name}: ${why}.`),
    );
    if (!mask) {
      passOver("it has no mask");
      continue;
    }
    if (picture.size && (mask.width !== picture.size.width || mask.height !== picture.size.height)) {
      passOver(
        `its mask is ${mask.width} x ${mask.height} pixels, and its picture ${picture.size.width} x ${picture.size.height}`,
      );
      continue;
    }
    const category = annotation.category_id;
    const { score } = annotation;
    picture.labels.push({
      mask,
      category: names.get(String(category)) ?? (isId(category) ? String(category) : "object"),
      ...(isId(id) && { id }),
      ...(Boolean(annotation.iscrowd) && { crowd: true }),
      ...(typeof score === "number" && { score }),
    });
  }

  const read = [...pictures.values()].flatMap(({ entry, size, labels }): LabeledPicture[] => {
    const fileName = entry.file_name;
    const known = size ?? askSize?.(String(fileName ?? entry.id));
    if (!known) {
      warnings.push(`Picture ${entry.id} is passed over: it has no size, and no labels.`);
      return [];
    }
    return [
      {
        ...known,
        labels,
        id: entry.id as number | string,
        ...(typeof fileName === "string" && { fileName }),
      },
    ];
  });
  return { pictures: read, categories, warnings };
}

/**
 * A COCO data set. Ids of pictures and labels are kept where they are given and no two alike; others are numbered.
 *
 * @param labels.categories - Numbers of the categories; default: from 1, as they come.
 * @param options.segmentation - `"rle"` (default) is exact. `"polygons"` are outlines, but run lengths where a mask has
 * holes, which COCO's polygons cannot have, or is empty or a crowd.
 * @param options.tolerance - Of the polygons, as of {@link Mask.toPolygons}. Default 0: exact.
 */
export function writeCoco(
  { pictures, categories = [] }: { pictures: readonly LabeledPicture[]; categories?: readonly Category[] },
  { segmentation = "rle", tolerance = 0 }: { segmentation?: "rle" | "polygons"; tolerance?: number } = {},
): CocoFile {
  if (segmentation !== "rle" && segmentation !== "polygons")
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      `segmentation must be "rle" or "polygons", not "${segmentation}".`,
    );
  const all: Category[] = [...categories];
  const pictureIds = new Ids(pictures.map(({ id }) => id));
  const labelIds = new Ids(pictures.flatMap(({ labels }) => labels.map(({ id }) => id)));
  const categoryIds = new Ids(all.map(({ id }) => id));
  const byName = new Map(all.map(({ id, name }) => [name, id]));
  const file: CocoFile = { images: [], categories: all, annotations: [] };
  for (const picture of pictures) {
    checkMasks(picture);
    const { width, height, fileName = "", id, labels } = picture;
    const image_id = pictureIds.take(id);
    file.images.push({ id: image_id, width, height, file_name: fileName });
    for (const { mask, category, id: labelId, crowd = false, score } of labels) {
      let category_id = byName.get(category);
      if (category_id === undefined) {
        category_id = categoryIds.take(undefined);
        all.push({ id: category_id, name: category });
        byName.set(category, category_id);
      }
      const [x0, y0, x1, y1] = mask.box ?? [0, 0, -1, -1];
      const outlines = segmentation === "polygons" && !crowd ? mask.toPolygons({ tolerance }) : [];
      const plain = outlines.length > 0 && outlines.every((rings) => rings.length === 1);
      file.annotations.push({
        id: labelIds.take(labelId),
        image_id,
        category_id,
        segmentation: plain ? outlines.flat().map((ring) => ring.flat()) : mask.toRle(),
        area: mask.area,
        bbox: [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
        iscrowd: crowd ? 1 : 0,
        ...(score !== undefined && { score }),
      });
    }
  }
  return file;
}

/** Ids that are given stay, the first time; others are the next free number from 1. */
class Ids {
  readonly #given: Set<number | string>;
  readonly #taken = new Set<number | string>();
  #next = 1;

  constructor(given: readonly (number | string | undefined)[]) {
    this.#given = new Set(given.filter((id) => id !== undefined));
  }

  take(id: number | string | undefined): number | string {
    if (id !== undefined && !this.#taken.has(id)) {
      this.#taken.add(id);
      return id;
    }
    while (this.#given.has(this.#next) || this.#taken.has(this.#next)) this.#next++;
    this.#taken.add(this.#next);
    return this.#next;
  }
}

function readCategories(list: unknown): Category[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((category) => {
    if (!isObject(category) || !isId(category.id)) return [];
    const { id, name, supercategory } = category;
    return [
      {
        id,
        name: typeof name === "string" ? name : String(id),
        ...(typeof supercategory === "string" && { supercategory }),
      },
    ];
  });
}

function sizeOfRle({ size }: Record<string, unknown>): Size | undefined {
  return Array.isArray(size) ? sizeOf(size[1], size[0]) : undefined;
}

/** Undefined where it is no mask. */
function readSegmentation(
  segmentation: unknown,
  size: Size | undefined,
  picture: string,
  warn: (why: string) => void,
): Mask | undefined {
  if (isObject(segmentation)) return Mask.fromRle(segmentation as unknown as Rle);
  if (!Array.isArray(segmentation)) return undefined;
  // One polygon need not be in a list of its own.
  const lists: unknown[] = segmentation.every((value) => typeof value === "number")
    ? [segmentation]
    : segmentation;
  const rings = lists.flatMap((list) => {
    const ring = ringOf(list);
    if (ring) return [ring];
    if (!Array.isArray(list) || list.length > 0)
      warn("a polygon that is not three points or more is passed over");
    return [];
  });
  if (rings.length === 0) return undefined;
  if (!size) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      `The size of the picture ${picture} is not in the file, and its polygons need it. ` +
        "Pass it: readCoco(file, { sizeOf: (picture) => ({ width, height }) }).",
    );
  }
  return rings.map((ring) => cocoPolygon(ring, size)).reduce((a, b) => a.or(b));
}

/** Of `[x, y, x, y, …]`, three points or more. */
function ringOf(list: unknown): Ring | undefined {
  if (!Array.isArray(list) || list.length < 6 || list.length % 2 || !list.every(Number.isFinite))
    return undefined;
  return Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]);
}
