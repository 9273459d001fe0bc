// A checkpoint in several files, in the package and on the demo page.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "@playwright/test";
import { inTwoFiles } from "../files.js";
import { expect, openTestPage, test } from "../support.js";

const fixture = fileURLToPath(new URL("../dist/fixture/micro.safetensors", import.meta.url));
const files = async () => inTwoFiles(await readFile(fixture));

const asText = async () =>
  (await files()).map(({ name, buffer }) => ({ name, text: buffer.toString("base64") }));

test("it answers as in one file, with and without its index, and says what is wrong", async ({ page }) => {
  test.setTimeout(600_000); // twelve models are loaded
  await openTestPage(page);
  const found = await page.evaluate(
    async (texts) => {
      const { load, canvas, click, failure } = window.tools;
      const [first, second, index] = texts.map(
        ({ name, text }) => new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name),
      ) as [File, File, File];
      const picture = await canvas();
      const answer = async (model: Parameters<typeof load>[0]) => {
        const sam = await load(model);
        const { logits } = await click(sam, picture);
        await sam.reload();
        const again = await click(sam, picture);
        const info = [sam.model.name, sam.model.parameters];
        sam.dispose();
        if (logits.some((value, i) => value !== again.logits[i])) throw new Error("another answer");
        return [...info, ...logits].join();
      };
      const whole = await answer({});
      const bytes = [await first.arrayBuffer(), await second.arrayBuffer()];
      const ways = {
        files: [first, second],
        "with an index": [index, second, first],
        bytes,
        "of a folder": [
          new File(["# model"], "README.md"),
          first,
          new File(["{}"], "config.json"),
          second,
          index,
        ],
      };
      const same: Record<string, boolean> = {};
      for (const [name, model] of Object.entries(ways)) same[name] = (await answer({ model })) === whole;
      same["without a worker"] = (await answer({ model: [first, second], worker: false })) === whole;
      const wrong = {
        "half of it": [first],
        "one of those in the index": [first, index],
        "one of them twice": [first, first],
        "one of them cut": [first, second.slice(0, second.size - 5)],
        "the index alone": [index],
        "no files": [],
      };
      const failures: Record<string, string> = {};
      for (const [name, model] of Object.entries(wrong)) {
        const { code, message, typed } = await failure(() => load({ model }));
        failures[name] = `${typed ? code : "untyped"}: ${message}`;
      }
      return { same, failures };
    },
    await asText(),
  );
  expect(found.same).toEqual({
    files: true,
    "with an index": true,
    bytes: true,
    "of a folder": true,
    "without a worker": true,
  });
  expect(found.failures).toEqual({
    "half of it": expect.stringMatching(/^WEIGHTS_MISMATCH: /),
    "one of those in the index": expect.stringMatching(
      /^UNSUPPORTED_INPUT: .*model-00002-of-00002.safetensors is not among those given/,
    ),
    "one of them twice": expect.stringMatching(/^WEIGHTS_UNSUPPORTED: .*another file has too/),
    "one of them cut": expect.stringMatching(/^WEIGHTS_CORRUPT: .*cut or damaged/),
    "the index alone": expect.stringMatching(/^WEIGHTS_UNSUPPORTED: .*give the files themselves/),
    "no files": expect.stringMatching(/^UNSUPPORTED_INPUT: /),
  });
});

/** The demo, with a model that is not the one in several files. */
async function openDemo(page: Page): Promise<void> {
  await page.goto("/?test&device=cpu&model=/fixture/micro20.safetensors");
  await expect(page.locator("#model")).toContainText("SAM 2.0", { timeout: 60_000 });
  await page.waitForFunction(() => window.__sam2demo?.image && !window.__sam2demo.busy);
}

async function expectOther(page: Page): Promise<void> {
  await expect(page.locator("#model")).toContainText("SAM 2.1", { timeout: 60_000 });
  await page.locator("#overlay").click();
  await page.waitForFunction(() => window.__sam2demo?.masks.length && !window.__sam2demo.busy);
}

test("the demo opens it by several files at once", async ({ page }) => {
  await openDemo(page);
  await page
    .locator("#file")
    .setInputFiles((await files()).map((file) => ({ ...file, mimeType: "application/octet-stream" })));
  await expectOther(page);
});

test("the demo opens it by its folder, dropped on the page, and says so where a folder is empty", async ({
  page,
}, testInfo) => {
  const [full, empty] = [testInfo.outputPath("model"), testInfo.outputPath("empty")];
  for (const folder of [full, empty]) await mkdir(folder, { recursive: true });
  for (const { name, buffer } of await files()) await writeFile(`${full}/${name}`, buffer);
  await writeFile(`${full}/config.json`, "{}");
  await openDemo(page);
  const client = await page.context().newCDPSession(page);
  const drop = async (folder: string) => {
    for (const type of ["dragEnter", "dragOver", "drop"] as const)
      await client.send("Input.dispatchDragEvent", {
        type,
        x: 300,
        y: 300,
        data: { items: [], files: [folder], dragOperationsMask: 1 },
      });
  };
  await drop(empty);
  await expect(page.locator("#toasts")).toContainText("nothing in this folder");
  await drop(full);
  await expectOther(page);
});
