import { imageDimensionsFromStream } from "image-dimensions";
import { canvas2d } from "./canvas.js";
import { Sam2Error } from "./errors.js";
import type { FramePicture, Picture, RawPicture } from "./protocol.js";
import { checkSize } from "./size.js";

// Drawn in tiles because a canvas of the whole picture would triple its memory, and iOS limits it to 16 megapixels.
const TILE_PIXELS = 4e6;
/** Canvases are no wider in any browser. */
const TILE_WIDTH = 8192;
/** Every browser decodes pictures with sides of so many pixels; none has to take longer ones. */
const LONG_SIDE = 16_384;

/** The pixels of what the browser can read. The caller's `picture` stays as it is. */
export async function toRgba(picture: Picture | FramePicture): Promise<RawPicture> {
  if ("data" in picture) return picture;
  if (isVideoFrame(picture)) return (await copyFrame(picture)) ?? draw(picture);
  if (!(picture instanceof Blob)) return draw(picture);
  const bitmap = await decode(picture);
  try {
    return draw(bitmap);
  } finally {
    bitmap.close();
  }
}

async function decode(blob: Blob): Promise<ImageBitmap> {
  // The header tells the size, so that a picture too large is refused before its pixels take memory.
  const header = await imageDimensionsFromStream(blob.stream()).catch(() => undefined);
  if (header) checkSize(header.width, header.height);
  return createImageBitmap(blob, { imageOrientation: "from-image" }).catch((cause) => {
    if (header && Math.max(header.width, header.height) > LONG_SIDE) {
      throw new Sam2Error(
        "IMAGE_TOO_LARGE",
        `The picture is ${header.width} x ${header.height} pixels, and this browser does not decode sides as long. ` +
          `Scale it down, or cut it into parts of up to ${LONG_SIDE} pixels a side.`,
        { cause },
      );
    }
    throw new Sam2Error(
      "INVALID_IMAGE",
      `The file ${blob.type ? `(${blob.type}) ` : ""}is cut or damaged, or not a picture this browser can decode. ` +
        "Get the whole file again, or convert it to PNG.",
      { cause },
    );
  });
}

function isVideoFrame(picture: object): picture is VideoFrame {
  return "displayWidth" in picture;
}

/** By the browser's own conversion, unless it has none or the frame is shown otherwise than it is stored. */
async function copyFrame(frame: VideoFrame): Promise<RawPicture | undefined> {
  const { displayWidth: width, displayHeight: height, visibleRect } = frame;
  const { rotation = 0, flip = false } = frame as { rotation?: number; flip?: boolean };
  if (rotation || flip || visibleRect?.width !== width || visibleRect.height !== height) return undefined;
  checkSize(width, height);
  const data = new Uint8ClampedArray(width * height * 4);
  try {
    await frame.copyTo(data, {
      format: "RGBA",
      colorSpace: "srgb",
      layout: [{ offset: 0, stride: width * 4 }],
    });
  } catch {
    return undefined;
  }
  return { data, width, height };
}

function draw(bitmap: ImageBitmap | VideoFrame): RawPicture {
  const [width, height] = isVideoFrame(bitmap)
    ? [bitmap.displayWidth, bitmap.displayHeight]
    : [bitmap.width, bitmap.height];
  checkSize(width, height);
  const data = new Uint8ClampedArray(width * height * 4);
  const columns = Math.min(width, TILE_WIDTH);
  const rows = Math.min(height, Math.floor(TILE_PIXELS / columns));
  const context = canvas2d(columns, rows);
  for (let left = 0; left < width; left += columns) {
    const across = Math.min(columns, width - left);
    for (let top = 0; top < height; top += rows) {
      const down = Math.min(rows, height - top);
      context.clearRect(0, 0, columns, rows);
      context.drawImage(bitmap, -left, -top);
      const tile = readPixels(context, across, down);
      if (across === width) {
        data.set(tile, top * width * 4);
        continue;
      }
      for (let row = 0; row < down; row++) {
        const line = tile.subarray(row * across * 4, (row + 1) * across * 4);
        data.set(line, ((top + row) * width + left) * 4);
      }
    }
  }
  return { data, width, height };
}

function readPixels(context: OffscreenCanvasRenderingContext2D, width: number, height: number) {
  try {
    return context.getImageData(0, 0, width, height, { colorSpace: "srgb" }).data;
  } catch (cause) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "The browser does not let this picture's pixels be read: it comes from another site. " +
        'Load it with crossOrigin="anonymous" from a server that allows it.',
      { cause },
    );
  }
}
