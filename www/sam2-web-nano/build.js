// Makes the package of weights/nano.safetensors: the file, and the module that tells where it is and what its hash is, so
// that the two can never disagree.
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const here = (path) => new URL(path, import.meta.url);
const weights = here("../../weights/nano.safetensors");
const { homepage } = JSON.parse(readFileSync(here("package.json"), "utf8"));
const sha256 = createHash("sha256").update(readFileSync(weights)).digest("hex");

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here("dist"));
copyFileSync(weights, here("dist/nano.safetensors"));
// The symbol is of all realms' registry: sam2-web finds the model by it, in whichever copy of sam2-web and without an
// import of the one package by the other, which a page without a bundler could not resolve.
writeFileSync(
  here("dist/index.js"),
  `export const nano = {
  // Asked for at a load, not at the import: a bundle may be of a format that has no import.meta.url.
  get url() {
    return new URL("./nano.safetensors", import.meta.url).href;
  },
  sha256: "${sha256}",
};
globalThis[Symbol.for("sam2-web-nano")] = nano;
`,
);
writeFileSync(
  here("dist/index.d.ts"),
  `/** Where the file is, and its SHA-256. \`Sam2.load()\` finds them once this module has been imported. */
export declare const nano: { readonly url: string; readonly sha256: string };
`,
);

// Its pictures are not in the package.
const card = readFileSync(here("../../weights/nano/MODEL_CARD.md"), "utf8");
const pictures = `${homepage.replace(/#.*/, "")}/raw/main/weights/nano/pictures/`;
writeFileSync(here("MODEL_CARD.md"), card.replaceAll("](pictures/", `](${pictures}`));
copyFileSync(here("../../LICENSE"), here("LICENSE"));
