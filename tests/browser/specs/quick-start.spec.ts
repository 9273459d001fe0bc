// The quick start of the documentation, as it is written there.
import { expect, test } from "../support.js";

test("the quick start's page shows the mask of a click", async ({ page }) => {
  await page.goto("/quick-start/");
  await expect(page.getByText("Open a picture.")).toBeVisible({ timeout: 60_000 });
  await page.locator("input").setInputFiles("../../www/demo/public/samples/clock.jpg");
  await expect(page.getByText("Click a thing.")).toBeVisible({ timeout: 60_000 });
  const canvas = page.locator("canvas");
  const pixels = () =>
    canvas.evaluate((canvas: HTMLCanvasElement) =>
      Array.from(
        new Uint32Array(
          canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data.buffer ??
            new ArrayBuffer(0),
        ),
      ),
    );
  const before = await pixels();
  await canvas.click();
  const status = page.locator("#status");
  await expect(status).toHaveText(/^\d+ pixels, score 0\.\d\d$/);
  const area = Number.parseInt((await status.textContent()) ?? "", 10);
  const after = await pixels();
  expect(after.length).toBe(before.length);
  const painted = after.filter((pixel, i) => pixel !== before[i]).length;
  expect(area).toBeGreaterThan(100);
  expect(painted).toBeLessThanOrEqual(area);
  // A pixel may have had the mask's colour before.
  expect(painted).toBeGreaterThan(0.9 * area);
});
