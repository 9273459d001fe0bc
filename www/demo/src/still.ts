import { readPicture } from "sam2-web";

/** How far into a file it is looked whether it moves: its colour profile may come first. */
const HEAD_BYTES = 1 << 20;

/**
 * The picture as the model sees it, so that the page shows the same: the first frame of what moves, and files that
 * browsers do not show, or show too dark, as PNG. Any other is the answer itself.
 */
export async function still(file: Blob): Promise<Blob> {
  const head = await file.slice(0, HEAD_BYTES).arrayBuffer();
  if (!needsStill(new Uint8Array(head))) return file;
  const picture = await readPicture(file);
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(picture, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** By a file's beginning: GIF, a WebP, PNG or AVIF that moves, a PNG of 16 bits, TIFF. */
export function needsStill(head: Uint8Array): boolean {
  const text = String.fromCharCode(...head.subarray(0, 32));
  if (/^(GIF8|II[*+]\0|MM\0[*+])/.test(text)) return true;
  // Of pictures in MP4's container, the kinds that a file is of stand in its first box.
  if (text.startsWith("ftyp", 4)) return text.includes("avis", 8);
  if (/^RIFF[\s\S]{4}WEBPVP8X/.test(text)) return ((head[20] ?? 0) & 2) !== 0;
  if (!text.startsWith("\x89PNG\r\n\x1a\n")) return false;
  if (head[24] === 16) return true;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  for (let at = 8; at + 12 <= head.length; at += 12 + view.getUint32(at)) {
    const chunk = String.fromCharCode(...head.subarray(at + 4, at + 8));
    if (chunk === "acTL") return true;
    if (chunk === "IDAT") return false; // an animation says so before its pixels
  }
  return false;
}
