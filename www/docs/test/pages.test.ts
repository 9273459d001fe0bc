// A page that is in neither the sidebar nor llms.txt would not be found.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { pages } from "../pages.js";

test("every page is listed, and every page that is listed is there", () => {
  const folder = fileURLToPath(new URL("..", import.meta.url));
  const there = ["", "guide/", "recipes/"].flatMap((part) =>
    readdirSync(folder + part)
      .filter((name) => name.endsWith(".md"))
      .map((name) => part + name),
  );
  const listed = Object.values(pages).flatMap((list) => list.map(({ path }) => path));
  expect(listed.toSorted()).toEqual(there.toSorted());
});

// (VitePress checks those between its pages.)
test.each(["README.md", "www/sam2-web/README.md", "docs/performance.md"])(
  "what %s links to is there",
  (path) => {
    const file = new URL(`../../../${path}`, import.meta.url);
    const links = [...readFileSync(file, "utf8").matchAll(/\]\(([^)#]+)/g)].map(([, link = ""]) => link);
    const missing = links.filter((link) => !/^https?:/.test(link) && !existsSync(new URL(link, file)));
    expect(missing).toEqual([]);
  },
);
