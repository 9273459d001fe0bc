import { defineConfig } from "@playwright/test";
import browser from "../browser/playwright.config.js";

export default defineConfig({
  testDir: ".",
  outputDir: "test-results",
  fullyParallel: true,
  workers: 2,
  // Installing and building is part of each, and Next does it twice.
  timeout: 480_000,
  forbidOnly: !!process.env.CI,
  reporter: [["list"]],
  use: { ...(browser.use?.launchOptions && { launchOptions: browser.use.launchOptions }) },
});
