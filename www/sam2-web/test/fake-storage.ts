import { vi } from "vitest";

/** A browser's storage for files and its Cache API, over one map of paths. */
export class FakeStorage {
  /** In bytes. */
  quota = Number.POSITIVE_INFINITY;
  /** Says that it has written, and has not. */
  forgets = false;
  readonly #files = new Map<string, Uint8Array<ArrayBuffer>>();

  /** Puts one of them, both or none where the package looks for it. */
  install(kind: "opfs" | "cache-api" | "both" | "none"): void {
    const [hasFiles, hasCache] = [
      kind === "opfs" || kind === "both",
      kind === "cache-api" || kind === "both",
    ];
    vi.stubGlobal(
      "FileSystemFileHandle",
      hasFiles
        ? class {
            createWritable() {}
          }
        : undefined,
    );
    vi.stubGlobal("navigator", {
      storage: hasFiles ? { getDirectory: async () => this.#directory("") } : undefined,
    });
    vi.stubGlobal("caches", hasCache ? { open: async () => this.#cache() } : undefined);
  }

  /** The paths that have bytes. */
  names(): string[] {
    return [...this.#files.keys()];
  }

  damage(name: string): void {
    const file = this.#find(name);
    file[0] = (file[0] ?? 0) ^ 1;
  }

  lose(name: string): void {
    for (const path of this.names()) if (path.endsWith(`/${name}`)) this.#files.delete(path);
  }

  #find(name: string): Uint8Array {
    const found = [...this.#files].find(([path]) => path.endsWith(`/${name}`));
    if (!found) throw new Error(`nothing is kept as ${name}`);
    return found[1];
  }

  #put(path: string, bytes: Uint8Array): void {
    const others = [...this.#files].filter(([other]) => other !== path);
    if (others.reduce((sum, [, file]) => sum + file.length, bytes.length) > this.quota)
      throw new DOMException("The quota has been exceeded.", "QuotaExceededError");
    if (!this.forgets) this.#files.set(path, bytes.slice());
  }

  #directory(path: string): object {
    const missing = () =>
      new DOMException("A requested file or directory could not be found.", "NotFoundError");
    const inside = (name: string) => this.names().filter((other) => other.startsWith(`${path}${name}/`));
    return {
      getDirectoryHandle: async (name: string, options?: { create: boolean }) => {
        if (!options?.create && !inside(name).length) throw missing();
        return this.#directory(`${path}${name}/`);
      },
      getFileHandle: async (name: string, options?: { create: boolean }) => {
        const file = `${path}${name}`;
        if (!options?.create && !this.#files.has(file)) throw missing();
        return {
          getFile: async () => new Blob([this.#files.get(file) ?? new Uint8Array()]),
          createWritable: async () => {
            let written = new Uint8Array();
            return {
              write: async (bytes: Uint8Array<ArrayBuffer>) => {
                written = bytes.slice();
              },
              close: async () => this.#put(file, written),
              abort: async () => {},
            };
          },
        };
      },
      removeEntry: async (name: string) => {
        if (!inside(name).length) throw missing();
        for (const file of inside(name)) this.#files.delete(file);
      },
      keys: async function* (this: { names(): string[] }) {
        yield* this.names();
      },
      names: () => [
        ...new Set(
          this.names()
            .filter((other) => other.startsWith(path))
            .map((other) => other.slice(path.length).split("/")[0] ?? ""),
        ),
      ],
    };
  }

  #cache(): object {
    const pathOf = (url: string) => `cache/${url.replace(/^https:\/\/[^/]+\//, "")}`;
    const urlOf = (path: string) => path.replace("cache", "https://sam2-web.invalid");
    return {
      match: async (url: string) => {
        const bytes = this.#files.get(pathOf(url));
        return bytes && new Response(bytes);
      },
      put: async (url: string, response: Response) =>
        this.#put(pathOf(url), new Uint8Array(await response.arrayBuffer())),
      delete: async (url: string) => this.#files.delete(pathOf(url)),
      keys: async () =>
        this.names()
          .filter((path) => path.startsWith("cache/"))
          .map((path) => ({ url: urlOf(path) })),
    };
  }
}
