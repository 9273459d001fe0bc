import type { Mask } from "sam2-web";
import type { Label, LabeledPicture } from "sam2-web/formats";

/** As the menu has them. */
export type Format = "cutout" | "mask" | "svg" | "coco" | "yolo" | "labelme" | "indexed" | "geojson";

export interface Saved {
  file: Blob;
  name: string;
  /** What a visitor has to know of it. */
  note?: string;
}

/** Of the outlines of an SVG, which are to be looked at, in pixels: more would show, less would leave stairs. */
const SVG_TOLERANCE = 1;

/**
 * The masks as a file, which is named after the picture. Where one lies over another, the smaller one is on top.
 *
 * @param cutOut - makes the picture of what a mask covers.
 */
export async function saveAs(
  format: Format,
  picture: LabeledPicture & { fileName: string },
  cutOut: (mask: Mask) => Promise<Blob>,
): Promise<Saved> {
  const labels = [...picture.labels].sort((a, b) => b.mask.area - a.mask.area);
  const sorted = { ...picture, labels };
  const name = picture.fileName.replace(/\.\w+$/, "") || "picture";
  switch (format) {
    case "cutout":
      return pngs(name, "cutout", labels, cutOut);
    case "mask":
      return pngs(name, "mask", labels, (mask) => mask.toBlob());
    case "svg":
      return { file: new Blob([svg(sorted)], { type: "image/svg+xml" }), name: `${name}-mask.svg` };
    case "indexed":
      return { file: await (await formats()).writeIndexedPng(sorted), name: `${name}-labels.png` };
    case "yolo": {
      const classes = [...new Set(labels.map(({ category }) => category))];
      const numbers = classes.map((category, number) => `${number} ${category}`).join(", ");
      return {
        file: new Blob([(await formats()).writeYolo(sorted, { classes })], { type: "text/plain" }),
        name: `${name}.txt`,
        ...(classes.length > 1 && { note: `The classes in the file are ${numbers}.` }),
      };
    }
    case "coco":
      return json((await formats()).writeCoco({ pictures: [sorted] }), `${name}-coco.json`);
    case "labelme":
      return json(await (await formats()).writeLabelme(sorted), `${name}.json`);
    case "geojson":
      return json((await formats()).writeGeoJson(sorted), `${name}.geojson`);
  }
}

/** Fetched when it is needed: most visitors want a cut-out. */
const formats = () => import("sam2-web/formats");

function json(content: object, name: string): Saved {
  return { file: new Blob([JSON.stringify(content)], { type: "application/json" }), name };
}

/** One file, or many in a ZIP. */
async function pngs(
  name: string,
  what: string,
  labels: readonly Label[],
  toPng: (mask: Mask) => Promise<Blob>,
): Promise<Saved> {
  const [only, ...others] = labels;
  if (only && !others.length) return { file: await toPng(only.mask), name: `${name}-${what}.png` };
  const { downloadZip } = await import("client-zip");
  async function* files() {
    for (const [i, { mask }] of labels.entries())
      yield { name: `${name}-${what}-${i + 1}.png`, input: await toPng(mask) };
  }
  return { file: await downloadZip(files()).blob(), name: `${name}-${what}s.zip` };
}

function svg({ width, height, labels }: LabeledPicture): string {
  const paths = labels.map(
    ({ mask, category }) =>
      `<path d="${mask.toSvgPath({ tolerance: SVG_TOLERANCE })}"><title>${escaped(category)}</title></path>`,
  );
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${paths.join("")}</svg>\n`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
