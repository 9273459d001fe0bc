import { Sam2Error } from "./errors.js";
import type { CallContext, WeightsSource } from "./protocol.js";
import { dropCached, findCached, keepCached } from "./weights-cache.js";

/** Longest header that is waited for; other kinds of files seem to claim far more. */
const MAX_HEADER = 16 << 20;

interface Context extends CallContext {
  /** Told once, of a download: a safetensors file's bytes up to where its header ends. */
  onHeader?: ((header: Uint8Array) => void) | undefined;
}

/** A file's bytes, and what becomes of them in the browser's cache. */
export interface Weights {
  bytes: Uint8Array;
  /** Keeps the file for the next visit, if it was downloaded and may be kept: once it is known to be good. */
  keep(): Promise<void>;
  /** Forgets the file: it is no good. */
  drop(): Promise<void>;
}

/** The whole file. */
export async function readWeights(source: WeightsSource, context: Context): Promise<Weights> {
  const nothing = async () => {};
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source), keep: nothing, drop: nothing };
  if (source instanceof Blob) {
    return { bytes: new Uint8Array(await source.arrayBuffer()), keep: nothing, drop: nothing };
  }
  const { url, cache } = source;
  const kept = cache ? await findCached(url) : undefined;
  const bytes = await readBody(kept ?? (await request(url, context.signal)), url, context);
  return {
    bytes,
    keep: () => (cache && !kept ? keepCached(url, bytes) : nothing()),
    drop: async () => {
      if (cache) await dropCached(url);
    },
  };
}

async function request(url: string, signal: AbortSignal | undefined): Promise<Response> {
  const response = await fetch(url, { signal: signal ?? null }).catch((cause) => {
    throw new Sam2Error(
      "NETWORK",
      `${url} could not be fetched. Check the connection, the server's CORS headers and the page's connect-src policy.`,
      { cause },
    );
  });
  if (!response.ok) {
    throw new Sam2Error("NETWORK", `${url} answered ${response.status}. Check the model's URL or baseUrl.`);
  }
  // Development servers answer a missing file with the start page.
  if (response.headers.get("Content-Type")?.startsWith("text/html")) {
    throw new Sam2Error(
      "NETWORK",
      `${url} is a web page, not a weights file. Is the file where the URL points?`,
    );
  }
  return response;
}

async function readBody(
  response: Response,
  url: string,
  { onProgress, onHeader }: Context,
): Promise<Uint8Array<ArrayBuffer>> {
  // With a Content-Encoding the length is that of the compressed body, so it says nothing here.
  const encoded = response.headers.has("Content-Encoding");
  const total = encoded ? 0 : Number(response.headers.get("Content-Length") ?? 0);
  // One byte more, so that the end is seen before the memory is full.
  let bytes = new Uint8Array((total || 1 << 20) + 1);
  let loaded = 0;
  let header = onHeader;
  onProgress?.({ phase: "download", loaded, total });
  try {
    const read = response.body && reader(response.body);
    for (;;) {
      if (loaded === bytes.length) {
        const larger = new Uint8Array(bytes.length * 2);
        larger.set(bytes);
        bytes = larger;
      }
      const part = await read?.(bytes, loaded);
      if (part) bytes = part.bytes;
      if (!part?.length) break;
      loaded += part.length;
      onProgress?.({ phase: "download", loaded, total });
      const end = header && headerEnd(bytes.subarray(0, loaded));
      if (end && loaded >= end) {
        header?.(bytes.slice(0, end));
        header = undefined;
      }
    }
  } catch (cause) {
    throw new Sam2Error("NETWORK", `The download of ${url} was cut after ${loaded} bytes. Try again.`, {
      cause,
    });
  }
  if (total && loaded !== total) {
    throw new Sam2Error("NETWORK", `${url} ended after ${loaded} of ${total} bytes. Try again.`);
  }
  return bytes.subarray(0, loaded);
}

/** Where a safetensors file's header ends, if its length is known yet. */
function headerEnd(bytes: Uint8Array): number | undefined {
  if (bytes.length < 8) return undefined;
  const end = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return end <= MAX_HEADER ? end : undefined;
}

interface Part {
  /** What was given, or the same memory moved to another object. */
  bytes: Uint8Array<ArrayBuffer>;
  length: number;
}

/** Reads on into `bytes`, from byte `at` on; a length of 0 is the end. */
function reader(body: ReadableStream<Uint8Array>): (bytes: Part["bytes"], at: number) => Promise<Part> {
  try {
    // Without a copy, in half the time; Safari learnt it late.
    const direct = body.getReader({ mode: "byob" });
    return async (bytes, at) => {
      const { value } = await direct.read(bytes.subarray(at));
      // The end gives the memory back too.
      return value ? { bytes: new Uint8Array(value.buffer), length: value.length } : { bytes, length: 0 };
    };
  } catch {
    const parts = body.getReader();
    let rest: Uint8Array = new Uint8Array();
    return async (bytes, at) => {
      while (!rest.length) {
        const { value, done } = await parts.read();
        if (done) break;
        rest = value;
      }
      const part = rest.subarray(0, bytes.length - at);
      bytes.set(part, at);
      rest = rest.subarray(part.length);
      return { bytes, length: part.length };
    };
  }
}
