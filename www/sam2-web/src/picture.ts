import { type DeepPictureOptions, readAside } from "./deep-picture-source.js";
import { Sam2Error } from "./errors.js";
import type { Picture } from "./protocol.js";
import { checkSize } from "./size.js";
import type { PictureSource } from "./types.js";

/** What to post to the engine, and what of it to transfer. Runs on the calling side, where the DOM is. */
export async function toPicture(
  source: PictureSource,
  { transfer, ...deep }: { transfer: boolean } & DeepPictureOptions,
): Promise<{ picture: Picture; transfer: Transferable[] }> {
  // A Blob is a reference: it crosses for nothing and is decoded over there.
  if (isA(source, "Blob")) {
    const raw = await readAside(source, deep);
    return raw ? { picture: raw, transfer: [raw.data.buffer] } : { picture: source, transfer: [] };
  }

  if (isPixels(source)) {
    checkSize(source.width, source.height);
    const given = source.data as Uint8ClampedArray<ArrayBuffer>;
    if (given.length !== source.width * source.height * 4) {
      throw new Sam2Error(
        "INVALID_IMAGE",
        "The picture's data is not of four bytes a pixel. If it was handed over before, by transfer, pass it anew.",
      );
    }
    // The browser turns wide colours and floats into bytes of sRGB.
    if (
      ("colorSpace" in source && source.colorSpace === "display-p3") ||
      !(given instanceof Uint8ClampedArray)
    )
      return toBitmap(source);
    // Handing over a part of a larger buffer would take the rest with it.
    const whole = given.byteLength === given.buffer.byteLength;
    const data = transfer && whole ? given : given.slice();
    return { picture: { data, width: source.width, height: source.height }, transfer: [data.buffer] };
  }

  if (isA(source, "ImageBitmap") && transfer) {
    checkSize(source.width, source.height);
    return { picture: source, transfer: [source] };
  }

  const size = sizeOf(source);
  if (!size) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "Not a picture: pass an ImageData, ImageBitmap, Blob, canvas, <img>, <video> or VideoFrame.",
    );
  }
  if (isA(source, "HTMLImageElement") && !source.complete) await source.decode().catch(() => {});
  checkSize(...(sizeOf(source) ?? size));
  return toBitmap(source);
}

/** An `ImageData`, or what is like one, as other programs than browsers have it. */
export function isPixels(source: unknown): source is Pick<ImageData, "data" | "width" | "height"> {
  if (isA(source, "ImageData")) return true;
  const { data, width, height } = (source ?? {}) as Partial<ImageData>;
  return data instanceof Uint8ClampedArray && typeof width === "number" && typeof height === "number";
}

async function toBitmap(source: PictureSource): Promise<{ picture: ImageBitmap; transfer: Transferable[] }> {
  const bitmap = await createImageBitmap(source as ImageBitmapSource).catch((cause) => {
    throw new Sam2Error(
      "INVALID_IMAGE",
      `The picture could not be read: ${cause.message} Is it loaded, and not closed or broken?`,
      { cause },
    );
  });
  return { picture: bitmap, transfer: [bitmap] };
}

function sizeOf(source: unknown): [width: number, height: number] | undefined {
  if (isA(source, "HTMLImageElement")) return [source.naturalWidth, source.naturalHeight];
  if (isA(source, "HTMLVideoElement")) return [source.videoWidth, source.videoHeight];
  if (isA(source, "VideoFrame")) return [source.displayWidth, source.displayHeight];
  if (isA(source, "HTMLCanvasElement") || isA(source, "OffscreenCanvas") || isA(source, "ImageBitmap")) {
    return [source.width, source.height];
  }
  return undefined;
}

interface Kinds {
  Blob: Blob;
  ImageData: ImageData;
  ImageBitmap: ImageBitmap;
  HTMLImageElement: HTMLImageElement;
  HTMLVideoElement: HTMLVideoElement;
  HTMLCanvasElement: HTMLCanvasElement;
  OffscreenCanvas: OffscreenCanvas;
  VideoFrame: VideoFrame;
}

/** `instanceof` for classes that a worker or an older browser may lack, and for pictures from another frame. */
function isA<K extends keyof Kinds>(value: unknown, kind: K): value is Kinds[K] {
  const type = (globalThis as Record<string, unknown>)[kind];
  if (typeof type === "function" && value instanceof type) return true;
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  return tag === kind || (kind === "Blob" && tag === "File");
}
