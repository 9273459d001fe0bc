// What every spec stands on: a page whose every request is watched.
import { test as base, expect, type Page } from "@playwright/test";

export { expect };

export const test = base.extend<{ watched: { urls: string[] } }>({
  // For every test, asked for or not: no request may leave the origin, nothing may go against the policy, and every
  // error must have been caught, and none written to the console.
  watched: [
    async ({ context, request, baseURL }, use) => {
      const urls: string[] = [];
      context.on("request", (sent) => urls.push(sent.url()));
      const uncaught: string[] = [];
      context.on("weberror", (error) => uncaught.push(String(error.error())));
      // A request that fails is told of as an error of the console's, and tests make some fail.
      context.on("console", (message) => {
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
          uncaught.push(`console.error: ${message.text()}`);
      });
      await use({ urls });
      const strangers = urls.filter((url) => !url.startsWith(`${baseURL}/`) && !/^(blob|data):/.test(url));
      expect(uncaught, "errors and rejections that nothing caught").toEqual([]);
      expect(strangers, "requests to other places").toEqual([]);
      expect(await (await request.get("/csp-reports")).json(), "violations of the policy").toEqual([]);
    },
    { auto: true },
  ],
});

/** Opens the page that holds the package. */
export async function openTestPage(page: Page): Promise<void> {
  await page.goto("/page/");
  await page.waitForFunction(() => window.tools);
}

/** The adapter that WebGPU gives, or nothing. */
export function webgpuAdapter(page: Page): Promise<string | undefined> {
  return page.evaluate(async () => {
    const { gpu } = navigator as unknown as {
      gpu?: { requestAdapter(): Promise<{ info: { architecture: string } } | null> };
    };
    return (await gpu?.requestAdapter())?.info.architecture;
  });
}
