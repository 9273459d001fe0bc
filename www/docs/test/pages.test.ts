// A page that is in neither the sidebar nor llms.txt would not be found.
import { readdirSync } from "node:fs";
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
