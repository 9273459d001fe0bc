import { Sam2Error } from "./errors.js";

/** 64 megapixels: 256 MB as RGBA, about what a 32-bit wasm memory can take beside a model. */
export const MAX_PIXELS = 64e6;

export function checkSize(width: number, height: number): void {
  if (!(width > 0 && height > 0)) {
    throw new Sam2Error(
      "INVALID_IMAGE",
      `The picture is empty (${width} x ${height} pixels). Is it loaded yet?`,
    );
  }
  if (width * height > MAX_PIXELS) {
    const size = `${width} x ${height}`;
    const megapixels = ((width * height) / 1e6).toFixed(0);
    throw new Sam2Error(
      "IMAGE_TOO_LARGE",
      `The picture has ${size} pixels (${megapixels} megapixels); the limit is ${MAX_PIXELS / 1e6}. ` +
        "Scale it down first, for instance with createImageBitmap(picture, { resizeWidth }).",
    );
  }
}
