// Makes the built pages fit for the demo page's strict Content-Security-Policy, which allows no inline script and no inline
// style: VitePress has its scripts inline, and Shiki its colours. Both become files.
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { transformerStyleToClass } from "@shikijs/transformers";
import type { SiteConfig } from "vitepress";
import { writeLlmsText } from "./llms-text.js";

/** The colours of code as classes. */
export const colours = transformerStyleToClass({ classPrefix: "c-" });

/** What the pages need. They hold themselves to it, whatever the server's own policy is. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

const scripts = new Map<string, string>();

export function strict(html: string, _id: string, { siteConfig }: { siteConfig: SiteConfig }): string {
  const { base } = siteConfig.site;
  const external = html.replace(
    /<script((?:(?! src=)[^>])*)>([\s\S]+?)<\/script>/g,
    (_, attributes: string, text: string) => {
      const name = `inline.${createHash("sha256").update(text).digest("hex").slice(0, 8)}.js`;
      scripts.set(name, text);
      return `<script${attributes} src="${base}assets/${name}"></script>`;
    },
  );
  return external
    .replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${policy}">`)
    .replace("</head>", `<link rel="stylesheet" href="${base}assets/colours.css"></head>`)
    .replace(/(<[a-zA-Z][^>]*?) style="[^"]*"/g, "$1");
}

export async function finish(siteConfig: SiteConfig): Promise<void> {
  const folder = join(siteConfig.outDir, "assets");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "colours.css"), colours.getCSS());
  for (const [name, text] of scripts) await writeFile(join(folder, name), text);
  await writeLlmsText(siteConfig);
}
