import { Sam2Error } from "./errors.js";
import type { WeightsSource } from "./protocol.js";
import type { LoadOptions, ModelName } from "./types.js";

const MODEL_NAMES: readonly string[] = ["nano", "tiny", "small", "base-plus", "large"] satisfies ModelName[];

/** Where the model's file is. Runs on the calling side, since URLs are relative to the page. */
export function weightsSource({ model = "nano", baseUrl, cache }: LoadOptions): WeightsSource {
  if (model instanceof Blob || model instanceof ArrayBuffer) return model;
  if (typeof model !== "string" && !(model instanceof URL)) {
    throw new Sam2Error("UNSUPPORTED_INPUT", "model must be a name, a URL, a Blob or an ArrayBuffer.");
  }
  const name = String(model);
  if (!MODEL_NAMES.includes(name)) return { url: absolute(name), cache: cache === "cache-api" };
  if (baseUrl !== undefined) {
    const url = `${String(baseUrl).replace(/\/$/, "")}/${name}.safetensors`;
    return { url: absolute(url), cache: cache !== "none" };
  }
  if (name === "nano") {
    // Comes with the page, so the browser's HTTP cache already keeps it.
    return { url: new URL("../weights/nano.safetensors", import.meta.url).href, cache: false };
  }
  return {
    url: `https://huggingface.co/facebook/sam2.1-hiera-${name}/resolve/main/model.safetensors`,
    cache: cache !== "none",
  };
}

function absolute(url: string): string {
  try {
    return new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch (cause) {
    throw new Sam2Error("UNSUPPORTED_INPUT", `"${url}" is neither a model's name nor a URL.`, { cause });
  }
}
