// Every TypeScript block that a user may copy compiles against the package's declarations. What a block takes for granted (a
// picture, a loaded model) is declared in blocks/context.d.ts.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { codeBlocks } from "../code-blocks.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const blocks = fileURLToPath(new URL("blocks", import.meta.url));

/** The documents for users, with paths from the repository's root. */
function documents(): string[] {
  const site = readdirSync(`${root}/www/docs`, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md") && !/node_modules|^api\//.test(path))
    .map((path) => `www/docs/${path}`);
  return ["README.md", "www/sam2-web/README.md", ...site];
}

test("every ts and tsx block of the documents compiles", () => {
  const made = `${blocks}/made`;
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made);
  let count = 0;
  for (const path of documents()) {
    for (const { language, code, line } of codeBlocks(readFileSync(`${root}/${path}`, "utf8"))) {
      if (language !== "ts" && language !== "tsx") continue;
      count++;
      // Empty lines first, so that the compiler's line is the document's.
      const name = `${path.replaceAll("/", "+")}+${line}.${language}`;
      writeFileSync(`${made}/${name}`, "\n".repeat(line - 1) + code);
    }
  }
  expect(count).toBeGreaterThan(30);
  const { stdout, stderr, status } = spawnSync(`${root}/node_modules/.bin/tsc`, ["-p", blocks], {
    encoding: "utf8",
  });
  expect(stdout + stderr).toBe("");
  expect(status).toBe(0);
}, 60_000);
