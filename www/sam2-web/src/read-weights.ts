import { type DownloadContext, download } from "./download.js";
import { Sam2Error } from "./errors.js";
import { readFileUrl } from "./file-url.js";
import type { RemoteWeights, WeightsSource } from "./protocol.js";
import { dataLength, headerEnd, readHeader } from "./safetensors.js";
import { check } from "./until.js";
import { hex, StoredFile } from "./weights-store.js";

type Context = Omit<DownloadContext, "onPart" | "onStart">;

/** A file's bytes, and what becomes of them in the browser's storage. */
export interface Weights {
  bytes: Uint8Array<ArrayBuffer>;
  /**
   * Keeps the file for the next visit, if it was downloaded and may be kept: once it is known to be good. Answers why it
   * could not be kept, if it could not.
   */
  keep(): Promise<Sam2Error | undefined>;
  /** Forgets the file: it is no good. */
  drop(): Promise<void>;
}

/**
 * The whole file, from the caller, from the browser's storage or from the network. Where its hash is known, it is of that
 * hash.
 *
 * @throws {@link Sam2Error} `NETWORK`, `WEIGHTS_CORRUPT`, `OUT_OF_MEMORY`, `ABORTED`.
 */
export async function readWeights(source: WeightsSource, context: Context): Promise<Weights> {
  const given = (bytes: ArrayBuffer): Weights => ({
    bytes: new Uint8Array(bytes),
    keep: async () => undefined,
    drop: async () => {},
  });
  if (source instanceof ArrayBuffer) {
    if (source.byteLength) return given(source);
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "The model's ArrayBuffer is empty. If it was handed over to someone else, pass a copy, or a Blob.",
    );
  }
  if (source instanceof Blob) return given(await source.arrayBuffer());
  if (source.url.startsWith("file:") && !context.fetch) {
    const { buffer, byteOffset, byteLength } = await readFileUrl(source.url);
    return given(buffer.slice(byteOffset, byteOffset + byteLength));
  }
  const stored = await StoredFile.open(source.url, source.store, source.keep);
  const bytes = source.bytes ? new Uint8Array(source.bytes) : await fetchWeights(source, stored, context);
  return { bytes, keep: () => stored.complete(bytes), drop: () => stored.drop() };
}

async function fetchWeights(
  { url, sha256, request }: RemoteWeights,
  stored: StoredFile,
  context: Context,
): Promise<Uint8Array<ArrayBuffer>> {
  const { onProgress, signal } = context;
  for (let begun = await stored.read(); ; begun = undefined) {
    const { bytes, pieces } = begun?.complete
      ? { bytes: begun.bytes, pieces: 0 }
      : await download(url, begun, {
          ...context,
          request,
          onStart: (total, validator) => stored.restart(total, validator),
          onPart: (index, part) => stored.part(index, part),
        });
    const loaded = bytes.length;
    if (begun?.complete) onProgress?.({ phase: "download", loaded, total: loaded });
    onProgress?.({ phase: "verify", loaded: 0, total: 1 });
    const found = sha256 === undefined ? undefined : await digest(bytes);
    check(signal);
    if (found === sha256 || found === undefined) return bytes;
    await stored.drop();
    // Of pieces, or from the storage, some may be old: the whole is asked for once more.
    if (pieces === 1) throw corrupt(url, sha256 ?? "", found, loaded);
  }
}

/** In an insecure page browsers compute no hashes. */
async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string | undefined> {
  const made = await globalThis.crypto?.subtle?.digest("SHA-256", bytes);
  return made && hex(made);
}

/**
 * That a file may be one of weights, as far as that shows without a model: a safetensors file whose header ends where
 * its bytes do, or a ZIP.
 *
 * @throws {@link Sam2Error} `WEIGHTS_CORRUPT`.
 */
export function checkForm(url: string, bytes: Uint8Array<ArrayBuffer>): void {
  const isZip = bytes[0] === 0x50 && bytes[1] === 0x4b;
  if (isZip || safetensorsLength(bytes) === bytes.length) return;
  throw new Sam2Error(
    "WEIGHTS_CORRUPT",
    `${url} is no whole weights file: ${bytes.length} bytes that are neither safetensors nor a .pt. Does the server ` +
      "answer with something else, such as a pointer of Git LFS?",
  );
}

function safetensorsLength(bytes: Uint8Array<ArrayBuffer>): number | undefined {
  const end = headerEnd(bytes);
  if (!end || end > bytes.length) return undefined;
  const header = readHeader(bytes.subarray(0, end));
  return header && end + dataLength(header);
}

function corrupt(url: string, wanted: string, found: string, bytes: number): Sam2Error {
  return new Sam2Error(
    "WEIGHTS_CORRUPT",
    `What ${url} gave is damaged or another file: its ${bytes} bytes have the SHA-256 ${found}, not ${wanted}. Try again; ` +
      "if it stays so, something between here and the server changes it.",
  );
}
