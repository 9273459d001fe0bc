// The quick start as a reader of it would have it: index.html and src/main.ts are the blocks of the page in www/docs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { codeBlocks } from "../../../www/docs/code-blocks.js";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const blocks = codeBlocks(readFileSync(here("../../../www/docs/quick-start.md"), "utf8"));

function write(path: string, language: string): void {
  const [block, ...more] = blocks.filter((block) => block.language === language);
  if (!block || more.length)
    throw new Error(`quick-start.md has ${more.length + 1} blocks in ${language}, not one`);
  writeFileSync(here(path), block.code);
}

mkdirSync(here("src"), { recursive: true });
write("index.html", "html");
write("src/main.ts", "ts");

export default defineConfig({
  base: "./",
  build: { outDir: "../dist/quick-start", emptyOutDir: true },
});
