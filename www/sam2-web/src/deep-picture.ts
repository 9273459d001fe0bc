import { readDeepPng } from "./deep-png.js";
import { isDeep } from "./is-deep.js";
import type { RawPicture } from "./protocol.js";
import type { Range } from "./stretch.js";
import { readTiff } from "./tiff.js";

/**
 * Pictures that browsers do not decode, or only to the upper 8 of 16 bits: a TIFF's first page, and a PNG whose 16 bits
 * are not all used. Undefined for any other, which the browser reads.
 *
 * @param range - the values that become black and white; by default the picture's own tell.
 */
export async function readDeepPicture(blob: Blob, range?: Range): Promise<RawPicture | undefined> {
  const kind = await isDeep(blob);
  if (kind === "tiff") return readTiff(blob, range);
  return kind && readDeepPng(blob, range);
}
