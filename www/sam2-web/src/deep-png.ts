import type { RawPicture } from "./protocol.js";
import { checkSize } from "./size.js";
import { type Range, rangeOf, toRgbaBytes } from "./stretch.js";
import { turn } from "./turn.js";

/** A PNG of two pixels side by side whose EXIF says that it is shown turned by 90 degrees. */
const LYING_PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABAQAAAADcWUInAAAAGmVYSWZNTQAqAAAACAABARIAAwAAAAEABgAAAAAAANZnS2kAAAAKSURBVHjaY2AAAAACAAHlJ978AAAAAElFTkSuQmCC";

/**
 * A PNG of 16 bits a value that are not all used, or of which a part is asked for. Undefined if the browser's way, which
 * keeps colours, shows all that there is.
 */
export async function readDeepPng(blob: Blob, given?: Range): Promise<RawPicture | undefined> {
  const [{ decode }, file] = await Promise.all([import("fast-png"), blob.arrayBuffer()]);
  const view = new DataView(file);
  checkSize(view.getUint32(16), view.getUint32(20));
  const head = chunksBeforePixels(view);
  // Of an animation the browser finds the first frame.
  if (head.has("acTL")) return undefined;
  let png: ReturnType<typeof decode>;
  try {
    png = decode(file);
  } catch {
    return undefined; // the browser says what is wrong
  }
  const { width, height } = png;
  const { data, channels } = withAlpha(png);
  const range = given ?? rangeOf(data, channels, true);
  if (!given && range[1] >= 2 ** 15) return undefined;
  const picture = { data: toRgbaBytes(data, channels, range, 2 ** 16 - 1), width, height };
  const exif = head.get("eXIf");
  return exif && (await turnsPngs()) ? turn(picture, await orientationOf(exif)) : picture;
}

/** By their types. */
function chunksBeforePixels(file: DataView<ArrayBuffer>): Map<string, ArrayBuffer> {
  const found = new Map<string, ArrayBuffer>();
  for (let at = 8; at + 12 <= file.byteLength; at += 12 + file.getUint32(at)) {
    const data = at + 8;
    const type = String.fromCharCode(...new Uint8Array(file.buffer, at + 4, 4));
    if (type === "IDAT") break;
    found.set(type, file.buffer.slice(data, data + file.getUint32(at)));
  }
  return found;
}

interface Samples {
  data: ArrayLike<number>;
  channels: number;
}

/** A colour that stands for transparency (`tRNS`) as alpha. */
function withAlpha({ data, channels, transparency }: Samples & { transparency?: Uint16Array }): Samples {
  if (!transparency) return { data, channels };
  const pixels = data.length / channels;
  const wider = new Uint16Array(pixels * (channels + 1));
  for (let pixel = 0, from = 0, to = 0; pixel < pixels; pixel++) {
    let hidden = true;
    for (let i = 0; i < channels; i++, from++, to++) {
      wider[to] = data[from] ?? 0;
      hidden &&= wider[to] === transparency[i];
    }
    wider[to++] = hidden ? 0 : 2 ** 16 - 1;
  }
  return { data: wider, channels: channels + 1 };
}

/** EXIF is a TIFF without a picture. */
async function orientationOf(exif: ArrayBuffer): Promise<number> {
  const { fromArrayBuffer } = await import("geotiff");
  try {
    const image = await (await fromArrayBuffer(exif)).getImage(0);
    return Number(await image.fileDirectory.loadValue("Orientation"));
  } catch {
    return 1; // what cannot be read says nothing
  }
}

let probe: Promise<boolean> | undefined;

/** Whether this browser heeds a PNG's EXIF: not all do. */
function turnsPngs(): Promise<boolean> {
  probe ??= createImageBitmap(new Blob([Uint8Array.from(atob(LYING_PNG), (char) => char.charCodeAt(0))]), {
    imageOrientation: "from-image",
  }).then(
    ({ width, height }) => height > width,
    () => false,
  );
  return probe;
}
