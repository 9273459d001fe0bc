import { Sam2Error } from "./errors.js";
import { headerEnd, readHeader } from "./safetensors.js";
import { checkSize } from "./size.js";

/** What the mask decoder reads of a picture, at strides of 4, 8 and 16 pixels of the network's square. */
export type Features = readonly [highRes0: Float32Array, highRes1: Float32Array, embedding: Float32Array];

/** A picture's features as a file. */
export interface SavedEmbedding {
  features: Features;
  /** The model that made them, by {@link fingerprint} and image size. */
  model: string;
  /** The picture's, in pixels. */
  width: number;
  height: number;
}

/** Their names in the file, as in the network's code. */
const NAMES = ["high_res_0", "high_res_1", "embedding"] as const;

/** How many bytes of a weights file its fingerprint is made of. */
const SAMPLES = 1 << 16;

/** A safetensors file of f32, whose metadata tell the model and the picture's size. */
export function writeEmbedding({ features, model, width, height }: SavedEmbedding): Blob {
  const header: Record<string, unknown> = {
    __metadata__: { format: "sam2-web embedding", model, width: String(width), height: String(height) },
  };
  let end = 0;
  for (const [i, name] of NAMES.entries()) {
    const { length, byteLength } = features[i] as Float32Array;
    header[name] = { dtype: "F32", shape: [length], data_offsets: [end, end + byteLength] };
    end += byteLength;
  }
  const text = JSON.stringify(header);
  const padded = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = new DataView(new ArrayBuffer(8));
  length.setBigUint64(0, BigInt(padded.length), true);
  return new Blob([length.buffer, padded, ...(features as readonly BlobPart[])], {
    type: "application/octet-stream",
  });
}

/**
 * Reads what {@link writeEmbedding} has written.
 *
 * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for another file; `IMAGE_TOO_LARGE`.
 */
export async function readEmbedding(file: Blob): Promise<SavedEmbedding> {
  const buffer = await file.arrayBuffer();
  const bytes = new Uint8Array(buffer);
  const end = headerEnd(bytes);
  const header = end === undefined ? undefined : readHeader(bytes.subarray(0, end));
  const { format, model, ...size } = (header?.__metadata__ ?? {}) as Record<string, unknown>;
  const [width, height] = [Number(size.width), Number(size.height)];
  if (!header || end === undefined || format !== "sam2-web embedding" || typeof model !== "string")
    throw notOurs("it has another format");
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0))
    throw notOurs("the picture's size is missing");
  checkSize(width, height);
  const features = NAMES.map((name) => {
    const [from = -1, to = -1] = header[name]?.data_offsets ?? [];
    const isWhole = from >= 0 && to >= from && (to - from) % 4 === 0 && end + to <= buffer.byteLength;
    if (!isWhole) throw notOurs("it is cut or damaged");
    return new Float32Array(buffer.slice(end + from, end + to));
  });
  return { features: features as unknown as Features, model, width, height };
}

/** Tells weights files from each other, by some of their bytes and their length (32-bit FNV-1a, twice). */
export function fingerprint(weights: Uint8Array): string {
  let [a, b] = [0x811c9dc5, 0x811c9dc5 ^ weights.length];
  const step = Math.max(1, Math.floor(weights.length / SAMPLES));
  for (let i = 0; i < weights.length; i += step) {
    a = Math.imul(a ^ (weights[i] as number), 0x01000193);
    b = Math.imul(b ^ (weights[weights.length - 1 - i] as number), 0x01000193);
  }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
}

function notOurs(why: string): Sam2Error {
  return new Sam2Error(
    "UNSUPPORTED_INPUT",
    `This is not a file of ImageEmbedding.save: ${why}. Encode the picture by setImage.`,
  );
}
