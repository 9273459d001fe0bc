import { Sam2Error } from "./errors.js";
import type { CallContext } from "./protocol.js";
import { headerEnd } from "./safetensors.js";
import { check } from "./until.js";
import { type Begun, PART_BYTES } from "./weights-store.js";

/** How often in a row a download that gets nowhere is taken up again. */
const RETRIES = 4;

export interface DownloadContext extends CallContext {
  /** In place of the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** What requests have besides. */
  request?: RequestInit | undefined;
  /** Told once: a safetensors file's bytes up to where its header ends. */
  onHeader?: ((header: Uint8Array) => void) | undefined;
  /** Told of each whole part, in order. */
  onPart?: ((index: number, bytes: Uint8Array<ArrayBuffer>) => void) | undefined;
  /** Told where the download begins, at first or anew. */
  onStart?: ((total: number, validator: string) => void) | undefined;
  /** A server that is silent for so long is given up, in milliseconds. */
  stallMs?: number | undefined;
  /** Before the first retry, in milliseconds; doubled for each one after it. */
  retryMs?: number | undefined;
}

/** A file that has come, and whether it came in more than one piece. */
export interface Downloaded {
  bytes: Uint8Array<ArrayBuffer>;
  pieces: number;
}

/** What ends an attempt, but not the download. */
class Interruption extends Error {}

/** The file has changed meanwhile, or the server does not give pieces of it. */
class Restart extends Error {}

/**
 * Downloads a file, on from what is there already. Where the connection is cut, or the server falls silent or is
 * overloaded, it asks for the rest by a range request; where the server gives no ranges, for the whole.
 *
 * @throws {@link Sam2Error} `NETWORK`, `OUT_OF_MEMORY`, `ABORTED`.
 */
export async function download(
  url: string,
  begun: Begun | undefined,
  context: DownloadContext,
): Promise<Downloaded> {
  const file = new Receiving(url, begun, context);
  let failures = 0;
  let restarts = 0;
  for (;;) {
    const before = file.loaded;
    try {
      await file.receive();
      return { bytes: file.bytes, pieces: file.pieces };
    } catch (thrown) {
      check(context.signal);
      if (thrown instanceof Restart && restarts < RETRIES) {
        restarts++;
        file.restart();
        continue;
      }
      if (!(thrown instanceof Interruption || thrown instanceof Restart)) throw thrown;
      failures = file.loaded > before ? 1 : failures + 1;
      // A server that never answered is most likely the wrong one, and the visitor waits to hear of it.
      if (failures > RETRIES || !file.answered) {
        throw new Sam2Error("NETWORK", thrown.message, { cause: thrown.cause });
      }
      await pause((context.retryMs ?? 500) * 2 ** (failures - 1), context.signal);
    }
  }
}

class Receiving {
  readonly #url: string;
  readonly #context: DownloadContext;
  /** One byte more than is known, so that the end is seen before the memory is full. */
  #buffer: Uint8Array<ArrayBuffer>;
  #total: number;
  #validator: string;
  #parts: number;
  #header: ((header: Uint8Array) => void) | undefined;
  loaded: number;
  pieces: number;
  /** Whether the server has ever given the file. */
  answered: boolean;

  constructor(url: string, begun: Begun | undefined, context: DownloadContext) {
    this.#url = url;
    this.#context = context;
    this.#total = begun?.total ?? 0;
    this.#validator = begun?.validator ?? "";
    this.loaded = begun?.bytes.length ?? 0;
    this.pieces = begun ? 1 : 0;
    this.answered = begun !== undefined;
    this.#parts = Math.floor(this.loaded / PART_BYTES);
    this.#header = context.onHeader;
    this.#buffer = begun?.bytes ?? new Uint8Array(0);
    if (begun) this.#tell();
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.loaded);
  }

  restart(): void {
    this.loaded = 0;
    this.#parts = 0;
    this.#total = 0;
    this.#validator = "";
  }

  /** One attempt, to the file's end. */
  async receive(): Promise<void> {
    const { signal, stallMs = 30_000 } = this.#context;
    const attempt = new AbortController();
    const abort = () => attempt.abort(signal?.reason);
    signal?.addEventListener("abort", abort);
    let stalled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        stalled = true;
        attempt.abort();
      }, stallMs);
    };
    try {
      heard();
      await this.#begin(attempt.signal, heard);
    } catch (cause) {
      if (cause instanceof Sam2Error || cause instanceof Interruption || cause instanceof Restart)
        throw cause;
      if (cause instanceof RangeError) throw outOfMemory(this.#url, cause);
      throw new Interruption(
        stalled
          ? `${this.#url} fell silent after ${this.loaded} bytes. Try again.`
          : this.answered
            ? `The download of ${this.#url} was cut after ${this.loaded} bytes. Try again.`
            : `${this.#url} could not be fetched. Check the connection, the server's CORS headers and the page's ` +
              "connect-src policy.",
        { cause },
      );
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      attempt.abort(); // An answer that is not read to its end would hold the connection.
    }
  }

  async #begin(signal: AbortSignal, heard: () => void): Promise<void> {
    const from = this.loaded;
    const { fetch = globalThis.fetch, request } = this.#context;
    const headers = new Headers(request?.headers);
    if (from) headers.set("Range", `bytes=${from}-`);
    const response = await fetch(this.#url, { ...request, headers, signal });
    if (from && response.status === 416) {
      // The end may have come without being seen.
      if (from === this.#total) return;
      throw new Restart(`${this.#url} is no longer the file whose beginning has come. Try again.`);
    }
    this.#checkStatus(response);
    this.answered = true;
    this.pieces++;
    const partial = response.status === 206;
    const encoded = response.headers.has("Content-Encoding");
    const validator = response.headers.get("ETag") ?? response.headers.get("Last-Modified") ?? "";
    // With a Content-Encoding the length is that of the compressed body, so it says nothing here.
    const length = encoded ? 0 : Number(response.headers.get("Content-Length") ?? 0);
    if (partial) this.#checkRange(response, from, length, validator);
    if (from && !partial) this.restart();
    if (!partial || !from) {
      this.#total = length;
      this.#validator = validator;
      this.#reserve(length);
      this.#context.onStart?.(length, validator);
    }
    this.#tell();
    await this.#read(response, heard);
    if (this.#total && this.loaded !== this.#total)
      throw new Interruption(`${this.#url} ended after ${this.loaded} of ${this.#total} bytes. Try again.`);
  }

  #checkStatus(response: Response): void {
    const { status } = response;
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      this.answered = true;
      throw new Interruption(
        `${this.#url} answered ${status}: the server is overloaded or failing. Try later.`,
      );
    }
    if (!response.ok) {
      const advice =
        status === 401 || status === 403
          ? "It wants a permission that this page has not: serve your own copy, by baseUrl."
          : "Check the model's URL or baseUrl.";
      throw new Sam2Error("NETWORK", `${this.#url} answered ${status}. ${advice}`);
    }
    // Development servers answer a missing file with the start page.
    if (response.headers.get("Content-Type")?.startsWith("text/html")) {
      throw new Sam2Error(
        "NETWORK",
        `${this.#url} is a web page, not a weights file. Is the file where the URL points?`,
      );
    }
  }

  /** That the piece is of the same file, and the one that was asked for, as far as the server lets it be seen. */
  #checkRange(response: Response, from: number, length: number, validator: string): void {
    const changed = new Restart(`${this.#url} changes while it is downloaded. Try again.`);
    if (this.#validator && validator && validator !== this.#validator) throw changed;
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get("Content-Range") ?? "");
    if (range && Number(range[1]) !== from) throw changed;
    const total = range && range[2] !== "*" ? Number(range[2]) : length ? from + length : 0;
    if (this.#total && total && total !== this.#total) throw changed;
    this.#total ||= total;
  }

  async #read(response: Response, heard: () => void): Promise<void> {
    const reader = response.body?.getReader();
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
      if (done || !value) break;
      heard();
      this.#reserve(this.loaded + value.length);
      this.#buffer.set(value, this.loaded);
      this.loaded += value.length;
      this.#tell();
    }
  }

  #reserve(bytes: number): void {
    if (bytes < this.#buffer.length) return;
    const larger = new Uint8Array(
      Math.max(this.#total, bytes, this.#total ? 0 : 2 * this.#buffer.length) + 1,
    );
    larger.set(this.bytes);
    this.#buffer = larger;
  }

  /** Of what has come: progress, the header, whole parts. */
  #tell(): void {
    const { onProgress, onPart } = this.#context;
    onProgress?.({ phase: "download", loaded: this.loaded, total: this.#total });
    const end = this.#header && headerEnd(this.bytes);
    if (end && this.loaded >= end) {
      this.#header?.(this.#buffer.slice(0, end));
      this.#header = undefined;
    }
    for (; (this.#parts + 1) * PART_BYTES <= this.loaded; this.#parts++) {
      const part = this.#buffer.subarray(this.#parts * PART_BYTES, (this.#parts + 1) * PART_BYTES);
      onPart?.(this.#parts, part);
    }
  }
}

function outOfMemory(url: string, cause: unknown): Sam2Error {
  return new Sam2Error(
    "OUT_OF_MEMORY",
    `There is no memory for ${url}. Use a smaller model, or close other tabs.`,
    { cause },
  );
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      try {
        check(signal);
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
