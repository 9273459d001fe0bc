import { chromium } from "@playwright/test";
import { spawn } from "node:child_process";
const server = spawn("node", ["serve.js", "4611"], { cwd: new URL(".", import.meta.url).pathname });
await new Promise((r) => setTimeout(r, 1500));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH, args: ["--no-sandbox"] });
const page = await browser.newPage();
await page.goto("http://localhost:4611/page/");
await page.waitForFunction(() => window.tools);
await page.evaluate(async () => {
  window.sam = await window.tools.load({ model: "nano", worker: false });
  const file = await (await fetch(`/fixture/big_tortoise.jpg`)).blob();
  window.image = await window.sam.setImage(file);
  const { masks } = await window.image.predict({ points: [{ x: 660, y: 620, label: 1 }] });
  window.best = masks.reduce((a, b) => (b.score > a.score ? b : a)); window.best.box;
});
const cdp = await page.context().newCDPSession(page);
await cdp.send("Profiler.enable"); await cdp.send("Profiler.setSamplingInterval", { interval: 500 });
for (const n of [1, 8]) {
  await cdp.send("Profiler.start");
  await page.evaluate(async (n) => { for (let i = 0; i < n; i++) await window.best.cutout({ softEdge: true }); }, n);
  const { profile: p } = await cdp.send("Profiler.stop");
  const self = {}, ids = {}; p.nodes.forEach((x) => (ids[x.id] = x));
  p.samples.forEach((s, i) => { const f = ids[s].callFrame; const k = f.functionName + ":" + f.lineNumber; self[k] = (self[k] ?? 0) + p.timeDeltas[i]; });
  console.log(n, "runs, ms each:\n" + Object.entries(self).sort((a, b) => b[1] - a[1]).slice(0, 24).map(([k, v]) => (v / 1000 / n).toFixed(1) + " " + k).join("\n"));
}
await browser.close(); server.kill();
