#!/usr/bin/env node
// Drives the bench page in a headless Chromium, adds what only can be measured from outside (starts, downloads, memory,
// the native encoder), prints the table and saves it. pkg-scripts/bench calls it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "@playwright/test";
import { browserOf, processesOf, read } from "./processes.js";
import { compressed, serve } from "./serve.js";

const { values: options } = parseArgs({
  options: {
    cache: { type: "string" },
    // The built page, where it is not this folder's.
    page: { type: "string" },
    // Turns a side at least.
    least: { type: "string", default: "3" },
    json: { type: "string" },
    models: { type: "string", default: "nano,tiny" },
    "slow-webgpu": { type: "boolean", default: false },
    "no-webgpu": { type: "boolean", default: false },
    "no-native": { type: "boolean", default: false },
    "no-page": { type: "boolean", default: false },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const dist = options.page ?? join(here, "dist");
const models = options.models.split(",");
/** What a slow home line carries, in megabits a second. */
const LINE = 20;
const STARTS = 5;
/** How long a visitor stays on after working, in which the browser keeps what it has compiled. */
const STAY_MS = 3000;

const log = (text) => process.stderr.write(`    ${new Date().toISOString().slice(11, 19)} ${text}\n`);
const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};
function row(work, [ours, theirs], unit, target = null, note = undefined) {
  const ratio = ours !== null && theirs ? ours / theirs : null;
  return { work, ours, theirs, unit, ratio, target, ...(note && { note }) };
}

const server = await serve({
  page: dist,
  models: join(options.cache, "models"),
  cache: join(options.cache, "compressed"),
});
const profiles = [];

/** A browser that nobody has used. */
async function fresh(...more) {
  const profile = mkdtempSync(join(tmpdir(), "sam2-bench-"));
  profiles.push(profile);
  return chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM_PATH || undefined,
    args: [
      "--no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update",
      "--disable-sync --enable-unsafe-webgpu",
      ...more,
    ].flatMap((line) => line.split(" ")),
  });
}

async function inThePage() {
  // Nobody should wait for the server to compress.
  for (const name of readdirSync(join(dist, "assets"))) {
    if (/\.(js|css|wasm)$/.test(name))
      compressed(join(dist, "assets", name), join(options.cache, "compressed"));
  }
  const context = await fresh();
  const page = context.pages()[0] ?? (await context.newPage());
  page.on("console", (message) => message.type() === "error" && log(`the page: ${message.text()}`));
  await page.goto(server.url);
  const watch = setInterval(async () => {
    const doing = await page
      .locator("#status")
      .textContent()
      .catch(() => "");
    if (doing) log(doing);
  }, 30_000);
  const plan = {
    slow: options["slow-webgpu"],
    models,
    devices: options["no-webgpu"] ? ["cpu"] : ["cpu", "webgpu"],
  };
  // Not page.evaluate's own waiting, which a busy machine may cut.
  await page.evaluate((plan) => {
    window.outcome = window.bench(plan).catch((error) => ({ error: String(error) }));
  }, plan);
  const report = await page.evaluate(() => window.outcome);
  clearInterval(watch);
  await context.close();
  if (report.error) throw new Error(`the page stopped: ${report.error}`);
  return report;
}

const SIDES = ["ours", "theirs"];

/**
 * From opening the page to the first mask, by turns; and what was downloaded for it. With `slow`, a reason, only the
 * latter. Nobody works for long on a `software` adapter.
 */
async function starts(device, slow, { software = false } = {}) {
  const contexts = await Promise.all(SIDES.map(() => fresh()));
  const open = async (side, { until = "firstMask", stay = false } = {}) => {
    const page = await contexts[side].newPage();
    await page.goto(server.startPage(SIDES[side], "nano", device));
    const ms = await page.evaluate((until) => window[until], until);
    if (stay) {
      await page.evaluate(() => window.use());
      await page.waitForTimeout(STAY_MS);
    }
    await page.close();
    return ms;
  };
  const first = [];
  const downloads = [];
  for (const side of [0, 1]) {
    server.takeSeen();
    // Once in a browser that is then thrown away, to see what is asked for.
    const spare = contexts[side];
    contexts[side] = await fresh();
    await open(side, { until: "loaded" });
    const files = server.takeSeen().filter((file) => !/\.(safetensors|onnx|html|ico)$/.test(file));
    const sum = (kind) =>
      files.reduce((all, file) => all + compressed(file, join(options.cache, "compressed"))[kind].length, 0);
    downloads.push({
      gzip: sum("gzip") / 1e6,
      brotli: sum("brotli") / 1e6,
      files: files.map((file) => file.slice(dist.length)),
    });
    await contexts[side].close();
    contexts[side] = spare;
  }
  const warm = [[], []];
  if (!slow) {
    server.line(LINE);
    for (const side of [0, 1]) first.push(await open(side));
    server.line(Number.POSITIVE_INFINITY);
    // Who has the weights has been here before, and worked.
    for (const side of [0, 1, 0, 1]) {
      log(`an earlier visit, ${device}, ${SIDES[side]}`);
      await open(side, { stay: !software });
    }
    for (let i = 0; i < STARTS; i++) {
      for (const side of [0, 1]) {
        log(`start ${i + 1}, ${device}, ${SIDES[side]}`);
        warm[side].push(await open(side));
      }
    }
  }
  for (const context of contexts) await context.close();
  const [ours, theirs] = downloads;
  const pair = (what) => [ours[what], theirs[what]];
  const times = (times) => (slow ? [null, null] : times);
  log(`downloads: ${JSON.stringify(downloads)}`);
  return [
    row(
      `cold start, weights cached, ${device}, nano`,
      times(warm.map(median)),
      "ms",
      0.5,
      slow ?? `medians of ${STARTS}`,
    ),
    row(`first visit at ${LINE} Mbit/s, weights included, ${device}, nano`, times(first), "ms", null, slow),
    row(`download without weights, ${device}, brotli`, pair("brotli"), "MB", 0.5),
    row(`download without weights, ${device}, gzip`, pair("gzip"), "MB", 0.5),
  ];
}

/**
 * Of a page that loads, encodes and decodes once, at their peaks: memory of its process, which is known on Linux only,
 * and its JavaScript heaps.
 */
async function memory(model, device, target) {
  const work = `peak memory, encode + decode, ${device}, ${model}`;
  const peaks = [];
  const heaps = [];
  for (const side of SIDES) {
    log(`${work}: ${side}`);
    const context = await fresh();
    const page = context.pages()[0] ?? (await context.newPage());
    await page.goto(`${server.url}nothing`);
    const linux = process.platform === "linux";
    const browser = linux && browserOf(profiles.at(-1));
    const anonymous = () => (linux ? processesOf(browser, "renderer").map(anonymousMemory) : [0]);
    const before = Math.max(...anonymous());
    const heap = await watchHeaps(context, page);
    let peak = 0;
    const watch = setInterval(() => {
      peak = Math.max(peak, ...anonymous());
    }, 20);
    await page.goto(server.startPage(side, model, device));
    await page.evaluate(() => window.firstMask);
    clearInterval(watch);
    heaps.push(heap() / 1e6);
    await context.close();
    peaks.push(linux ? (peak - before) / 1e6 : null);
  }
  return [
    row(
      work,
      peaks,
      "MB",
      target,
      peaks.includes(null)
        ? "needs Linux's /proc"
        : "anonymous memory of the page's process, less an empty page's",
    ),
    row(`peak JavaScript heap, encode + decode, ${device}, ${model}`, heaps, "MB", null, "page and workers"),
  ];
}

/** Looks every 50 ms how large the JavaScript heaps of a page and its workers are; gives the most that they were. */
async function watchHeaps(context, page) {
  const session = await context.newCDPSession(page);
  const sizes = new Map();
  let peak = 0;
  const note = (heap, { usedSize, embedderHeapUsedSize = 0 }) => {
    sizes.set(heap, usedSize + embedderHeapUsedSize);
    peak = Math.max(
      peak,
      [...sizes.values()].reduce((sum, size) => sum + size, 0),
    );
  };
  const workers = new Set();
  session.on("Target.attachedToTarget", ({ sessionId }) => workers.add(sessionId));
  session.on("Target.detachedFromTarget", ({ sessionId }) => {
    workers.delete(sessionId);
    sizes.delete(sessionId);
  });
  session.on("Target.receivedMessageFromTarget", ({ sessionId, message }) => {
    const { result } = JSON.parse(message);
    if (result?.usedSize) note(sessionId, result);
  });
  await session.send("Target.setAutoAttach", {
    autoAttach: true,
    waitForDebuggerOnStart: false,
    flatten: false,
  });
  const message = JSON.stringify({ id: 1, method: "Runtime.getHeapUsage" });
  const look = () => {
    session.send("Runtime.getHeapUsage").then(
      (usage) => note(page, usage),
      () => {},
    );
    for (const sessionId of workers)
      session.send("Target.sendMessageToTarget", { sessionId, message }).catch(() => {});
  };
  const watch = setInterval(look, 50);
  return () => {
    clearInterval(watch);
    return peak;
  };
}

/** In bytes: what is not files of the browser itself. */
function anonymousMemory(pid) {
  const status = read(pid, "status");
  return ["RssAnon", "RssShmem"].reduce(
    (sum, name) => sum + Number(status.match(`${name}:\\s+(\\d+) kB`)?.[1] ?? 0) * 1024,
    0,
  );
}

/** tiny's encoder natively, ours and the official PyTorch's, two threads each, by turns. */
async function native() {
  const work = "encode, native CPU, two threads, tiny (theirs: official PyTorch)";
  const bin = process.env.SAM2_NATIVE_BENCH;
  const python = process.env.SAM2_BENCH_PYTHON;
  if (!bin || !python) return row(work, [null, null], "ms", 1.3, "no native build: see pkg-scripts/bench");
  const environment = { ...process.env, RAYON_NUM_THREADS: "2", OMP_NUM_THREADS: "2" };
  const runs = [
    spawn(bin, [], { env: environment, stdio: ["pipe", "pipe", "inherit"] }),
    spawn(python, [join(here, "native_reference.py")], {
      env: environment,
      stdio: ["pipe", "pipe", "inherit"],
    }),
  ];
  const lines = runs.map((run) => createInterface({ input: run.stdout })[Symbol.asyncIterator]());
  const turn = async (side) => {
    runs[side].stdin.write("encode\n");
    const { value, done } = await lines[side].next();
    if (done) throw new Error(`the native ${SIDES[side]} ended`);
    return Number(value);
  };
  const times = [[], []];
  for (let i = 0; i < 6; i++) {
    for (const side of [0, 1]) {
      const ms = await turn(side);
      log(`native encode ${i + 1}, ${SIDES[side]}: ${ms.toFixed(0)} ms`);
      if (i > 0) times[side].push(ms);
    }
  }
  for (const run of runs) run.stdin.end();
  return row(work, times.map(median), "ms", 1.3, "medians of 5 turns");
}

/** What is measured, where it is a clone. */
function commit() {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], {
      cwd: here,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return null;
  }
}

function print(rows) {
  const figure = (value) =>
    value === null
      ? "-"
      : Math.abs(value) >= 100
        ? String(Math.round(value))
        : String(Number(value.toPrecision(3)));
  const head = ["work", "sam2-web", "ort-web", "unit", "ratio", "target", ""];
  const cells = rows.map(({ work, ours, theirs, unit, ratio, target, note }) => [
    work,
    figure(ours),
    figure(theirs),
    unit,
    ratio === null ? "-" : ratio.toFixed(2),
    target === null ? "" : `<= ${target}${ratio === null ? "" : ratio <= target ? " yes" : " NO"}`,
    note ?? "",
  ]);
  const widths = head.map((text, i) => Math.max(text.length, ...cells.map((line) => line[i].length)));
  const right = new Set([1, 2, 4]);
  for (const line of [head, ...cells]) {
    const padded = line.map((cell, i) => (right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])));
    console.log(padded.join("  ").trimEnd());
  }
}

try {
  const report = options["no-page"] ? { conditions: {}, rows: [] } : await inThePage();
  const save = () => options.json && writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  report.conditions.processor = `${cpus().length} x ${cpus()[0]?.model}`;
  report.conditions.load = loadavg()[0];
  report.conditions.commit = commit();
  save();
  // Starts are nano's.
  const started = models.includes("nano");
  if (started) report.rows.push(...(await starts("cpu")));
  save();
  if (started && !options["no-webgpu"]) {
    const { adapter, software } = report.conditions;
    let slow;
    if (adapter === null) slow = "this browser has no WebGPU adapter";
    else if (software && !options["slow-webgpu"]) slow = "minutes a start on a software adapter";
    report.rows.push(...(await starts("webgpu", slow, { software })));
    save();
  }
  for (const model of models) {
    report.rows.push(...(await memory(model, "cpu", model === "tiny" ? 0.7 : null)));
    save();
  }
  if (!options["no-native"] && models.includes("tiny")) report.rows.push(await native());
  save();
  print(report.rows);
  console.log(`\n${JSON.stringify(report.conditions, null, 2)}`);
} finally {
  server.close();
  for (const profile of profiles) rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
