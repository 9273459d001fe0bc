import { Sam2Error } from "./errors.js";

/** 8192 x 8192: 256 MB as RGBA, about what a 32-bit wasm memory can take beside a model. The engine's limit too. */
export const MAX_PIXELS = 64 * 2 ** 20;

export function checkSize(width: number, height: number): void {
  if (!(width > 0 && height > 0)) {
    throw new Sam2Error(
      "INVALID_IMAGE",
      `The picture is empty (${width} x ${height} pixels). Is it loaded yet?`,
    );
  }
  if (width * height > MAX_PIXELS) {
    throw new Sam2Error(
      "IMAGE_TOO_LARGE",
      `The picture is ${width} x ${height} pixels, over the limit of 64 megapixels (8192 x 8192). ` +
        "Scale it down first, for instance with createImageBitmap(picture, { resizeWidth: 4096 }).",
    );
  }
}
