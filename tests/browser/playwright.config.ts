// Why Playwright's own runner: traces, screenshots of failures and a web server come with it, and it drives whatever
// Chromium is installed, so no browser is downloaded.
import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

const port = Number(process.env.SAM2_TEST_PORT ?? 4183);
// pkg-scripts/test gives the first; the others are for running by hand.
const chromium =
  process.env.CHROMIUM_PATH ??
  ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));

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
      // The second line keeps Chromium itself from calling home; the third gives WebGPU its software adapter; the
      // fourth is a camera that shows a test picture.
      args: [
        "--no-sandbox",
        "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync",
        "--enable-unsafe-webgpu",
        "--use-fake-device-for-media-stream",
      ].flatMap((line) => line.split(" ")),
    },
  },
  webServer: {
    command: `node serve.js ${port}`,
    url: `http://localhost:${port}/csp-reports`,
    reuseExistingServer: false,
    stdout: "pipe",
  },
});
