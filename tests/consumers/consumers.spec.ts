// The packages as they would be published, in fresh projects, each driven to a mask in Chromium.
import { cp, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test as base, expect, type Page } from "@playwright/test";
import { Project } from "./project.js";
import { StaticServer } from "./static-server.js";

interface Consumer {
  project(name: string): Promise<Project>;
  serve(...of: Parameters<typeof StaticServer.start>): Promise<StaticServer>;
}

const test = base.extend<{ consumer: Consumer }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright's own form
  consumer: async ({}, use) => {
    const projects: Project[] = [];
    const servers: StaticServer[] = [];
    await use({
      async project(name) {
        const project = await Project.install(name);
        projects.push(project);
        return project;
      },
      async serve(...of) {
        const server = await StaticServer.start(...of);
        servers.push(server);
        return server;
      },
    });
    for (const server of servers) server.stop();
    for (const project of projects) await project.remove();
  },
});

/** What the page leaves, and all that went wrong on the way. */
async function outcomeOf(page: Page, url: string): Promise<unknown> {
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(url);
  await page
    .waitForFunction(() => "outcome" in window, undefined, { timeout: 60_000 })
    .catch((error) => {
      throw new Error(`${error.message}\n${errors.join("\n")}`);
    });
  return page.evaluate(() => (window as { outcome?: unknown }).outcome);
}

/** The disc of radius 60 that was clicked, a PNG of 12 bits, and what the video worker says of a file that is none. */
const everything = {
  device: "cpu",
  area: expect.closeTo(Math.PI * 60 ** 2, -3),
  box: [100, 60, 221, 181].map((edge) => expect.closeTo(edge, -0.8)),
  deep: [160, 120],
  video: expect.stringMatching(/^VIDEO_/),
};

async function expectEverything(page: Page, url: string): Promise<void> {
  expect(await outcomeOf(page, url)).toEqual(everything);
}

const weightsIn = async (folder: string) =>
  (await readdir(folder, { recursive: true })).filter((file) => file.endsWith(".safetensors"));

const anyOrigin = { "Access-Control-Allow-Origin": "*" };
const development = (port: string) => ["vite", "--port", port, "--strictPort"];

test("Vite 8", async ({ page, consumer }) => {
  const vite = await consumer.project("vite8");
  await test.step("in development", async () => {
    await expectEverything(page, await vite.serve("npx", development));
  });

  await test.step("built, and served below a path", async () => {
    await vite.run("npx", "vite", "build", "--base", "./");
    const { url } = await consumer.serve(join(vite.folder, "dist"), "/below/a/path/");
    await expectEverything(page, url);
  });

  await test.step("without the weights where they are not imported", async () => {
    expect(await weightsIn(join(vite.folder, "dist"))).toHaveLength(1);
    await vite.run("npx", "vite", "build", "without-nano");
    const folder = join(vite.folder, "without-nano/dist");
    expect(await weightsIn(folder)).toEqual([]);
    expect(await outcomeOf(page, (await consumer.serve(folder)).url)).toMatchObject({
      code: "UNSUPPORTED_INPUT",
      message: expect.stringContaining("npm install sam2-web-nano"),
    });
  });

  await test.step("with files on a CDN of another origin", async () => {
    const folder = join(vite.folder, "on-a-cdn");
    const cdn = await consumer.serve(folder, "/cdn/", anyOrigin);
    await vite.run("npx", "vite", "build", "--base", cdn.url, "--outDir", folder);
    await expectEverything(page, (await consumer.serve(folder)).url);
    expect([...cdn.sent.keys()]).toContainEqual(expect.stringContaining("worker-cpu"));
  });

  await test.step("the quick start takes less than 60 kB of JavaScript, compressed", async () => {
    await vite.run("npx", "vite", "build", "quick-start");
    const built = await consumer.serve(join(vite.folder, "quick-start/dist"));
    expect(await outcomeOf(page, built.url)).toEqual({ masks: 3, width: 64 });
    const scripts = [...built.sent].filter(([name]) => name.endsWith(".js"));
    const sizes = scripts.map(([name, bytes]) => [name, gzipSync(bytes).length] as const);
    const total = sizes.reduce((sum, [, size]) => sum + size, 0);
    console.log(`    ${total} bytes:`, Object.fromEntries(sizes));
    expect(total).toBeLessThan(60_000);
  });
});

test("Vite 7", async ({ page, consumer }) => {
  const vite = await consumer.project("vite7");
  await expectEverything(page, await vite.serve("npx", development));
  await vite.run("npx", "vite", "build");
  await expectEverything(page, (await consumer.serve(join(vite.folder, "dist"))).url);
});

test("webpack 5", async ({ page, consumer }) => {
  const webpack = await consumer.project("webpack");
  await webpack.run("npx", "webpack");
  await expectEverything(page, (await consumer.serve(join(webpack.folder, "public"))).url);

  await test.step("with files on a CDN of another origin", async () => {
    const folder = join(webpack.folder, "public");
    const cdn = await consumer.serve(folder, "/cdn/", anyOrigin);
    await webpack.run("npx", "webpack", "--output-public-path", cdn.url);
    await expectEverything(page, (await consumer.serve(folder)).url);
    expect([...cdn.sent.keys()]).toContainEqual(expect.stringMatching(/\.wasm$/));
  });
});

test("Next", async ({ page, consumer }) => {
  const next = await consumer.project("next");
  for (const bundler of ["turbopack", "webpack"]) {
    await test.step(`by ${bundler}`, async () => {
      await next.run("npx", "next", "build", `--${bundler}`);
      await expectEverything(page, await next.serve("npx", (port) => ["next", "start", "--port", port]));
      await expect(page.locator("#area")).toHaveText("2 pixels");
    });
  }
});

test("Parcel", async ({ page, consumer }) => {
  const parcel = await consumer.project("parcel");
  await parcel.run("npx", "parcel", "build", "index.html", "--public-url", "./", "--no-cache");
  await expectEverything(page, (await consumer.serve(join(parcel.folder, "dist"))).url);
});

/** Where the bundler leaves addresses of files as they are: packages' files or folders, and their places in `public`. */
async function copyFiles({ folder }: Project, files: Record<string, string>): Promise<void> {
  for (const [from, to] of Object.entries(files)) {
    await cp(join(folder, "node_modules", from), join(folder, "public", to), { recursive: true });
  }
}

test("esbuild, and a page from the disk", async ({ page, consumer }) => {
  const esbuild = await consumer.project("esbuild");
  const bundle = ["esbuild", "--bundle", "--outdir=public"];
  await esbuild.run("npx", ...bundle, "main.js", "--format=esm", "--splitting");
  await copyFiles(esbuild, {
    "sam2-web/dist": "sam2-web/dist",
    "sam2-web/wasm": "sam2-web/wasm",
    "sam2-web-nano/dist/nano.safetensors": "nano.safetensors",
  });
  await expectEverything(page, (await consumer.serve(join(esbuild.folder, "public"))).url);

  // Chromium runs no modules from the disk.
  await esbuild.run("npx", ...bundle, "from-disk.js", "--format=iife");
  expect(await outcomeOf(page, `file://${esbuild.folder}/public/from-disk.html`)).toMatchObject({
    code: "UNSUPPORTED_ENVIRONMENT",
    message: expect.stringContaining("web server"),
  });
});

test("Rollup, with the workers bundled and the wasm elsewhere", async ({ page, consumer }) => {
  const rollup = await consumer.project("rollup");
  await rollup.run("npx", "rollup", "--config");
  await copyFiles(rollup, {
    "sam2-web/wasm": "wasm",
    "sam2-web-nano/dist/nano.safetensors": "nano.safetensors",
  });
  await expectEverything(page, (await consumer.serve(join(rollup.folder, "public"))).url);
});

test("plain HTML, from a folder", async ({ page, consumer }) => {
  const { folder } = await consumer.project("html");
  await rename(join(folder, "node_modules"), join(folder, "vendor"));
  await expectEverything(page, (await consumer.serve(folder, "/below/a/path/")).url);
});

test("plain HTML, from a CDN of another origin", async ({ page, consumer }) => {
  const { folder } = await consumer.project("cdn");
  const cdn = await consumer.serve(join(folder, "node_modules"), "/npm/", anyOrigin);
  const { url } = await consumer.serve(folder);
  await expectEverything(page, `${url}?cdn=${encodeURIComponent(cdn.url.replace(/\/$/, ""))}`);
});

test("Node", async ({ consumer }) => {
  const node = await consumer.project("node");
  const { withoutNano, inWorker, outcome } = JSON.parse(await node.run("node", "main.js"));
  expect(withoutNano).toMatch(/^UNSUPPORTED_INPUT: .*npm install sam2-web-nano/);
  expect(inWorker).toMatch(/^UNSUPPORTED_ENVIRONMENT: .*worker: false/);
  expect(outcome).toEqual(everything);
});
