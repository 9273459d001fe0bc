/// <reference types="node" />
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, it, vi } from "vitest";
import { addressOf } from "../src/address.js";
import { type LoadOptions, Sam2 } from "../src/index.js";
import { readWeights } from "../src/read-weights.js";
import { startWorker } from "../src/worker-script.js";
import { FakeStorage } from "./fake-storage.js";
import { fakeWasm } from "./fake-wasm.js";
import { FakeWorker } from "./fake-worker.js";

afterEach(() => vi.unstubAllGlobals());

const page = (href: string) => vi.stubGlobal("location", new URL(href));

describe("addressOf", () => {
  it("is in the folder, or its own, and relative to the page", () => {
    page("https://page.test/app/index.html");
    const cpu = (given: LoadOptions["workerUrl"]) => addressOf(given, "cpu", "worker-cpu.js");
    expect(cpu(undefined)).toBeUndefined();
    expect(cpu({ video: "/elsewhere.js" })).toBeUndefined();
    expect(cpu("sam2")).toBe("https://page.test/app/sam2/worker-cpu.js");
    expect(cpu("/sam2/")).toBe("https://page.test/sam2/worker-cpu.js");
    expect(cpu(new URL("https://cdn.test/dist/"))).toBe("https://cdn.test/dist/worker-cpu.js");
    expect(cpu({ cpu: "../worker.123.js" })).toBe("https://page.test/worker.123.js");
    expect(() => cpu({ cpu: "http://" })).toThrow(expect.objectContaining({ code: "UNSUPPORTED_INPUT" }));
  });
});

describe("startWorker", () => {
  /** Workers as browsers make them: from the page's own origin only. */
  const made: { url: string; options: WorkerOptions }[] = [];
  const browser = (href: string) => {
    page(href);
    made.length = 0;
    vi.stubGlobal(
      "Worker",
      class {
        constructor(given: string | URL, options: WorkerOptions) {
          const url = new URL(given, location.href);
          const own =
            url.protocol === "blob:" || (url.protocol !== "file:" && url.origin === location.origin);
          if (!own) throw new DOMException(`${url} cannot be accessed.`, "SecurityError");
          made.push({ url: url.href, options });
        }
      },
    );
  };
  const module = { type: "module" } as const;
  const none = () => expect.fail("made, although an address was given");
  const scriptOf = async () => (await import("node:buffer")).resolveObjectURL(made[0]?.url ?? "")?.text();

  it("starts one of the page's own origin as it is", () => {
    browser("https://page.test/app/");
    startWorker(() => new Worker(new URL("/assets/worker.js", location.href), module));
    startWorker(none, "https://page.test/worker-cpu.js");
    expect(made).toEqual([
      { url: "https://page.test/assets/worker.js", options: module },
      { url: "https://page.test/worker-cpu.js", options: module },
    ]);
  });

  it("starts one of another origin by a script of the page's own, whoever has told its address", async () => {
    const real = globalThis.Worker;
    browser("https://page.test/app/");
    const stub = globalThis.Worker;
    startWorker(none, "https://cdn.test/worker-cpu.js");
    expect(made).toEqual([{ url: expect.stringMatching(/^blob:/), options: module }]);
    expect(await scriptOf()).toBe('import "https://cdn.test/worker-cpu.js";');

    made.length = 0;
    startWorker(() => new Worker(new URL("https://cdn.test/a.js"), module));
    expect(await scriptOf()).toBe('import "https://cdn.test/a.js";');
    expect(globalThis.Worker).toBe(stub);

    made.length = 0;
    startWorker(() => new Worker("https://cdn.test/classic.js"));
    expect(await scriptOf()).toBe('importScripts("https://cdn.test/classic.js");');
    vi.unstubAllGlobals();
    expect(globalThis.Worker).toBe(real);
  });

  it("says what to do where nothing can be started", () => {
    const start = (url?: string) => () => startWorker(() => new Worker("./worker.js", module), url);
    browser("file:///home/me/index.html");
    expect(start("file:///home/me/worker.js")).toThrow(
      expect.objectContaining({
        code: "UNSUPPORTED_ENVIRONMENT",
        message: expect.stringMatching(/web server/),
      }),
    );
    browser("https://page.test/");
    expect(() => startWorker(() => new Worker(new URL("./worker.js", undefined), module))).toThrow(
      expect.objectContaining({ code: "NETWORK", message: expect.stringMatching(/workerUrl/) }),
    );
    vi.unstubAllGlobals();
    expect(start()).toThrow(
      expect.objectContaining({
        code: "UNSUPPORTED_ENVIRONMENT",
        message: expect.stringMatching(/worker: false/),
      }),
    );
  });
});

describe("fetch and requestInit", () => {
  const url = "https://guarded.test/a.safetensors";
  const header = JSON.stringify({ a: { dtype: "U8", shape: [8], data_offsets: [0, 8] } });
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  const file = Buffer.concat([size, Buffer.from(header), Buffer.alloc(8)]);
  const guard = () =>
    vi.fn(async (_url: unknown, init?: RequestInit) => {
      const known = new Headers(init?.headers).get("Authorization") === "Bearer me";
      return known ? new Response(file) : new Response("", { status: 401 });
    });
  const requestInit = {
    headers: new Headers({ Authorization: "Bearer me" }),
    credentials: "include",
  } as const;

  it.each([true, false])("go with the request for the model's file (worker: %s)", async (worker) => {
    vi.stubGlobal(
      "Worker",
      class {
        constructor() {
          // biome-ignore lint/correctness/noConstructorReturn: stands in for the browser's class
          return new FakeWorker(fakeWasm);
        }
      },
    );
    const options = { model: url, device: "cpu", worker } as const;
    const own = guard();
    vi.stubGlobal("fetch", guard());
    (await Sam2.load({ ...options, fetch: own, requestInit })).dispose();
    expect(own).toHaveBeenCalledExactlyOnceWith(url, expect.objectContaining({ credentials: "include" }));
    expect(fetch).not.toHaveBeenCalled();

    (await Sam2.load({ ...options, requestInit })).dispose();
    expect(fetch).toHaveBeenCalledExactlyOnceWith(url, expect.objectContaining({ credentials: "include" }));
    await expect(Sam2.load(options)).rejects.toMatchObject({ code: "NETWORK" });
  });

  it("go with what is preloaded", async () => {
    new FakeStorage().install("opfs");
    const own = guard();
    await Sam2.preload({ model: url, fetch: own, requestInit });
    expect(own).toHaveBeenCalledOnce();
    expect(await Sam2.isCached({ model: url })).toBe(true);
  });
});

describe("file: addresses", () => {
  it("are read from the disk by Node, and by no browser", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sam2-"));
    try {
      await writeFile(join(folder, "a"), "weights");
      const source = (name: string) => {
        const url = pathToFileURL(join(folder, name)).href;
        return readWeights({ url, store: "none", keep: false }, {});
      };
      expect(Buffer.from((await source("a")).bytes).toString()).toBe("weights");
      await expect(source("b")).rejects.toMatchObject({ code: "NETWORK" });
      vi.stubGlobal("process", undefined);
      await expect(source("a")).rejects.toMatchObject({ code: "UNSUPPORTED_ENVIRONMENT" });
    } finally {
      vi.unstubAllGlobals();
      await rm(folder, { recursive: true });
    }
  });
});
