// What everything mode costs the page it runs in.
import { expect, openTestPage, test } from "../support.js";
import { longestTask } from "../tasks.js";

test("the first mask comes soon, and the page's thread is never busy for long", async ({ browser, page }) => {
  await openTestPage(page);
  await page.evaluate(async () => {
    const sam = await window.tools.load({ model: "nano" });
    const image = await sam.setImage(await (await fetch("/samples/coffee.jpg")).blob());
    Object.assign(window, {
      search: async () => {
        // Chromium's own entries, for the record: what else the machine does makes them longer.
        const entries: number[] = [];
        const observer = new PerformanceObserver((list) =>
          entries.push(...list.getEntries().map(({ duration }) => duration)),
        );
        observer.observe({ type: "longtask" });
        const began = performance.now();
        let firstMs: number | undefined;
        let pixels = 0;
        // By the official thresholds nano has hardly a mask.
        const options = { pointsPerSide: 16, predIouThresh: 0.35, stabilityScoreThresh: 0.6 };
        const generation = image.generate(options);
        for await (const { mask } of generation) {
          firstMs ??= performance.now() - began;
          pixels += mask.area; // has them made
        }
        const wholeMs = performance.now() - began;
        const masks = (await generation.all()).length;
        await new Promise((resolve) => setTimeout(resolve, 200)); // entries come late
        observer.disconnect();
        sam.dispose();
        return { firstMs, wholeMs, masks, pixels, entries, size: [image.width, image.height] };
      },
    });
  });
  let found: Awaited<ReturnType<typeof search>> | undefined;
  const search = () =>
    page.evaluate(() =>
      (window as unknown as { search: () => Promise<{ firstMs: number; masks: number }> }).search(),
    );
  const task = await longestTask(browser, page, async () => {
    found = await search();
  });
  console.log({ ...found, ...task });
  expect(found?.masks).toBeGreaterThan(20);
  expect(found?.firstMs).toBeLessThan(3000);
  expect(task.processorMs).toBeLessThan(50);
});
