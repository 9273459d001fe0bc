// Chromium and Firefox, by Puppeteer: it drives Debian's Firefox by WebDriver BiDi, without geckodriver, which Debian does
// not have. (Playwright's runs only a Firefox of its own.)
import { launch, type SupportedBrowser } from "puppeteer-core";
import { chromium, chromiumArguments } from "../chromium.js";
import { type Driven, PATIENCE_MS, SIZE } from "./tab.js";

const options = {
  // The second takes the fake camera without a question.
  chrome: { executablePath: chromium, args: [...chromiumArguments, "--use-fake-ui-for-media-stream"] },
  firefox: {
    executablePath: process.env.FIREFOX_PATH ?? "/usr/bin/firefox-esr",
    // The same.
    extraPrefsFirefox: { "media.navigator.streams.fake": true, "media.navigator.permission.disabled": true },
  },
};

export async function startPuppeteer(browser: SupportedBrowser): Promise<Driven> {
  const { executablePath, ...rest } = options[browser];
  if (!executablePath) throw new Error("There is no Chromium: install one, or set CHROMIUM_PATH.");
  const started = await launch({
    browser,
    executablePath,
    ...rest,
    defaultViewport: SIZE,
    protocolTimeout: PATIENCE_MS,
  });
  return {
    version: await started.version(),
    open: async () => {
      const context = await started.createBrowserContext();
      const page = await context.newPage();
      return {
        goto: async (url) => {
          await page.goto(url);
        },
        evaluate: (work, given) => page.evaluate(work as never, given) as never,
        click: (x, y) => page.mouse.click(x, y),
        screenshot: async (path) => {
          await page.screenshot({ path: path as `${string}.png` });
        },
        close: () => context.close(),
      };
    },
    close: () => started.close(),
  };
}
