import type { GeoTIFFImage } from "geotiff";
import { Sam2Error } from "./errors.js";
import type { RawPicture } from "./protocol.js";
import { checkSize } from "./size.js";
import { type Range, rangeOf, toRgbaBytes } from "./stretch.js";

/** The bit depth of a PNG stands in its header's 25th byte. */
const HEADER_BYTES = 25;

/**
 * Pictures that browsers do not decode, or only to the upper 8 of 16 bits: a TIFF's first page, and a PNG whose 16 bits
 * are not all used. Undefined for any other, which the browser reads.
 */
export async function readDeepPicture(blob: Blob): Promise<RawPicture | undefined> {
  const head = new Uint8Array(await blob.slice(0, HEADER_BYTES).arrayBuffer());
  const text = String.fromCharCode(...head);
  if (/^(II[*+]\0|MM\0[*+])/.test(text)) return readTiff(blob);
  if (text.startsWith("\x89PNG\r\n\x1a\n") && head[24] === 16) return readDeepPng(blob);
  return undefined;
}

/** Undefined if the browser's way, which keeps colours and orientation, shows all that there is. */
async function readDeepPng(blob: Blob): Promise<RawPicture | undefined> {
  const [{ decode }, file] = await Promise.all([import("fast-png"), blob.arrayBuffer()]);
  const view = new DataView(file);
  checkSize(view.getUint32(16), view.getUint32(20));
  let png: ReturnType<typeof decode>;
  try {
    png = decode(file);
  } catch {
    return undefined; // the browser says what is wrong
  }
  const { width, height, channels, data } = png;
  const range = rangeOf(data, channels, true);
  if (range[1] >= 2 ** 15 || png.transparency) return undefined;
  return { data: toRgbaBytes(data, channels, range, 2 ** 16 - 1), width, height };
}

async function readTiff(blob: Blob): Promise<RawPicture> {
  const [{ fromArrayBuffer }, bytes] = await Promise.all([import("geotiff"), blob.arrayBuffer()]);
  try {
    const file = await fromArrayBuffer(bytes);
    const image = await file.getImage(0);
    const [width, height] = [image.getWidth(), image.getHeight()];
    checkSize(width, height);
    const data = await tiffPixels(image);
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

async function tiffPixels(image: GeoTIFFImage): Promise<Uint8ClampedArray<ArrayBuffer>> {
  const kind = image.fileDirectory.getValue("PhotometricInterpretation");
  const bits = image.getBitsPerSample();
  const isFloat = image.getSampleFormat() === 3;
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
  const opaque = isFloat ? 1 : 2 ** bits - 1;
  const [low, high]: Range = bits <= 8 ? [0, opaque] : rangeOf(values, channels, !isFloat);
  return toRgbaBytes(values, channels, kind === WHITE_IS_ZERO ? [high, low] : [low, high], opaque);
}

/** Upright, by an EXIF orientation: 1 to 8; anything else turns nothing. */
export function turn(picture: RawPicture, orientation: number): RawPicture {
  if (!(orientation >= 2 && orientation <= 8)) return picture;
  const { width, height } = picture;
  const lies = orientation >= 5;
  const [toWidth, toHeight] = lies ? [height, width] : [width, height];
  const flipsX = [2, 3, 7, 8].includes(orientation);
  const flipsY = [3, 4, 6, 7].includes(orientation);
  const from = new Uint32Array(picture.data.buffer, picture.data.byteOffset, width * height);
  const to = new Uint32Array(width * height);
  for (let y = 0, i = 0; y < toHeight; y++) {
    for (let x = 0; x < toWidth; x++, i++) {
      const [column, row] = lies ? [y, x] : [x, y];
      to[i] = from[(flipsY ? height - 1 - row : row) * width + (flipsX ? width - 1 - column : column)] ?? 0;
    }
  }
  return { data: new Uint8ClampedArray(to.buffer), width: toWidth, height: toHeight };
}
