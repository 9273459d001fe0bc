import { Sam2Error } from "./errors.js";
import { joinFiles } from "./join-files.js";
import { isNamed, namedModel } from "./models.js";
import type { WeightsSource } from "./protocol.js";
import type { LoadOptions } from "./types.js";

const CACHES: readonly unknown[] = [undefined, "auto", "opfs", "cache-api", "none"];

/** Where the model's file is. Runs on the calling side, since URLs are relative to the page. */
export async function weightsSource({ model = "nano", baseUrl, cache }: LoadOptions): Promise<WeightsSource> {
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
  const name = String(model);
  const store = cache ?? "auto";
  // What is the page's own is kept when that is asked for; what has been kept is used in any case.
  if (!isNamed(name)) return { url: absolute(name), store, keep: cache !== undefined && cache !== "none" };
  if (baseUrl !== undefined) {
    // Of your making, perhaps in f16: its hash is not known here.
    const url = `${String(baseUrl).replace(/\/$/, "")}/${name}.safetensors`;
    return { url: absolute(url), store, keep: cache !== "none" };
  }
  // nano comes from where the page does, so the browser's HTTP cache already keeps it.
  const keep = name === "nano" ? cache !== undefined && cache !== "none" : cache !== "none";
  return { ...namedModel(name), store, keep };
}

function absolute(url: string): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (cause) {
    throw new Sam2Error("UNSUPPORTED_INPUT", `"${url}" is neither a model's name nor a URL.`, { cause });
  }
}
