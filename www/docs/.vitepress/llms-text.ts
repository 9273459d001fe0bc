// Writes llms.txt (https://llmstxt.org): the pages with a line on each, and llms-full.txt: their text.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SiteConfig } from "vitepress";
import { pages } from "../pages.js";

export async function writeLlmsText({ outDir, srcDir, site }: SiteConfig): Promise<void> {
  let index = `# ${site.title}\n\n> ${site.description}. Types and errors are documented in the package's declarations.\n`;
  let full = "";
  for (const [section, list] of Object.entries(pages)) {
    index += `\n## ${section}\n\n`;
    for (const { path, title, says } of list) {
      index += `- [${title}](${site.base}${path.replace(/\.md$/, ".html")}): ${says}\n`;
      full += `${(await textOf(join(srcDir, path))).trim()}\n\n`;
    }
  }
  index += `\n## API\n\n- [API](${site.base}api/index.html): every function, option and error\n`;
  await writeFile(join(outDir, "llms.txt"), index);
  await writeFile(join(outDir, "llms-full.txt"), full);
}

/** A page without its front matter, with what it includes. */
async function textOf(path: string): Promise<string> {
  const text = (await readFile(path, "utf8")).replace(/^---\n[\s\S]*?\n---\n/, "");
  const [include, from] = /<!--@include: (\S+)-->/.exec(text) ?? [];
  return include && from ? text.replace(include, await readFile(join(path, "..", from), "utf8")) : text;
}
