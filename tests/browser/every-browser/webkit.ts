// WebKitGTK's MiniBrowser on a screen in memory, by WebDriver through Selenium: of WebKit, Playwright runs only a build of
// its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { Readable } from "node:stream";
import { Builder, type WebDriver } from "selenium-webdriver";
import { type Driven, PATIENCE_MS, SIZE, type Tab } from "./tab.js";

export async function startWebKit(): Promise<Driven> {
  const screen = run("Xvfb", ["-displayfd", "3", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]);
  const display = `:${await whatItSays(screen)}`;
  const port = await freePort();
  const server = run("WebKitWebDriver", [`--port=${port}`], { DISPLAY: display });
  const address = `http://127.0.0.1:${port}`;
  await isUp(`${address}/status`);
  const driver = await new Builder()
    .usingServer(address)
    .withCapabilities({ browserName: "MiniBrowser" })
    .build();
  await driver.manage().setTimeouts({ script: PATIENCE_MS, pageLoad: PATIENCE_MS });
  await driver.manage().window().setRect(SIZE);
  const capabilities = await driver.getCapabilities();
  return {
    version: `${capabilities.getBrowserName()} ${capabilities.getBrowserVersion()}`,
    // One for all tests: MiniBrowser takes long to start.
    open: async () => tabOf(driver),
    close: async () => {
      await driver.quit();
      server.kill();
      screen.kill();
    },
  };
}

function tabOf(driver: WebDriver): Tab {
  return {
    goto: (url) => driver.get(url),
    evaluate: async (work, given) => {
      const script = `
        const [given, done] = arguments;
        (async () => (${work})(given))().then(
          (value) => done({ value }),
          (error) => done({ error: String(error) + "\\n" + error?.stack }));`;
      const { value, error } = await driver.executeAsyncScript<{ value: never; error?: string }>(
        script,
        given,
      );
      if (error !== undefined) throw new Error(error);
      return value;
    },
    click: (x, y) =>
      driver
        .actions()
        .move({ x: Math.round(x), y: Math.round(y) })
        .click()
        .perform(),
    screenshot: async (path) => writeFile(path, await driver.takeScreenshot(), "base64"),
    close: () => driver.get("about:blank"),
  };
}

/** A program that ends with this one; its third pipe is for what it has to say. */
function run(program: string, given: string[], environment: Record<string, string> = {}): ChildProcess {
  const child = spawn(program, given, {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  child.on("error", (error) => {
    throw new Error(`${program} does not start (pkg-scripts/setup browsers installs it): ${error.message}`);
  });
  process.on("exit", () => child.kill());
  return child;
}

/** What the program says first. (The pipe stays open: Xvfb ends if it cannot say all.) */
async function whatItSays(child: ChildProcess): Promise<string> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`${child.spawnfile} has ended: ${code}`);
  });
  ended.catch(() => {});
  const [bytes] = await Promise.race([once(child.stdio[3] as Readable, "data"), ended]);
  return String(bytes).trim();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

async function isUp(url: string): Promise<void> {
  for (let tries = 100; tries; tries--) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`nothing answers at ${url}`);
}
