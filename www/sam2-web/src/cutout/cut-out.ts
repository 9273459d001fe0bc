import { encodePicture } from "../canvas.js";
import { forEachRun } from "../mask/runs.js";
import type { Part } from "../mask/upscale.js";
import type { RawPicture } from "../protocol.js";
import type { Cut, Edge } from "./cut.js";
import { decontaminate } from "./foreground.js";
import { matte } from "./matte.js";

/** The object on nothing, as a picture file. */
export function cutOut(picture: RawPicture, cut: Cut): Promise<Blob> {
  return encodePicture(cutPixels(picture, cut), cut.type, cut.quality);
}

/** The object's pixels, transparent elsewhere. */
export function cutPixels(picture: RawPicture, cut: Omit<Cut, "type" | "quality">): ImageData {
  const { width, height } = picture;
  if (!cut.box) return new ImageData(width, height);
  const [left, top, right, bottom] = cut.box;
  const ofMask = { left, top, right: right + 1, bottom: bottom + 1 };
  const whole = { left: 0, top: 0, right: width, bottom: height };
  // Of a speck that the colours around it do not show, nothing may be left: it keeps its hard edge.
  return (
    (cut.edge && softCut(picture, cut.bits, ofMask, cut.edge, cut.crop ? undefined : whole)) ??
    hardCut(picture, cut.bits, cut.crop ? ofMask : whole)
  );
}

function hardCut({ data, width, height }: RawPicture, bits: Uint8Array, part: Part): ImageData {
  const image = emptyImage(part);
  forEachRun(bits, width, height, (y, from, end) => {
    const row = y * width * 4;
    image.data.set(data.subarray(row + from * 4, row + end * 4), at(part, from, y));
  });
  return image;
}

/** Of `asked`, or of what is seen of the object. Undefined where nothing is. */
function softCut(
  picture: RawPicture,
  bits: Uint8Array,
  ofMask: Part,
  edge: Edge,
  asked: Part | undefined,
): ImageData | undefined {
  const { data, width, height } = picture;
  const more = Math.ceil(edge.radius);
  const around = {
    left: Math.max(ofMask.left - more, 0),
    top: Math.max(ofMask.top - more, 0),
    right: Math.min(ofMask.right + more, width),
    bottom: Math.min(ofMask.bottom + more, height),
  };
  const alpha = matte(picture, bits, edge, around);
  const seen = whatIsSeen(alpha, around);
  if (!seen) return undefined;
  const part = asked ?? seen;
  const image = emptyImage(part);
  for (let y = seen.top; y < seen.bottom; y++) {
    let from = at(around, seen.left, y) / 4;
    let pixel = (y * width + seen.left) * 4;
    let to = at(part, seen.left, y);
    for (let x = seen.left; x < seen.right; x++, from++, pixel += 4, to += 4) {
      const opacity = Math.round(((alpha[from] as number) * (data[pixel + 3] as number)) / 255);
      if (opacity === 0) continue;
      image.data[to] = data[pixel] as number;
      image.data[to + 1] = data[pixel + 1] as number;
      image.data[to + 2] = data[pixel + 2] as number;
      image.data[to + 3] = opacity;
    }
  }
  decontaminate(picture, image.data, part, edge.radius);
  return image;
}

function emptyImage({ left, top, right, bottom }: Part): ImageData {
  return new ImageData(right - left, bottom - top);
}

/** Where in the RGBA bytes of a part a pixel of the picture is. */
function at({ left, top, right }: Part, x: number, y: number): number {
  return ((y - top) * (right - left) + x - left) * 4;
}

/** The part of a part in which something is not fully transparent. */
function whatIsSeen(alpha: Uint8Array, { left, top, right, bottom }: Part): Part | undefined {
  const seen = { left: right, top: bottom, right: left, bottom: top };
  const width = right - left;
  for (let y = top; y < bottom; y++) {
    const row = alpha.subarray((y - top) * width, (y - top + 1) * width);
    const first = row.findIndex((value) => value > 0);
    if (first < 0) continue;
    let last = width - 1;
    while (row[last] === 0) last--;
    seen.left = Math.min(seen.left, left + first);
    seen.right = Math.max(seen.right, left + last + 1);
    seen.top = Math.min(seen.top, y);
    seen.bottom = y + 1;
  }
  return seen.left < seen.right ? seen : undefined;
}
