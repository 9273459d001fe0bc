import { Mask, type Rle } from "sam2-web";
import type { Masks } from "./masks.js";
import { ofCounts, type Size } from "./rle.js";

export interface Named {
  id: number;
  name: string;
}

export interface MasksToExport extends Size {
  /** Of the clip, with its ending. */
  name: string;
  frameCount: number;
  masks: Masks;
  objects: readonly Named[];
  /** Seconds. */
  timestamp: (frame: number) => number;
}

/** COCO's annotations as YouTube-VIS lays them out for video: one per object, with a mask or null for each frame. */
export interface VideoAnnotations {
  info: { description: string };
  videos: {
    id: number;
    file_name: string;
    width: number;
    height: number;
    length: number;
    /** Ours: when each frame is shown, in seconds. */
    timestamps: number[];
  }[];
  categories: { id: number; name: string }[];
  annotations: {
    id: number;
    video_id: number;
    category_id: number;
    /** Ours: as in the list of objects. */
    name: string;
    iscrowd: 0;
    width: number;
    height: number;
    length: number;
    segmentations: (Rle | null)[];
    bboxes: ([number, number, number, number] | null)[];
    areas: (number | null)[];
  }[];
}

/** The masks as COCO RLE; null where an object is not seen, or was not looked for. */
export function toCoco(of: MasksToExport): VideoAnnotations {
  const { width, height, frameCount: length } = of;
  const frames = Array.from({ length }, (_, frame) => frame);
  return {
    info: { description: `Masks of ${of.name}, by sam2-web` },
    videos: [
      { id: 1, file_name: of.name, width, height, length, timestamps: frames.map((at) => of.timestamp(at)) },
    ],
    categories: [{ id: 1, name: "object" }],
    annotations: of.objects.map(({ id, name }) => {
      const seen = frames.map((frame) => {
        const known = of.masks.at(frame)?.get(id);
        if (!known?.visible) return null;
        const { area, box } = ofCounts(known.counts, of);
        const [x0, y0, x1, y1] = box ?? [0, 0, -1, -1];
        const bbox: [number, number, number, number] = [x0, y0, x1 - x0 + 1, y1 - y0 + 1];
        return { counts: known.counts, area, bbox };
      });
      return {
        id,
        video_id: 1,
        category_id: 1,
        name,
        iscrowd: 0,
        width,
        height,
        length,
        segmentations: seen.map((mask) => mask && { size: [height, width], counts: mask.counts }),
        bboxes: seen.map((mask) => mask?.bbox ?? null),
        areas: seen.map((mask) => mask?.area ?? null),
      };
    }),
  };
}

/** A folder for each object, with a PNG for each frame that was tracked: white is the object. One bitmap at a time. */
export async function toPngs(
  of: MasksToExport,
  progress: (done: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  // client-zip and not fflate: it takes the files one by one from a generator, and a PNG gains nothing from deflate.
  const { downloadZip } = await import("client-zip");
  const folders = folderNames(of.objects);
  async function* files() {
    for (let frame = 0; frame < of.frameCount; frame++) {
      for (const [object, known] of of.masks.at(frame) ?? []) {
        signal.throwIfAborted();
        const mask = known.visible ? ofCounts(known.counts, of) : new Mask(of.width, of.height);
        const name = `${folders.get(object) ?? object}/${String(frame).padStart(5, "0")}.png`;
        yield { name, input: await mask.toBlob() };
      }
      progress((frame + 1) / of.frameCount);
    }
  }
  return downloadZip(files()).blob();
}

/** The objects' names as folders of their own: safe on every system, and no two alike. */
export function folderNames(objects: readonly Named[]): Map<number, string> {
  const taken = new Set<string>();
  return new Map(
    objects.map(({ id, name }) => {
      const safe = name.replace(/[^\p{L}\p{N}_-]+/gu, "-").replace(/^-+|-+$/g, "") || "object";
      const folder = taken.has(safe.toLowerCase()) ? `${safe}-${id}` : safe;
      taken.add(folder.toLowerCase());
      return [id, folder];
    }),
  );
}
