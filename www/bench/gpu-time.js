#!/usr/bin/env node
// Processor time of Chromium's GPU process from an empty page to the first mask on WebGPU. On a software adapter that is
// the GPU's time, and does not depend on who else uses the machine; making the pipelines is in it. Linux only.
// usage: gpu-time.js --cache DIR [--model nano] [--side ours|theirs]    after pkg-scripts/bench has made the models
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "@playwright/test";
import { browserOf, fields, processesOf } from "./processes.js";
import { serve } from "./serve.js";

const { values: options } = parseArgs({
  options: {
    cache: { type: "string" },
    // The built page, where it is not this folder's.
    page: { type: "string" },
    model: { type: "string", default: "nano" },
    side: { type: "string" },
  },
});
const TICKS_A_SECOND = 100;

/** Seconds of the GPU process of the browser with that profile. */
function gpuSeconds(profile) {
  const ticks = processesOf(browserOf(profile), "gpu-process").map(
    (pid) => Number(fields(pid)[11]) + Number(fields(pid)[12]),
  );
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_A_SECOND;
}

const here = dirname(fileURLToPath(import.meta.url));
const server = await serve({
  page: options.page ?? join(here, "dist"),
  models: join(options.cache, "models"),
  cache: join(options.cache, "compressed"),
});
try {
  for (const side of options.side ? [options.side] : ["ours", "theirs"]) {
    const profile = mkdtempSync(join(tmpdir(), "sam2-gpu-time-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM_PATH || undefined,
      args: ["--no-sandbox", "--enable-unsafe-webgpu", "--disable-background-networking", "--disable-sync"],
    });
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(`${server.url}nothing`);
    const before = gpuSeconds(profile);
    await page.goto(server.startPage(side, options.model, "webgpu"));
    const ms = await page.evaluate(() => window.firstMask);
    const seconds = gpuSeconds(profile) - before;
    await context.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    console.log(
      `${side}: ${seconds.toFixed(1)} s of the GPU process, ${(ms / 1000).toFixed(1)} s from start to mask`,
    );
  }
} finally {
  server.close();
}
