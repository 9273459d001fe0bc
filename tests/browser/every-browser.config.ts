// The package's and the demo's main paths in every browser that is tested: one description of each, in every-browser/.
import { defineConfig } from "@playwright/test";
import { type BrowserName, support } from "./every-browser/support.js";
import base from "./playwright.config.js";

export default defineConfig<object, { name: BrowserName }>({
  ...base,
  testDir: "every-browser",
  outputDir: "test-results/every-browser",
  projects: (Object.keys(support) as BrowserName[]).map((name) => ({
    name,
    use: { name },
    // The other two at once, a worker each.
    ...(name !== "Chromium" && { workers: 1 }),
    // Whose masks the others are compared with.
    dependencies: name === "Chromium" ? [] : ["Chromium"],
  })),
});
