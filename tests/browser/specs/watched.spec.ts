// That a test fails on every error that its page lets out, by the fixture `watched` of all specs.
import { readdir, readFile } from "node:fs/promises";
import { expect, openTestPage, test } from "../support.js";

const faults: Record<string, string> = {
  "an error that nothing catches": 'setTimeout(() => { throw new Error("a fault") })',
  "a rejection that nothing handles": 'void Promise.reject(new Error("a fault"))',
  "an error written to the console": 'console.error("a fault")',
};

for (const [what, script] of Object.entries(faults)) {
  test.fail(`${what}, on the page`, async ({ page }) => {
    await openTestPage(page);
    await page.evaluate(script);
    await page.waitForTimeout(300);
  });

  test.fail(`${what}, in a worker`, async ({ page }) => {
    await page.route("**/fault.js", (route) =>
      route.fulfill({
        contentType: "text/javascript",
        body: `${script}; setTimeout(() => postMessage(0), 100)`,
      }),
    );
    await openTestPage(page);
    await page.evaluate(
      () =>
        new Promise((resolve) => {
          const worker = new Worker("/page/fault.js");
          worker.onmessage = resolve;
        }),
    );
    await page.waitForTimeout(300);
  });
}

test("every spec's tests are watched", async () => {
  const folder = new URL(".", import.meta.url);
  for (const file of await readdir(folder)) {
    const text = await readFile(new URL(file, folder), "utf8");
    expect(text, file).toMatch(/import \{[^}]*\btest\b[^}]*\} from "\.\.\/support\.js";/);
    expect(text, file).not.toMatch(/import (?!type)[^;]* from "@playwright\/test";/);
  }
});
