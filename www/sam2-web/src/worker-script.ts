import { Sam2Error } from "./errors.js";
import { ifOpenedFromDisk } from "./file-url.js";

/**
 * A worker at `url`; without one, of `make`'s making. Where its script is of another origin, such as a CDN's, browsers
 * refuse it, and a script of the page's own starts it.
 *
 * @throws {@link Sam2Error} `NETWORK`, `UNSUPPORTED_ENVIRONMENT`.
 */
export function startWorker(make: () => Worker, url?: string): Worker {
  if (typeof Worker === "undefined") {
    throw new Sam2Error(
      "UNSUPPORTED_ENVIRONMENT",
      "There are no web workers here. Load it with worker: false: it then runs on the calling thread.",
    );
  }
  try {
    return url === undefined ? startMade(make) : startAt(url, { type: "module" });
  } catch (cause) {
    throw (
      ifOpenedFromDisk() ??
      new Sam2Error(
        "NETWORK",
        `The worker could not be started: ${(cause as Error).message} Serve the package from the page's own origin, ` +
          "say by workerUrl where its workers are, or load it with worker: false.",
        { cause },
      )
    );
  }
}

function startMade(make: () => Worker): Worker {
  try {
    return make();
  } catch (error) {
    const { url, options } = whatItMakes(make);
    if (!url || !isForeign(url)) throw error;
    return startAt(url, options);
  }
}

function startAt(url: string, options: WorkerOptions): Worker {
  // Not `new Worker`, which bundlers would take for theirs.
  const { Worker: Started } = globalThis;
  if (!isForeign(url)) return new Started(url, options);
  const address = JSON.stringify(url);
  // Classic scripts, which bundlers write, load more of themselves by importScripts, which modules have not.
  const script = options.type === "module" ? `import ${address};` : `importScripts(${address});`;
  // Never revoked: the browser may not have read it yet, and it is a hundred bytes.
  return new Started(URL.createObjectURL(new Blob([script], { type: "text/javascript" })), options);
}

function isForeign(url: string): boolean {
  const { protocol, origin } = new URL(url);
  return /^https?:$/.test(protocol) && origin !== globalThis.location?.origin;
}

/** What a bundler has written into `new Worker(…)` in place of our address: only the class it calls is told. */
function whatItMakes(make: () => Worker): { url?: string; options: WorkerOptions } {
  const { Worker: real } = globalThis;
  let told: { url?: string; options: WorkerOptions } = { options: {} };
  globalThis.Worker = class {
    constructor(url: string | URL, options: WorkerOptions = {}) {
      told = { url: new URL(url, globalThis.location?.href).href, options };
    }
  } as unknown as typeof Worker;
  try {
    make();
  } finally {
    globalThis.Worker = real;
  }
  return told;
}
