import { Sam2Error } from "../errors.js";
import type { Ring } from "../mask/types.js";
import { Mask } from "../mask.js";
import { joinRings } from "./join-rings.js";
import {
  checkMasks,
  givenSize,
  type Label,
  type LabeledPicture,
  type ReadPicture,
  type Size,
} from "./labels.js";

/** Names of the classes by their numbers, as `names` of the data set's YAML has them: a list, or numbers and names. */
export type YoloClasses = readonly string[] | Readonly<Record<number, string>>;

/**
 * Reads a picture's YOLO segmentation labels: a line for each object, its class's number and its outline in parts of the
 * picture's sides, with a score at the end where a model wrote it. Outlines are filled by the even-odd rule.
 *
 * Lines that are boxes, or no outline, are passed over, and told in `warnings`. A class without a name is its number.
 *
 * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` without the picture's size.
 */
export function readYolo(
  text: string,
  { classes = [], ...size }: Size & { classes?: YoloClasses },
): ReadPicture {
  const { width, height } = givenSize(size, "readYolo");
  const labels: Label[] = [];
  const warnings: string[] = [];
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\r|\n/)
    .entries()) {
    if (!line.trim()) continue;
    const [number = Number.NaN, ...values] = line
      .trim()
      .split(/[\s,]+/)
      .map(Number);
    const passOver = (why: string) => warnings.push(`Line ${index + 1} is passed over: ${why}.`);
    if (!Number.isInteger(number) || number < 0 || !values.every(Number.isFinite))
      passOver("it is not a class's number and coordinates");
    else if (values.length < 6)
      passOver(values.length === 4 || values.length === 5 ? "it is a box" : "it has fewer than three points");
    else {
      const ring: Ring = Array.from({ length: values.length >> 1 }, (_, i) => [
        (values[2 * i] ?? 0) * width,
        (values[2 * i + 1] ?? 0) * height,
      ]);
      const score = values.length % 2 ? values.at(-1) : undefined;
      labels.push({
        mask: Mask.fromPolygons([[ring]], { width, height, crossing: "even-odd" }),
        category: (classes as Readonly<Record<number, string>>)[number] ?? String(number),
        ...(score !== undefined && { score }),
      });
    }
  }
  return { width, height, labels, warnings };
}

/**
 * A picture's labels for YOLO segmentation, a line each. Parts and holes are joined to one outline by lines there and back.
 * An empty mask has no line.
 *
 * @param options.classes - The data set's. A category that is not among them may be its number as text.
 * @param options.tolerance - Of the outlines, as of {@link Mask.toPolygons}. Default 0: exact.
 * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for a category that is no class.
 */
export function writeYolo(
  picture: LabeledPicture,
  { classes, tolerance = 0 }: { classes: YoloClasses; tolerance?: number },
): string {
  checkMasks(picture);
  const { width, height, labels } = picture;
  const numbers = new Map(Object.entries(classes).map(([number, name]) => [name, number]));
  let text = "";
  for (const { mask, category } of labels) {
    const number = numbers.get(category) ?? (/^\d+$/.test(category) ? category : undefined);
    if (number === undefined) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `"${category}" is none of the classes (${Object.values(classes).join(", ")}): add it to them.`,
      );
    }
    const ring = joinRings(mask.toPolygons({ tolerance }));
    if (!ring) continue;
    // A hundredth of a pixel in a side of 10,000.
    const part = (value: number) => String(Number(value.toFixed(6)));
    text += `${number} ${ring.map(([x, y]) => `${part(x / width)} ${part(y / height)}`).join(" ")}\n`;
  }
  return text;
}
