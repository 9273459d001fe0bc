const CACHE_NAME = "sam2-web-weights";

/** A model file that is kept in this browser. */
export interface CachedWeights {
  url: string;
  bytes: number;
}

async function open(): Promise<Cache | undefined> {
  // None in an insecure page, or where the visitor allows no storage.
  return globalThis.caches?.open(CACHE_NAME).catch(() => undefined);
}

export async function findCached(url: string): Promise<Response | undefined> {
  return (await open())?.match(url).catch(() => undefined);
}

/** A full disk or a private window must not stop the model from running. */
export async function keepCached(url: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const headers = { "Content-Length": `${bytes.length}` };
  await (await open())?.put(url, new Response(bytes, { headers })).catch(() => {});
}

/** Whether there was something to delete. */
export async function dropCached(url: string): Promise<boolean> {
  return (await (await open())?.delete(url).catch(() => false)) ?? false;
}

export async function listCached(): Promise<CachedWeights[]> {
  const cache = await open();
  const requests = (await cache?.keys().catch(() => [])) ?? [];
  return Promise.all(
    requests.map(async ({ url }) => {
      const kept = await cache?.match(url);
      return { url, bytes: Number(kept?.headers.get("Content-Length") ?? 0) };
    }),
  );
}
