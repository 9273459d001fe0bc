import { Sam2Error } from "./errors.js";
import type { LoadOptions, ModelConfig } from "./types.js";

/** What of the options changes how a file is loaded, checked and as the engine takes it. */
export async function configOf({ config, imageSize }: LoadOptions): Promise<ModelConfig> {
  if (imageSize !== undefined && !(Number.isInteger(imageSize) && imageSize > 0 && imageSize < 2 ** 32)) {
    throw new Sam2Error("UNSUPPORTED_INPUT", `imageSize must be a whole number of pixels, not ${imageSize}.`);
  }
  return {
    ...(config !== undefined && { config: await textOf(config) }),
    ...(imageSize !== undefined && { imageSize }),
  };
}

/** A variant's name, or JSON. */
async function textOf(config: unknown): Promise<string> {
  if (typeof config === "object" && config !== null && !Array.isArray(config)) return JSON.stringify(config);
  if (typeof config !== "string" || !config.trim())
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "config must be a variant's name, the text of an official configuration (YAML or JSON), or such an object.",
    );
  // A name has one line and no colon; JSON is YAML too, but needs no reader.
  if (config.trimStart().startsWith("{") || !/[:\n]/.test(config.trim())) return config.trim();
  const { parse } = await import("yaml");
  try {
    const tree: unknown = parse(config);
    if (typeof tree === "object" && tree !== null && !Array.isArray(tree)) return JSON.stringify(tree);
  } catch (cause) {
    throw new Sam2Error("UNSUPPORTED_INPUT", `config is neither YAML nor JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
  throw new Sam2Error("UNSUPPORTED_INPUT", "config holds no configuration: as YAML it is no mapping.");
}
