import { Sam2Error } from "../errors.js";
import type { Mask } from "../mask.js";
import { checkSize } from "../size.js";

/** One object of a picture. */
export interface Label {
  mask: Mask;
  /** The name of its class. */
  category: string;
  /** Its number or name in the file. Kept where it is written again, so that it must be of this label alone. */
  id?: number | string;
  /** COCO's number of its class, where two classes have one name. */
  categoryId?: number | string;
  /** COCO's `iscrowd`: many objects as one. */
  crowd?: boolean;
  /** How sure a model was, 0 to 1. */
  score?: number;
}

/** A picture and its objects. Their masks are of its size. */
export interface LabeledPicture {
  width: number;
  height: number;
  labels: Label[];
  fileName?: string;
  /** Its number or name in a file of many pictures. */
  id?: number | string;
}

/** What a file has of a picture, and what of it was passed over, in words. */
export interface ReadPicture extends LabeledPicture {
  warnings: string[];
}

export interface Size {
  width: number;
  height: number;
}

/** Throws `INVALID_MASK` unless all masks are of the picture's size. */
export function checkMasks({ width, height, labels }: LabeledPicture): void {
  for (const [index, { mask }] of labels.entries()) {
    if (mask.width === width && mask.height === height) continue;
    throw new Sam2Error(
      "INVALID_MASK",
      `The mask of label ${index} (counted from 0) is ${mask.width} x ${mask.height} pixels, and its picture ` +
        `${width} x ${height}: resize it.`,
    );
  }
}

/** A file that is not what it should be, as a whole. */
export function invalid(format: string, reason: string, cause?: unknown): Sam2Error {
  const options = cause === undefined ? undefined : { cause };
  return new Sam2Error("INVALID_LABELS", `This is no ${format} file: ${reason}.`, options);
}

/** JSON's text, or what it says. */
export function parsed(json: unknown, format: string): unknown {
  if (typeof json !== "string") return json;
  try {
    // A byte order mark, as some editors on Windows write it, is no JSON.
    return JSON.parse(json.replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw invalid(format, `it is no JSON (${(cause as Error).message})`, cause);
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isId(value: unknown): value is number | string {
  return typeof value === "number" || typeof value === "string";
}

/** A whole number of pixels, also as text. */
export function pixels(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isInteger(number) && number > 0 ? number : undefined;
}

/** Both sides, if both are known and not too large. */
export function sizeOf(width: unknown, height: unknown): Size | undefined {
  const [w, h] = [pixels(width), pixels(height)];
  if (w === undefined || h === undefined) return undefined;
  checkSize(w, h);
  return { width: w, height: h };
}

/** The size that a caller gives, since the file has none. */
export function givenSize(size: Partial<Size> | undefined, reader: string): Size {
  const given = sizeOf(size?.width, size?.height);
  if (given) return given;
  throw new Sam2Error(
    "UNSUPPORTED_INPUT",
    `The file does not say the picture's size. Pass it: ${reader}(file, { width, height }).`,
  );
}

/** Pairs of numbers; undefined where something else is among them. */
export function pointsOf(values: unknown): [x: number, y: number][] | undefined {
  if (!Array.isArray(values)) return undefined;
  const points = values.map((point) =>
    Array.isArray(point) && Number.isFinite(point[0]) && Number.isFinite(point[1])
      ? ([point[0], point[1]] as [number, number])
      : undefined,
  );
  return points.every((point) => point !== undefined) ? points : undefined;
}
