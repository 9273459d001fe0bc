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

export interface ReadCocoOptions {
  /** Which pictures are read, by `file_name`, or the id of one without. Default: all. */
  only?: (picture: string) => boolean;
  /** The size of a picture, known as for `only`, where the file does not give it and has polygons. */
  sizeOf?: (picture: string) => Size | undefined;
}

/**
 * Reads COCO JSON, as text or parsed: a data set, a list of results, or a picture's file of SA-1B. Run lengths and polygons
 * become the very masks of pycocotools (polygons by its rounding, every second overlap left out). Where no pictures are
 * named at all, as in the records of `SAM2AutomaticMaskGenerator`, all masks are of one picture without an id.
 *
 * What is no mask (boxes and key points alone, polygons of fewer than three points) is passed over, and told in `warnings`.
 *
 * All masks are in memory, a bit a pixel: of a large data set, ask for the pictures that you show, by `only`.
 *
 * @throws {@link Sam2Error} `INVALID_LABELS` for what is no such file; `UNSUPPORTED_INPUT` where a size is missing.
 */
export function readCoco(
  json: string | object,
  options: ReadCocoOptions = {},
): CocoLabels & { warnings: string[] } {
  const file = parsed(json, "COCO");
  // Results are a bare list.
  const { annotations, ...rest } = isObject(file) ? file : { annotations: file };
  if (!Array.isArray(annotations)) throw invalid("COCO", "it has no list of annotations");
  const warnings: string[] = [];
  const categories = readCategories(rest.categories);
  const pictures = new Pictures(rest, options, (warning) => warnings.push(warning));
  const names = new Names(categories);
  for (const [index, annotation] of annotations.entries()) {
    const id = isObject(annotation) && isId(annotation.id) ? annotation.id : undefined;
    const name = id === undefined ? `Annotation number ${index + 1}` : `Annotation ${id}`;
    const warn = (why: string) => warnings.push(`${name}: ${why}.`);
    const passOver = (why: string) => warnings.push(`${name} is passed over: ${why}.`);
    if (!isObject(annotation)) {
      passOver("it is no object");
      continue;
    }
    const picture = pictures.of(annotation);
    if (!picture) {
      passOver(`there is no picture ${annotation.image_id ?? "without a name"}`);
      continue;
    }
    if (!picture.wanted) continue;
    let mask: Mask | undefined;
    try {
      mask = readSegmentation(annotation.segmentation, picture, warn);
    } catch (error) {
      if (error instanceof Sam2Error)
        throw new Sam2Error(error.code, `${name}: ${error.message}`, { cause: error });
      throw error;
    }
    const { size } = picture;
    if (!mask) passOver("it has no mask");
    else if (size && (mask.width !== size.width || mask.height !== size.height))
      passOver(
        `its mask is ${mask.width} x ${mask.height} pixels, and its picture ${size.width} x ${size.height}`,
      );
    else {
      // Of a mask generator's records, the network's expectation.
      const { iscrowd, score = annotation.predicted_iou } = annotation;
      picture.labels.push({
        mask,
        ...names.of(annotation.category_id),
        ...(id !== undefined && { id }),
        ...(Boolean(iscrowd) && { crowd: true }),
        ...(typeof score === "number" && { score }),
      });
    }
  }
  return { pictures: pictures.read(), categories, warnings };
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
  const names = new Set(all.map(({ id, name }) => `${id} ${name}`));
  const file: CocoFile = { images: [], categories: all, annotations: [] };
  for (const picture of pictures) {
    checkMasks(picture);
    const { width, height, fileName = "", id, labels } = picture;
    const image_id = pictureIds.take(id);
    file.images.push({ id: image_id, width, height, file_name: fileName });
    for (const { mask, category, categoryId, id: labelId, crowd = false, score } of labels) {
      let category_id = names.has(`${categoryId} ${category}`) ? categoryId : byName.get(category);
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

/** The categories' names by their ids. */
class Names {
  readonly #byId: Map<string, Category>;
  readonly #twice = new Set<string>();

  constructor(categories: readonly Category[]) {
    this.#byId = new Map(categories.map((category) => [String(category.id), category]));
    const seen = new Set<string>();
    for (const { name } of categories) (seen.has(name) ? this.#twice : seen).add(name);
  }

  of(id: unknown): Pick<Label, "category" | "categoryId"> {
    const known = this.#byId.get(String(id));
    if (!known) return { category: isId(id) ? String(id) : "object" };
    return { category: known.name, ...(this.#twice.has(known.name) && { categoryId: known.id }) };
  }
}

interface Picture {
  id?: number | string;
  fileName?: string;
  size: Size | undefined;
  wanted: boolean;
  labels: Label[];
}

/** The pictures of a file, by their ids. */
class Pictures {
  /** Also the one without an id, of a file that names none. */
  readonly #byId = new Map<string | undefined, Picture>();
  /** Whether the file says which there are. Else they are those that annotations name. */
  readonly #listed: boolean;
  readonly #options: ReadCocoOptions;
  readonly #warn: (warning: string) => void;

  constructor(
    { images, image }: Record<string, unknown>,
    options: ReadCocoOptions,
    warn: (warning: string) => void,
  ) {
    this.#options = options;
    this.#warn = warn;
    const list: unknown[] = Array.isArray(images) ? images : image === undefined ? [] : [image];
    this.#listed = list.length > 0;
    for (const entry of list) {
      const id = isObject(entry) ? (entry.id ?? entry.image_id) : undefined;
      if (isObject(entry) && isId(id)) this.#add(id, entry);
      else warn("A picture without an id is passed over.");
    }
  }

  of({ image_id, segmentation }: Record<string, unknown>): Picture | undefined {
    const id = isId(image_id) ? image_id : undefined;
    let picture = this.#byId.get(keyOf(id));
    // A file of one picture need not name it.
    if (!picture && id === undefined && this.#listed && this.#byId.size === 1)
      [picture] = [...this.#byId.values()];
    if (!picture && !this.#listed) picture = this.#add(id, {});
    if (picture && isObject(segmentation) && Array.isArray(segmentation.size))
      picture.size ??= sizeOf(segmentation.size[1], segmentation.size[0]);
    return picture;
  }

  /** Those that are wanted and have a size. */
  read(): LabeledPicture[] {
    return [...this.#byId.values()].flatMap(({ id, fileName, size, wanted, labels }) => {
      if (!wanted) return [];
      const known = { ...(id !== undefined && { id }), ...(fileName !== undefined && { fileName }) };
      if (size) return [{ ...size, labels, ...known }];
      this.#warn(`Picture ${id ?? "without a name"} is passed over: it has no size, and no labels.`);
      return [];
    });
  }

  #add(id: number | string | undefined, { file_name, width, height }: Record<string, unknown>): Picture {
    const { only = () => true, sizeOf: ask } = this.#options;
    const fileName = typeof file_name === "string" ? file_name : undefined;
    const name = fileName ?? String(id ?? "");
    const picture: Picture = {
      ...(id !== undefined && { id }),
      ...(fileName !== undefined && { fileName }),
      size: sizeOf(width, height) ?? ask?.(name),
      wanted: only(name),
      labels: [],
    };
    this.#byId.set(keyOf(id), picture);
    return picture;
  }
}

function keyOf(id: number | string | undefined): string | undefined {
  return id === undefined ? undefined : String(id);
}

/** Undefined where it is no mask. */
function readSegmentation(
  segmentation: unknown,
  { id, fileName, size }: Picture,
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
      `The size of the picture ${fileName ?? id ?? "without a name"} is not in the file, and its polygons need it. ` +
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
