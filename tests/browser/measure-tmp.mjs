import { chromium } from "@playwright/test";
import { spawn } from "node:child_process";
const server = spawn("node", ["serve.js", "4611"], { cwd: import.meta.dirname ?? new URL(".", import.meta.url).pathname });
await new Promise((r) => setTimeout(r, 1500));
const profile = "--edges-measure"; const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH, args: ["--no-sandbox", "--edges-measure"] });
const page = await browser.newPage();
await page.goto("http://localhost:4611/page/");
await page.waitForFunction(() => window.tools);

import { readdirSync, readFileSync } from "node:fs";
const parent = (pid) => { try { return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop().split(" ")[1]; } catch { return "0"; } };
const isMine = (pid) => { for (let p = pid; p !== "0" && p !== "1"; p = parent(p)) if (p === String(process.pid)) return true; return false; };
const cpu = () => {
  const all = {};
  for (const pid of readdirSync("/proc").filter((p) => /^\d+$/.test(p))) {
    try {
      if (!isMine(pid)) continue;
      if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("--type=renderer")) continue;
      for (const tid of readdirSync(`/proc/${pid}/task`)) {
        const name = readFileSync(`/proc/${pid}/task/${tid}/comm`, "utf8").trim();
        all[name] = (all[name] ?? 0) + Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
      }
    } catch {}
  }
  return all;
};
await page.evaluate(async () => { window.sam = await window.tools.load({ model: "nano" }); });
for (const [name, fx, fy] of [["tortoise", .55, .52], ["sweater", .5, .56], ["jacket", .48, .52]]) {
  await page.evaluate(async ([name, fx, fy]) => {
    const file = await (await fetch(`/fixture/big_${name}.jpg`)).blob();
    window.image = await window.sam.setImage(file);
    const { image } = window;
    const { masks } = await image.predict({ points: [{ x: fx * image.width, y: fy * image.height, label: 1 }] });
    window.best = masks.reduce((a, b) => (b.score > a.score ? b : a));
    window.best.box;
  }, [name, fx, fy]);
  for (const [key, options] of Object.entries({ hard: {}, soft: { softEdge: true }, whole: { softEdge: true, crop: false } })) {
    const each = [];
    for (let i = 0; i < 8; i++) {
      const before = cpu();
      const wall = await page.evaluate(async (options) => { const t = performance.now(); await window.best.cutout(options); return performance.now() - t; }, options);
      const after = cpu();
      const worker = Object.keys(after).find((n) => n.startsWith("DedicatedWorker"));
      const pool = Object.keys(after).filter((n) => n.startsWith("ThreadPool")).reduce((s, n) => s + after[n] - (before[n] ?? 0), 0);
      each.push([Math.round(after[worker] - before[worker]), Math.round(pool), Math.round(wall)]);
    }
    console.log(name, key, "worker,pool,wall ms:", each.map((e) => e.join("/")).join("  "));
  }
}
await browser.close(); server.kill();
