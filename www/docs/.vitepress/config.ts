import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import license from "rollup-plugin-license";
import { type DefaultTheme, defineConfig } from "vitepress";
import { pages } from "../pages.js";
import { colours, finish, strict } from "./strict.js";

const item = ({ path, title }: { path: string; title: string }) => ({
  text: title,
  link: `/${path.replace(/\.md$/, "")}`,
});

/** Of the reference, as typedoc has written it. */
const reference: DefaultTheme.SidebarItem[] = JSON.parse(
  readFileSync(new URL("../api/typedoc-sidebar.json", import.meta.url), "utf8"),
);

const outDir = "../demo/dist/docs";

/** Third parties' licences ask to be passed on with their code, which is in the pages' scripts only. */
const licences = {
  ...license({
    thirdParty: { output: fileURLToPath(new URL(`../${outDir}/third-party.txt`, import.meta.url)) },
  }),
  apply: (_: unknown, { isSsrBuild }: { isSsrBuild?: boolean }) => !isSsrBuild,
};

export default defineConfig({
  title: "sam2-web",
  description: "Segment Anything 2.1 in the browser",
  lang: "en",
  // The folder beside the demo page; SAM2_DOCS_BASE sets another.
  base: process.env.SAM2_DOCS_BASE ?? "/docs/",
  outDir,
  // (To hold transitions still while light turns dark, it would add an inline style.)
  appearance: { disableTransition: false },
  // Links that prefetch are no scripts, and a strict policy forbids them.
  router: { prefetchLinks: false },
  metaChunk: true,
  markdown: { codeTransformers: [colours] },
  vite: { plugins: [licences] },
  transformHtml: strict,
  buildEnd: finish,
  themeConfig: {
    search: { provider: "local" },
    nav: [
      { text: "Quick start", link: "/quick-start" },
      { text: "Guide", link: "/guide/models" },
      { text: "Recipes", link: "/recipes/overlay" },
      { text: "API", link: "/api/" },
    ],
    sidebar: {
      "/": Object.entries(pages).map(([text, list]) => ({ text, items: list.map(item) })),
      "/api/": reference,
    },
    outline: [2, 3],
  },
});
