// Why Playwright's own runner: traces, screenshots of failures and a web server come with it, and it drives whatever
// Chromium is installed, so no browser is downloaded.
import { defineConfig } from "@playwright/test";
import { chromium, chromiumArguments } from "./chromium.js";

const port = Number(process.env.SAM2_TEST_PORT ?? 4183);

export default defineConfig({
  testDir: "specs",
  outputDir: "test-results",
  // The network keeps a core busy.
  workers: 2,
  timeout: 180_000,
  forbidOnly: !!process.env.CI,
  reporter: [["list"]],
  use: {
    baseURL: `http://localhost:${port}`,
    viewport: { width: 1280, height: 860 },
    actionTimeout: 60_000,
    launchOptions: {
      ...(chromium && { executablePath: chromium }),
      args: chromiumArguments,
    },
  },
  webServer: {
    command: `node serve.js ${port}`,
    url: `http://localhost:${port}/csp-reports`,
    reuseExistingServer: false,
    stdout: "pipe",
  },
});
