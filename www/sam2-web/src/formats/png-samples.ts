import { checkSize } from "../size.js";
import { invalid } from "./labels.js";

/** The size stands there in every PNG, which begins so. */
const [SIZE_AT, SIGNATURE] = [16, 0x89504e47];

/** A PNG's first samples of its pixels, as they stand in the file: indices of a palette, or grey. */
export interface Samples {
  width: number;
  height: number;
  /** Row by row. */
  values: Uint8Array | Uint16Array;
}

/** Rejects with `INVALID_LABELS` for what is no PNG, or has colours that are no palette's, with `IMAGE_TOO_LARGE` for one that is. */
export async function readSamples(file: Uint8Array, format: string): Promise<Samples> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  // A few bytes may claim a picture that would take all memory.
  if (file.length >= SIZE_AT + 8 && view.getUint32(0) === SIGNATURE)
    checkSize(view.getUint32(SIZE_AT), view.getUint32(SIZE_AT + 4));
  const { decode } = await import("fast-png");
  let png: ReturnType<typeof decode>;
  try {
    png = decode(file);
  } catch (cause) {
    throw invalid(format, `it is no PNG that can be read (${(cause as Error).message})`, cause);
  }
  const { width, height, depth, channels, data } = png;
  if (channels > 2)
    throw invalid(format, "its pixels are colours, and not indices of a palette or grey levels");
  if (depth === 16)
    return {
      width,
      height,
      values: Uint16Array.from({ length: width * height }, (_, i) => data[i * channels] ?? 0),
    };
  const values = new Uint8Array(width * height);
  if (depth === 8) {
    for (let i = 0; i < values.length; i++) values[i] = data[i * channels] ?? 0;
    return { width, height, values };
  }
  const rowBytes = Math.ceil((width * depth) / 8);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const bit = x * depth;
      const byte = data[y * rowBytes + (bit >> 3)] ?? 0;
      values[i] = (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
    }
  }
  return { width, height, values };
}
