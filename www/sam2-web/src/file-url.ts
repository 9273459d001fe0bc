import { Sam2Error } from "./errors.js";

// Asked of the running program: an import of Node's modules would stop bundlers.
interface Node {
  getBuiltinModule?(name: "node:fs/promises"): { readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> };
}
const fs = () => (globalThis as { process?: Node }).process?.getBuiltinModule?.("node:fs/promises");

/**
 * The file at a `file:` address, which no `fetch` reads. In Node it is read from the disk.
 *
 * @throws {@link Sam2Error} `UNSUPPORTED_ENVIRONMENT` in a browser, `NETWORK` where there is no such file.
 */
export async function readFileUrl(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const node = fs();
  if (!node) throw openedFromDisk();
  return node.readFile(new URL(url)).catch((cause) => {
    throw new Sam2Error("NETWORK", `${url} could not be read: ${cause.message}`, { cause });
  });
}

/** In Node, the address of a file of this package; elsewhere nothing: there the bundler or the server knows it. */
export function packageFile(path: string): string | undefined {
  // Not written as bundlers recognise it: they would take the file along once more.
  const here: string | undefined = import.meta.url;
  return here?.startsWith("file:") && fs() ? new URL(`../${path}`, here).href : undefined;
}

/** What to tell where nothing can be loaded because the page itself comes from no server; else nothing. */
export function ifOpenedFromDisk(): Sam2Error | undefined {
  return globalThis.location?.protocol === "file:" ? openedFromDisk() : undefined;
}

function openedFromDisk(): Sam2Error {
  return new Sam2Error(
    "UNSUPPORTED_ENVIRONMENT",
    "A page that is opened from the disk (file://) may load neither workers nor files. Serve its folder by a web server, " +
      "such as npx serve, and open it at the http address that it prints.",
  );
}
