// The Chromium that tests run in, and how.
import { existsSync } from "node:fs";

/** pkg-scripts/test gives the first; the others are for running by hand. */
export const chromium =
  process.env.CHROMIUM_PATH ??
  ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));

// The second line keeps Chromium itself from calling home; the third gives WebGPU its software adapter; the fourth is a
// camera that shows a test picture.
export const chromiumArguments = [
  "--no-sandbox",
  "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync",
  "--enable-unsafe-webgpu",
  "--use-fake-device-for-media-stream",
].flatMap((line) => line.split(" "));
