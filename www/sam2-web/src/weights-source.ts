import { absolute } from "./address.js";
import { Sam2Error } from "./errors.js";
import { joinFiles } from "./join-files.js";
import { isNamed, namedModel } from "./models.js";
import type { WeightsSource } from "./protocol.js";
import type { LoadOptions } from "./types.js";

const CACHES: readonly unknown[] = [undefined, "auto", "opfs", "cache-api", "none"];

/** Where the model's file is. Runs on the calling side, since URLs are relative to the page. */
export async function weightsSource(options: LoadOptions): Promise<WeightsSource> {
  const { model = "nano", baseUrl, cache, requestInit } = options;
  if (model instanceof Blob || model instanceof ArrayBuffer) return model;
  if (Array.isArray(model)) return joinFiles(model);
  if (typeof model !== "string" && !(model instanceof URL)) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "model must be a name, a URL, a Blob, an ArrayBuffer, or an array of the last two.",
    );
  }
  if (!CACHES.includes(cache)) {
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      `cache must be "auto", "opfs", "cache-api" or "none", not "${String(cache)}".`,
    );
  }
  const request = requestInit && { request: requestOf(requestInit) };
  const name = String(model);
  const store = cache ?? "auto";
  // What is the page's own is kept when that is asked for; what has been kept is used in any case.
  if (!isNamed(name)) {
    const url = absolute(name, `"${name}" is neither a model's name nor a URL.`);
    return { url, store, keep: cache !== undefined && cache !== "none", ...request };
  }
  if (baseUrl !== undefined) {
    // Of your making, perhaps in f16: its hash is not known here.
    const url = `${String(baseUrl).replace(/\/$/, "")}/${name}.safetensors`;
    return { url: absolute(url), store, keep: cache !== "none", ...request };
  }
  // nano comes from where the page does, so the browser's HTTP cache already keeps it.
  const keep = name === "nano" ? cache !== undefined && cache !== "none" : cache !== "none";
  return { ...namedModel(name), store, keep, ...request };
}

/** As it can be sent to a worker, which `Headers` cannot. */
function requestOf({ headers, ...init }: NonNullable<LoadOptions["requestInit"]>): RequestInit {
  return headers === undefined ? init : { ...init, headers: [...new Headers(headers)] };
}
