import { byteCount, setRun } from "../mask/bits.js";
import type { Ring } from "../mask/types.js";
import { Mask } from "../mask.js";
import {
  checkMasks,
  givenSize,
  invalid,
  isId,
  isObject,
  type Label,
  type LabeledPicture,
  parsed,
  pointsOf,
  type ReadPicture,
  type Size,
  sizeOf,
} from "./labels.js";
import { readSamples } from "./png-samples.js";

export interface LabelmeShape {
  label: string;
  points: [x: number, y: number][];
  group_id: number | string | null;
  shape_type: "polygon" | "mask";
  flags: Record<string, boolean>;
  description: string;
  /** A PNG in base64, of the box between the points. */
  mask: string | null;
}

export interface LabelmeFile {
  version: string;
  flags: Record<string, boolean>;
  shapes: LabelmeShape[];
  imagePath: string;
  imageData: string | null;
  imageHeight: number;
  imageWidth: number;
}

/**
 * Reads a picture's labelme JSON, as text or parsed: polygons, rectangles, circles and masks. Shapes of one label and one
 * `group_id` are one object, with that as its id. Overlaps within an outline are filled by the even-odd rule.
 *
 * Lines and points, and polygons of fewer than three points, are passed over, and told in `warnings`.
 *
 * @param size - Of the picture, where the file has neither `imageWidth` and `imageHeight` nor the picture itself.
 *
 * Rejects with {@link Sam2Error} `INVALID_LABELS` for what is no such file, `UNSUPPORTED_INPUT` where the size is missing.
 */
export async function readLabelme(json: string | object, size?: Size): Promise<ReadPicture> {
  const file = parsed(json, "labelme");
  if (!isObject(file) || !Array.isArray(file.shapes)) throw invalid("labelme", "it has no list of shapes");
  const { width, height } =
    sizeOf(file.imageWidth, file.imageHeight) ??
    (await sizeOfPicture(file.imageData)) ??
    givenSize(size, "readLabelme");
  const warnings: string[] = [];
  const labels: Label[] = [];
  const groups = new Map<string, Label>();
  for (const [index, shape] of file.shapes.entries()) {
    const passOver = (why: string) => warnings.push(`Shape number ${index + 1} is passed over: ${why}.`);
    const mask = isObject(shape)
      ? await readShape(shape, { width, height }, passOver)
      : passOver("it is no object");
    if (!isObject(shape) || !(mask instanceof Mask)) continue;
    const category = isId(shape.label) ? String(shape.label) : "object";
    const group = shape.group_id;
    const key = JSON.stringify([category, group]);
    const known = isId(group) ? groups.get(key) : undefined;
    if (known) {
      known.mask = known.mask.or(mask);
      continue;
    }
    const label: Label = { mask, category, ...(isId(group) && { id: group }) };
    labels.push(label);
    groups.set(key, label);
  }
  const { imagePath } = file;
  return { width, height, labels, warnings, ...(typeof imagePath === "string" && { fileName: imagePath }) };
}

/**
 * A picture's labels as labelme JSON: polygons, those of one object with one `group_id`; masks where there are holes, which
 * labelme's polygons cannot have. An empty mask has no shape.
 *
 * @param options.tolerance - Of the polygons, as of {@link Mask.toPolygons}. Default 0: exact.
 */
export async function writeLabelme(
  picture: LabeledPicture,
  { tolerance = 0 }: { tolerance?: number } = {},
): Promise<LabelmeFile> {
  checkMasks(picture);
  const { width, height, fileName = "", labels } = picture;
  const shapes: LabelmeShape[] = [];
  const ids = new Set(labels.map(({ id }) => id));
  let next = 1;
  for (const { mask, category, id } of labels) {
    const polygons = mask.toPolygons({ tolerance });
    const hasHoles = polygons.some((rings) => rings.length > 1);
    while (ids.has(next)) next++;
    const group_id = id ?? (polygons.length > 1 && !hasHoles ? next++ : null);
    const shape = { label: category, group_id, flags: {}, description: "" };
    if (hasHoles) shapes.push({ ...shape, shape_type: "mask", ...(await cropped(mask)) });
    else
      for (const [ring = []] of polygons)
        shapes.push({ ...shape, points: ring, shape_type: "polygon", mask: null });
  }
  return {
    version: "5.5.0",
    flags: {},
    shapes,
    imagePath: fileName,
    imageData: null,
    imageHeight: height,
    imageWidth: width,
  };
}

async function sizeOfPicture(base64: unknown): Promise<Size | undefined> {
  if (typeof base64 !== "string" || !base64) return undefined;
  const { imageDimensionsFromData } = await import("image-dimensions");
  const picture = imageDimensionsFromData(fromBase64(base64));
  return picture && sizeOf(picture.width, picture.height);
}

async function readShape(
  shape: Record<string, unknown>,
  size: Size,
  passOver: (why: string) => void,
): Promise<Mask | undefined> {
  const type = shape.shape_type ?? "polygon"; // older files do not say it
  const points = pointsOf(shape.points);
  const [first, second] = points ?? [];
  if (!points) passOver("its points are no pairs of numbers");
  else if (type === "polygon" && points.length >= 3) return filled(points, size);
  else if (type === "polygon")
    passOver(`it is a polygon of ${points.length} point${points.length === 1 ? "" : "s"}`);
  else if (type === "rectangle" && points.length === 4) return filled(points, size);
  else if (type === "rectangle" && first && second) {
    const [[x0, y0], [x1, y1]] = [first, second];
    return filled(
      [first, [x1, y0], [x1, y1], [x0, y1]].map(([x = 0, y = 0]) => [x, y]),
      size,
    );
  } else if (type === "circle" && first && second) return circle(first, second, size);
  else if (type === "mask" && first && typeof shape.mask === "string") return placed(shape.mask, first, size);
  else passOver(`a ${type} of ${points.length} points is no area`);
  return undefined;
}

function filled(ring: Ring, size: Size): Mask {
  return Mask.fromPolygons([[ring]], { ...size, crossing: "even-odd" });
}

function circle([x, y]: Ring[number], edge: Ring[number], { width, height }: Size): Mask {
  const radius = Math.hypot(edge[0] - x, edge[1] - y);
  const bits = new Uint8Array(byteCount(width, height));
  for (let row = Math.max(Math.floor(y - radius), 0); row < Math.min(y + radius, height); row++) {
    const half = Math.sqrt(Math.max(radius ** 2 - (row + 0.5 - y) ** 2, 0));
    const column = (at: number) => Math.min(Math.max(Math.ceil(at - 0.5), 0), width);
    setRun(bits, row * width + column(x - half), row * width + column(x + half));
  }
  return new Mask(width, height, bits);
}

/** A mask's PNG at its place in the picture; set is what is not 0. */
async function placed(base64: string, [x0, y0]: Ring[number], { width, height }: Size): Promise<Mask> {
  const crop = await readSamples(fromBase64(base64), "labelme");
  const bits = new Uint8Array(byteCount(width, height));
  const [left, top] = [Math.round(x0), Math.round(y0)];
  for (let y = Math.max(0, -top); y < Math.min(crop.height, height - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(crop.width, width - left); x++) {
      const pixel = (top + y) * width + left + x;
      if (crop.values[y * crop.width + x]) setRun(bits, pixel, pixel + 1);
    }
  }
  return new Mask(width, height, bits);
}

async function cropped(mask: Mask): Promise<Pick<LabelmeShape, "points" | "mask">> {
  const [x0, y0, x1, y1] = mask.box ?? [0, 0, 0, 0];
  const [width, height] = [x1 - x0 + 1, y1 - y0 + 1];
  const data = new Uint8Array(width * height);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) data[i] = Number(mask.has(x0 + x, y0 + y));
  }
  const { encode } = await import("fast-png");
  const png = encode({ width, height, data, channels: 1, depth: 8 });
  return {
    points: [
      [x0, y0],
      [x1, y1],
    ],
    mask: toBase64(png),
  };
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text.replace(/^data:[^,]*,/, "")), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw invalid("labelme", "a picture in it is no base64", cause);
  }
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
