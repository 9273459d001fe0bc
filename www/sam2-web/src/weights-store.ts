import { type BrowserStorage, cacheApi, type Folder, opfs } from "./browser-storage.js";
import { Sam2Error } from "./errors.js";

/** Where files are kept: in the origin private file system where there is one, else by the Cache API; or in one of them. */
export type Store = "auto" | "opfs" | "cache-api" | "none";

/** A model file that is kept in this browser. */
export interface CachedWeights {
  url: string;
  bytes: number;
}

/**
 * Bytes of a part. Files are kept in parts, so that a download that ends too soon, be it because the page is closed, goes
 * on after the last whole part.
 */
export const PART_BYTES = 2 << 20;

/** What is known of a file, kept beside its parts and rewritten after each. */
interface Note {
  url: string;
  /** Of the whole file in bytes; 0 where the server did not say. */
  total: number;
  /** How many whole parts are there. */
  parts: number;
  /** The server's ETag or date, to tell whether what follows is of the same file. */
  validator: string;
  /** Whether the file is whole and has been found good. */
  complete: boolean;
}

const NOTE = "note.json";

/** What is there of a file. */
export interface Begun {
  bytes: Uint8Array<ArrayBuffer>;
  total: number;
  validator: string;
  complete: boolean;
}

/** A file's place in the store. What cannot be kept is not: that never stops a model from running. */
export class StoredFile {
  readonly #url: string;
  readonly #folder: Folder | undefined;
  readonly #keep: boolean;
  #note: Note;
  #writes: Promise<void> = Promise.resolve();
  #failure: Sam2Error | undefined;

  private constructor(url: string, folder: Folder | undefined, keep: boolean) {
    this.#url = url;
    this.#folder = folder;
    this.#keep = keep;
    this.#note = blank(url);
    if (keep && !folder) this.#failure = noRoom("this page may store nothing (is it a private window?)");
  }

  /** @param keep - whether anything new is to be kept; what is there is read in any case. */
  static async open(url: string, store: Store, keep: boolean): Promise<StoredFile> {
    const places = await storagesOf(store);
    const name = places.length ? await nameOf(url) : "";
    // Where it is already, if it is.
    for (const place of places)
      if (await noteIn(place.folder(name))) return new StoredFile(url, place.folder(name), keep);
    return new StoredFile(url, places[0]?.folder(name), keep);
  }

  /** What is there already. */
  async read(): Promise<Begun | undefined> {
    const note = this.#folder && (await noteIn(this.#folder));
    if (!this.#folder || note?.url !== this.#url) return undefined;
    // An unfinished one is the business of whoever keeps it.
    if (!note.complete && !this.#keep) return undefined;
    const count = note.complete ? Math.ceil(note.total / PART_BYTES) : note.parts;
    const bytes = new Uint8Array(note.complete ? note.total : count * PART_BYTES);
    for (let i = 0; i < count; i++) {
      const part = await this.#folder.read(String(i));
      const wanted = Math.min(PART_BYTES, bytes.length - i * PART_BYTES);
      if (part?.byteLength !== wanted) return undefined;
      bytes.set(new Uint8Array(part), i * PART_BYTES);
    }
    this.#note = note;
    const { total, validator, complete } = note;
    return { bytes, total, validator, complete };
  }

  /** The download begins anew: what was kept of it is of no use. */
  restart(total: number, validator: string): void {
    this.#write(async (folder) => {
      await folder.remove();
      this.#note = { ...blank(this.#url), total, validator };
    });
  }

  /** Keeps a whole part. */
  part(index: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#write(async (folder) => {
      if (index !== this.#note.parts) return; // It is there already.
      await folder.write(String(index), bytes);
      this.#note.parts = index + 1;
      await this.#writeNote(folder);
    });
  }

  /** The whole file is good: keeps the rest. Answers why it could not be kept, if it could not. */
  async complete(bytes: Uint8Array<ArrayBuffer>): Promise<Sam2Error | undefined> {
    this.#write(async (folder) => {
      if (this.#note.complete) return;
      const count = Math.ceil(bytes.length / PART_BYTES);
      for (let i = this.#note.parts; i < count; i++) {
        await folder.write(String(i), bytes.subarray(i * PART_BYTES, (i + 1) * PART_BYTES));
      }
      this.#note = { ...this.#note, total: bytes.length, parts: count, complete: true };
      await this.#writeNote(folder);
      // Private windows of some browsers say that they have written, and have not.
      if (!(await noteIn(folder))?.complete)
        throw new Error("it was written and is not there (is it a private window?)");
    });
    await this.#writes;
    return this.#keep ? this.#failure : undefined;
  }

  /** Forgets the file: it is no good. */
  async drop(): Promise<void> {
    await this.#writes;
    this.#note = blank(this.#url);
    await this.#folder?.remove();
  }

  #write(work: (folder: Folder) => Promise<void>): void {
    const folder = this.#folder;
    if (!this.#keep || !folder) return;
    this.#writes = this.#writes.then(async () => {
      if (this.#failure) return;
      try {
        await work(folder);
      } catch (error) {
        this.#failure = noRoom(String((error as Error)?.message ?? error), error);
        await folder.remove().catch(() => {});
      }
    });
  }

  #writeNote(folder: Folder): Promise<void> {
    return folder.write(NOTE, new TextEncoder().encode(JSON.stringify(this.#note)));
  }
}

/** Whether the whole file is kept. */
export async function isKept(url: string): Promise<boolean> {
  return (await listCached()).some((kept) => kept.url === url);
}

/** Deletes a file and what there is of it, wherever it is. */
export async function dropCached(url: string): Promise<void> {
  const name = await nameOf(url).catch(() => "");
  for (const storage of await storagesOf("auto")) if (name) await storage.folder(name).remove();
}

/** Deletes everything. */
export async function dropAll(): Promise<void> {
  for (const storage of await storagesOf("auto"))
    for (const name of await storage.folders()) await storage.folder(name).remove();
}

export async function listCached(): Promise<CachedWeights[]> {
  const found: CachedWeights[] = [];
  for (const storage of await storagesOf("auto")) {
    for (const name of await storage.folders()) {
      const note = await noteIn(storage.folder(name));
      if (note?.complete) found.push({ url: note.url, bytes: note.total });
    }
  }
  return found;
}

/** The first of them is the one to keep new files in. */
async function storagesOf(store: Store): Promise<BrowserStorage[]> {
  if (store === "none") return [];
  const found = await Promise.all([
    store === "cache-api" ? undefined : opfs(),
    store === "opfs" ? undefined : cacheApi(),
  ]);
  return found.filter((storage) => storage !== undefined);
}

async function noteIn(folder: Folder): Promise<Note | undefined> {
  try {
    const bytes = await folder.read(NOTE);
    return bytes && (JSON.parse(new TextDecoder().decode(bytes)) as Note);
  } catch {
    return undefined;
  }
}

function blank(url: string): Note {
  return { url, total: 0, parts: 0, validator: "", complete: false };
}

/** Short, and safe as a file's name. */
async function nameOf(url: string): Promise<string> {
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", new TextEncoder().encode(url));
  return digest ? hex(digest).slice(0, 32) : ""; // Without it the page is insecure, and may store nothing.
}

export function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function noRoom(why: string, cause?: unknown): Sam2Error {
  return new Sam2Error(
    "QUOTA_EXCEEDED",
    `The model's file could not be kept in this browser: ${why}. Free some space, or clear other models by ` +
      "Sam2.clearCache.",
    { cause },
  );
}
