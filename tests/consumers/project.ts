// A project as someone begins one: an empty folder, its sources, and the packages installed from their tarballs.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const packages = here("../../dist-packages");

/** What npm tells the scripts that it runs would lead the project's own npm astray. */
const env = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_")),
  ),
  NEXT_TELEMETRY_DISABLED: "1",
  // Elsewhere Parcel installs what it misses by itself, which would hide that a package asks for something of Node's.
  CI: "true",
};

export class Project {
  readonly folder: string;
  readonly #running = new Set<ChildProcess>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Of `projects/NAME` and `projects/shared`, where `tools` are its own dependencies. */
  static async install(name: string): Promise<Project> {
    const project = new Project(await mkdtemp(join(tmpdir(), `sam2-web-${name}-`)));
    await cp(here("projects/shared"), project.folder, { recursive: true });
    await cp(here(`projects/${name}`), project.folder, { recursive: true });
    const tarballs = (await readdir(packages)).filter((file) => file.endsWith(".tgz"));
    if (tarballs.length !== 2)
      throw new Error(`${packages} has not the two packages: run ./pkg-scripts/pack`);
    const paths = tarballs.map((file) => join(packages, file));
    await project.run("npm", "install", "--prefer-offline", "--no-audit", "--no-fund", ...paths);
    return project;
  }

  /** Runs a command to its end, and gives its standard output. */
  run(command: string, ...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const child = this.#spawn(command, args);
      let output = "";
      let errors = "";
      child.stdout?.on("data", (text) => (output += text));
      child.stderr?.on("data", (text) => (errors += text));
      child.on("error", reject);
      child.on("close", (code) => {
        if (code === 0) resolve(output);
        else reject(new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output}${errors}`));
      });
    });
  }

  /** Starts a server, whose arguments depend on its port, and gives its address once it answers. */
  async serve(command: string, args: (port: string) => string[]): Promise<string> {
    const port = await freePort();
    const child = this.#spawn(command, args(String(port)));
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text) => (printed += text));
    const url = `http://localhost:${port}`;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}:\n${printed}`);
      const answered = await fetch(url).then(
        (response) => response.ok,
        () => false,
      );
      if (answered) return url;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async remove(): Promise<void> {
    for (const child of this.#running) {
      const ended = once(child, "exit");
      // The whole group, so that what npx has started ends too.
      if (child.pid) process.kill(-child.pid);
      await ended;
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #spawn(command: string, args: string[]): ChildProcess {
    const child = spawn(command, args, { cwd: this.folder, env, detached: true });
    this.#running.add(child);
    child.on("exit", () => this.#running.delete(child));
    return child;
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "localhost", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
