// The documentation beside the demo page: it works under the demo's policy, which allows no inline script and no inline style.
import { expect, test } from "../support.js";

test("pages, code in colours, the menu and the search work under the strict policy", async ({ page }) => {
  await page.goto("/");
  await page.getByRole("link", { name: "Documentation" }).click();
  await expect(page.getByRole("heading", { name: "sam2-web", level: 1 })).toBeVisible();
  await expect(page.locator("main img").first()).toHaveJSProperty("complete", true);

  // To another page without loading it anew.
  await page.getByRole("navigation").getByRole("link", { name: "Quick start" }).first().click();
  await expect(page.getByRole("heading", { name: "Quick start", level: 1 })).toBeVisible();
  const colours = await page
    .locator("code span span")
    .evaluateAll((spans) => new Set(spans.map((span) => getComputedStyle(span).color)).size);
  expect(colours).toBeGreaterThan(3);

  await page.getByRole("button", { name: "Search" }).click();
  await page.getByRole("searchbox").fill("refine");
  await expect(page.getByRole("option").first()).toContainText(/refine|small objects/i);
  await page.keyboard.press("Escape");

  // Loaded anew, deep in the reference.
  await page.goto("/docs/api/sam2-web/classes/Sam2.html");
  await expect(page.getByRole("heading", { name: "setImage()" })).toBeVisible();
});

test("llms.txt lists the pages, and they are there, with nothing inline", async ({ request }) => {
  const index = await (await request.get("/docs/llms.txt")).text();
  const links = [...index.matchAll(/\]\((\/docs\/[^)]+)\)/g)].map(([, link = ""]) => link);
  expect(links.length).toBeGreaterThan(20);
  for (const link of links) {
    const answer = await request.get(link);
    expect(answer.status(), link).toBe(200);
    const html = await answer.text();
    expect(html, link).toContain("</h1>");
    expect(html, link).not.toMatch(/<script(?![^>]* src=)|<style|<[a-z][^>]* style="/i);
  }
});
