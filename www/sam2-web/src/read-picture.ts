import { readAside } from "./deep-picture-source.js";
import { toRgba } from "./pixels.js";
import { checkRange } from "./stretch.js";
import type { ReadPictureOptions } from "./types.js";

/**
 * A picture file's pixels as `setImage` sees them: the first frame or page, upright, more than 8 bits
 * stretched to the range that they use, also of a TIFF. To show just what was segmented.
 *
 * @throws {@link Sam2Error} `INVALID_IMAGE`, `IMAGE_TOO_LARGE` or `UNSUPPORTED_INPUT`.
 */
export async function readPicture(file: Blob, { range }: ReadPictureOptions = {}): Promise<ImageData> {
  const deep = await readAside(file, { range: checkRange(range), inWorker: false });
  const { data, width, height } = deep ?? (await toRgba(file));
  return new ImageData(data, width, height);
}
