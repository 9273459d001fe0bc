// The README's table of browsers says what these tests expect of them.
import { readFile } from "node:fs/promises";
import { expect, test } from "./fixtures.js";
import { support } from "./support.js";

test("the README's table", async ({ name }) => {
  const readme = await readFile(new URL("../../../README.md", import.meta.url), "utf8");
  const cells = readme
    .split("\n")
    .filter((line) => line.startsWith(`| ${name} `))
    .map((line) => line.replace(/ \|$/, "").split(" | ").slice(1));
  const { webgpu, camera, cache } = support[name];
  // Pictures on the CPU, WebGPU, video files, the camera, where models are kept.
  const seen = ["yes", webgpu ? "yes" : "no", "yes", camera ? "yes" : "not tested", cache];
  expect(cells).toEqual([seen]);
});
