// What the package is built with: the hash of the file that comes with it, so that the two can never disagree.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const weights = readFileSync(new URL("../../weights/nano.safetensors", import.meta.url));

export const define = { NANO_SHA256: JSON.stringify(createHash("sha256").update(weights).digest("hex")) };
