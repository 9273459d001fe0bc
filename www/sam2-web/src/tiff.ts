import type { GeoTIFFImage } from "geotiff";
import { Sam2Error } from "./errors.js";
import type { RawPicture } from "./protocol.js";
import { checkSize } from "./size.js";
import { type Range, rangeOf, toRgbaBytes } from "./stretch.js";
import { turn } from "./turn.js";

/** A TIFF's first page. */
export async function readTiff(blob: Blob, range?: Range): Promise<RawPicture> {
  const [{ fromArrayBuffer }, bytes] = await Promise.all([import("geotiff"), blob.arrayBuffer()]);
  try {
    const file = await fromArrayBuffer(bytes);
    const image = await file.getImage(0);
    const [width, height] = [image.getWidth(), image.getHeight()];
    // A page without a size is what a file of which the end is missing tells of.
    if (!(width > 0 && height > 0)) throw new Error("it has no size");
    checkSize(width, height);
    const data = await pixelsOf(image, range);
    const orientation = await image.fileDirectory.loadValue("Orientation");
    return turn({ data, width, height }, Number(orientation ?? 1));
  } catch (cause) {
    if (cause instanceof Sam2Error) throw cause;
    throw new Sam2Error(
      "INVALID_IMAGE",
      `The TIFF is cut, damaged, or of a kind that is not read (${(cause as Error).message}). ` +
        "Get the whole file again, or convert it to PNG.",
      { cause },
    );
  }
}

/** `PhotometricInterpretation` of grey and RGB; 0 is white in the first. */
const [WHITE_IS_ZERO, BLACK_IS_ZERO, RGB] = [0, 1, 2];
/** `SampleFormat` of whole numbers from 0, and of floats. */
const [UNSIGNED, FLOAT] = [1, 3];

async function pixelsOf(
  image: GeoTIFFImage,
  given: Range | undefined,
): Promise<Uint8ClampedArray<ArrayBuffer>> {
  const kind = image.fileDirectory.getValue("PhotometricInterpretation");
  const bits = image.getBitsPerSample();
  const format = image.getSampleFormat();
  if (kind !== WHITE_IS_ZERO && kind !== BLACK_IS_ZERO && kind !== RGB) {
    const colours = await image.readRGB({ interleave: true });
    return toRgbaBytes(colours as unknown as ArrayLike<number>, 3, [0, 255], 255);
  }
  const stored = image.getSamplesPerPixel();
  const colours = kind === RGB ? 3 : 1;
  const extra = image.fileDirectory.getValue("ExtraSamples")?.[0];
  const channels = stored > colours && (extra === 1 || extra === 2) ? colours + 1 : colours;
  const samples = Array.from({ length: channels }, (_, i) => i);
  const values = (await image.readRasters({ samples, interleave: true })) as unknown as ArrayLike<number>;
  const opaque = format === FLOAT ? 1 : 2 ** bits - 1;
  const [low, high] =
    bits <= 8 ? [0, opaque] : (given ?? rangeOf(values, channels, format === UNSIGNED && bits <= 16));
  return toRgbaBytes(values, channels, kind === WHITE_IS_ZERO ? [high, low] : [low, high], opaque);
}
