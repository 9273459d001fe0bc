import { Sam2Error } from "./errors.js";
import type { CallContext, WeightsSource } from "./protocol.js";

const CACHE_NAME = "sam2-web-weights";

/** The whole file. */
export async function readWeights(source: WeightsSource, context: CallContext): Promise<Uint8Array> {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  const store = source.cache ? await openCache() : undefined;
  const kept = await store?.match(source.url).catch(() => undefined);
  if (kept) return readBody(kept, source.url, context);
  const bytes = await readBody(await request(source.url, context.signal), source.url, context);
  // A full disk or a private window must not stop the model from running.
  await store
    ?.put(source.url, new Response(bytes, { headers: { "Content-Length": `${bytes.length}` } }))
    .catch(() => {});
  return bytes;
}

async function openCache(): Promise<Cache | undefined> {
  return globalThis.caches?.open(CACHE_NAME).catch(() => undefined);
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
  { onProgress }: CallContext,
): Promise<Uint8Array<ArrayBuffer>> {
  // With a Content-Encoding the length is that of the compressed body, so it says nothing here.
  const encoded = response.headers.has("Content-Encoding");
  const total = encoded ? 0 : Number(response.headers.get("Content-Length") ?? 0);
  let bytes = new Uint8Array(total || 1 << 20);
  let loaded = 0;
  onProgress?.({ phase: "download", loaded, total });
  try {
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      if (loaded + part.value.length > bytes.length) {
        const larger = new Uint8Array(Math.max(bytes.length * 2, loaded + part.value.length));
        larger.set(bytes.subarray(0, loaded));
        bytes = larger;
      }
      bytes.set(part.value, loaded);
      loaded += part.value.length;
      onProgress?.({ phase: "download", loaded, total });
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
