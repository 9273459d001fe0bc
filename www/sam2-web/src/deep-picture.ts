import { readDeepPng } from "./deep-png.js";
import type { RawPicture } from "./protocol.js";
import type { Range } from "./stretch.js";
import { readTiff } from "./tiff.js";

/** The bit depth of a PNG stands in its header's 25th byte. */
const HEADER_BYTES = 25;

/**
 * Pictures that browsers do not decode, or only to the upper 8 of 16 bits: a TIFF's first page, and a PNG whose 16 bits
 * are not all used. Undefined for any other, which the browser reads.
 *
 * @param range - the values that become black and white; by default the picture's own tell.
 */
export async function readDeepPicture(blob: Blob, range?: Range): Promise<RawPicture | undefined> {
  const head = new Uint8Array(await blob.slice(0, HEADER_BYTES).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) return readTiff(blob, range);
  if (text.startsWith("\x89PNG\r\n\x1a\n") && head[24] === 16) return readDeepPng(blob, range);
  return undefined;
}
