/** A place for named bytes in the browser's storage. */
export interface Folder {
  read(name: string): Promise<ArrayBuffer | undefined>;
  /** Rejects with the browser's own error, such as `QuotaExceededError`. */
  write(name: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /** With all that is in it. */
  remove(): Promise<void>;
}

/** One kind of storage that the browser has. */
export interface BrowserStorage {
  folder(name: string): Folder;
  folders(): Promise<string[]>;
}

const NAME = "sam2-web-weights";

/** Undefined in an insecure page, where the visitor allows no storage, and where its files cannot be written to. */
export async function opfs(): Promise<BrowserStorage | undefined> {
  const writable =
    typeof FileSystemFileHandle !== "undefined" && "createWritable" in FileSystemFileHandle.prototype;
  const storage = (globalThis.navigator as Navigator | undefined)?.storage;
  if (!writable || !storage?.getDirectory) return undefined;
  let root: FileSystemDirectoryHandle;
  try {
    root = await (await storage.getDirectory()).getDirectoryHandle(NAME, { create: true });
  } catch {
    return undefined;
  }
  return {
    folder: (name) => ({
      read: async (file) => {
        try {
          const folder = await root.getDirectoryHandle(name);
          return await (await (await folder.getFileHandle(file)).getFile()).arrayBuffer();
        } catch {
          return undefined;
        }
      },
      write: async (file, bytes) => {
        const folder = await root.getDirectoryHandle(name, { create: true });
        // The bytes are in the file once it is closed, and not at all before.
        const stream = await (await folder.getFileHandle(file, { create: true })).createWritable();
        try {
          await stream.write(bytes);
          await stream.close();
        } catch (error) {
          await stream.abort().catch(() => {});
          throw error;
        }
      },
      remove: () => root.removeEntry(name, { recursive: true }).catch(() => {}),
    }),
    folders: async () => {
      const names: string[] = [];
      for await (const name of (root as unknown as { keys(): AsyncIterable<string> }).keys())
        names.push(name);
      return names;
    },
  };
}

/** Undefined in an insecure page, and where the visitor allows no storage. */
export async function cacheApi(): Promise<BrowserStorage | undefined> {
  const cache = await globalThis.caches?.open(NAME).catch(() => undefined);
  if (!cache) return undefined;
  // Entries are named by URLs. These are never fetched.
  const base = "https://sam2-web.invalid/";
  const paths = async () => (await cache.keys()).map(({ url }) => url.slice(base.length));
  return {
    folder: (name) => ({
      read: async (file) => (await cache.match(`${base}${name}/${file}`))?.arrayBuffer(),
      write: (file, bytes) => cache.put(`${base}${name}/${file}`, new Response(bytes)),
      remove: async () => {
        const inside = (await paths()).filter((path) => path.startsWith(`${name}/`));
        await Promise.all(inside.map((path) => cache.delete(base + path)));
      },
    }),
    folders: async () => [...new Set((await paths()).map((path) => path.split("/")[0] ?? ""))],
  };
}
