import { Sam2Error } from "sam2-web";
import type { Label, LabeledPicture } from "sam2-web/formats";

/** The picture on show. */
interface Picture {
  width: number;
  height: number;
  fileName: string;
}

/**
 * The labels of a picture in a file: COCO JSON, labelme JSON or GeoJSON in pixels.
 *
 * @throws Sam2Error `INVALID_LABELS` for another file, or labels of another picture, or none.
 */
export async function readLabels(
  file: Blob,
  picture: Picture,
): Promise<{ labels: Label[]; warnings: string[] }> {
  const { readCoco, readGeoJson, readLabelme } = await import("sam2-web/formats");
  const content = parse(await file.text());
  const size = { width: picture.width, height: picture.height };
  let read: LabeledPicture & { warnings: string[] };
  if (isObject(content) && Array.isArray(content.shapes)) read = await readLabelme(content, size);
  else if (isGeoJson(content)) read = readGeoJson(content, size);
  else if (isCoco(content)) {
    const wanted = pictureOf(content, picture.fileName);
    const { pictures, warnings } = readCoco(content, {
      ...(wanted !== undefined && { only: (name) => name === wanted }),
      sizeOf: () => size,
    });
    if (pictures.length > 1)
      fail(`The file has labels of ${pictures.length} pictures, and does not say which of them is this one.`);
    read = { ...(pictures[0] ?? { ...size, labels: [] }), warnings };
  } else fail("This file is neither COCO JSON, labelme JSON nor GeoJSON.");
  if (read.width !== picture.width || read.height !== picture.height) {
    fail(
      `These labels are of a picture of ${read.width} × ${read.height} pixels, and the one that is open has ` +
        `${picture.width} × ${picture.height}.`,
    );
  }
  const labels = read.labels.filter(({ mask }) => mask.area > 0);
  if (labels.length === 0) {
    const why = read.labels.length ? "They all lie outside of this picture." : (read.warnings[0] ?? "");
    fail(`There are no masks for this picture in the file. ${why}`.trim());
  }
  return { labels, warnings: read.warnings };
}

function parse(text: string): object {
  let content: unknown;
  try {
    content = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    fail(`This file of labels is cut or damaged: ${(error as Error).message}.`);
  }
  if (typeof content === "object" && content !== null) return content;
  fail("This file is neither COCO JSON, labelme JSON nor GeoJSON.");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isGeoJson(content: object): boolean {
  const [first] = Array.isArray(content) ? content : [content];
  return (
    isObject(first) &&
    /^(Feature|FeatureCollection|(Multi)?Polygon|GeometryCollection)$/.test(String(first.type))
  );
}

/** A data set or SA-1B, or a list of results. */
function isCoco(content: object): boolean {
  const annotations = isObject(content) ? content.annotations : content;
  return Array.isArray(annotations) && (annotations.length === 0 || annotations.some(isObject));
}

/** What a COCO file of many pictures calls the one on show: by its name, with or without folders and endings. */
function pictureOf(content: object, fileName: string): string | undefined {
  const images = isObject(content) && Array.isArray(content.images) ? content.images : [];
  if (images.length < 2) return undefined;
  const bare = (name: string) => name.replace(/^.*[/\\]/, "").replace(/\.\w+$/, "");
  const names = images.filter(isObject).map(({ file_name, id }) => String(file_name ?? id));
  const wanted =
    names.find((name) => name === fileName) ?? names.find((name) => bare(name) === bare(fileName));
  if (wanted === undefined)
    fail(`The file has labels of ${images.length} pictures, and none of them is called ${fileName}.`);
  return wanted;
}

function fail(message: string): never {
  throw new Sam2Error("INVALID_LABELS", message);
}
