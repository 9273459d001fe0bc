/// <reference types="node" />
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Sam2, type Sam2Error } from "../src/index.js";
import type { RemoteWeights } from "../src/protocol.js";
import { readWeights } from "../src/read-weights.js";
import type { Progress } from "../src/types.js";
import { weightsSource } from "../src/weights-source.js";
import { PART_BYTES } from "../src/weights-store.js";
import { BadServer } from "./bad-server.js";
import { FakeStorage } from "./fake-storage.js";
import { fakeWasm } from "./fake-wasm.js";

const length = 2 * PART_BYTES + 12_345;
/** Bytes of which none two neighbouring parts are alike. */
const file = Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 12)) & 255));
const sha256 = createHash("sha256").update(file).digest("hex");
/** A whole safetensors file, with so many bytes of weights. */
function safetensors(bytes: number): Buffer {
  const header = JSON.stringify({ a: { dtype: "U8", shape: [bytes], data_offsets: [0, bytes] } });
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, Buffer.from(header), Buffer.alloc(bytes)]);
}
const weights = safetensors(64);
const files: Record<string, Buffer> = {
  large: file,
  "a.safetensors": weights,
  "big.safetensors": safetensors(length),
};

let bad: BadServer;
let server: Server;
let base: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    bad.answer(request, response, "/").catch((error) => response.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

let storage: FakeStorage;
beforeEach(() => {
  bad = new BadServer(async (name) => files[name] ?? file);
  storage = new FakeStorage();
  storage.install("opfs");
});
afterEach(() => vi.unstubAllGlobals());

// `toEqual` takes half a minute for megabytes.
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;
const source = (way: string, more: Partial<RemoteWeights> = {}): RemoteWeights => ({
  url: `${base}${way}/large`,
  store: "auto",
  keep: true,
  ...more,
});
const quick = { retryMs: 1 };
/** For a server that does fall silent: any other may be slow on a busy machine. */
const patience = (way: string) => (way.includes("stalls") ? { ...quick, stallMs: 400 } : quick);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "NONE",
    (error: Sam2Error) => error.code,
  );

describe("weightsSource", () => {
  it("knows the models by name, each at one version", async () => {
    // As the package sam2-web-nano does when it is imported.
    const nano = { url: "https://example.test/nano.safetensors", sha256 };
    vi.stubGlobal(Symbol.for("sam2-web-nano") as never, nano);
    expect(await weightsSource({})).toEqual({ ...nano, store: "auto", keep: false });
    for (const model of ["tiny", "small", "base-plus", "large"]) {
      expect(await weightsSource({ model })).toEqual({
        url: expect.stringMatching(
          new RegExp(
            `^https://huggingface.co/facebook/sam2.1-hiera-${model}/resolve/[0-9a-f]{40}/model.safetensors$`,
          ),
        ),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        store: "auto",
        keep: true,
      });
    }
    const url = "https://example.test/tiny.safetensors";
    expect(await weightsSource({ model: "tiny", baseUrl: "https://example.test/", cache: "none" })).toEqual({
      url,
      store: "none",
      keep: false,
    });
    expect(await weightsSource({ model: url })).toEqual({ url, store: "auto", keep: false });
    expect(await weightsSource({ model: url, cache: "opfs" })).toEqual({ url, store: "opfs", keep: true });
  });

  it("says what to do where nano's package is not imported", async () => {
    for (const options of [{}, { model: "nano" }]) {
      await expect(weightsSource(options)).rejects.toMatchObject({
        code: "UNSUPPORTED_INPUT",
        message: expect.stringMatching(/npm install sam2-web-nano.*import "sam2-web-nano".*baseUrl/),
      });
    }
    const baseUrl = "https://example.test/models";
    expect(await weightsSource({ baseUrl })).toMatchObject({ url: `${baseUrl}/nano.safetensors` });
  });

  it.each([{ model: 3 as never }, { model: "http://" }, { cache: "disk" as never }])(
    "refuses %j",
    async (options) => {
      await expect(weightsSource(options)).rejects.toMatchObject({ code: "UNSUPPORTED_INPUT" });
    },
  );
});

describe("readWeights", () => {
  it("reads bytes and blobs, and refuses what was handed over", async () => {
    expect((await readWeights(new ArrayBuffer(9), {})).bytes).toHaveLength(9);
    expect((await readWeights(new Blob([new Uint8Array(9)]), {})).bytes).toHaveLength(9);
    expect(await codeOf(readWeights(new ArrayBuffer(0), {}))).toBe("UNSUPPORTED_INPUT");
  });

  it("tells how far it is, and of the header as soon as it is there", async () => {
    const seen: Progress[] = [];
    const headers: number[] = [];
    const { bytes } = await readWeights(source("good", { sha256 }), {
      onProgress: (progress) => seen.push(progress),
    });
    expect(same(bytes, file)).toBe(true);
    expect(seen.at(0)).toEqual({ phase: "download", loaded: 0, total: length });
    expect(seen.at(-2)).toEqual({ phase: "download", loaded: length, total: length });
    expect(seen.at(-1)).toEqual({ phase: "verify", loaded: 0, total: 1 });
    const url = `${base}good/a.safetensors`;
    await readWeights(
      { url, store: "none", keep: false },
      { onHeader: (header) => headers.push(header.length) },
    );
    expect(headers).toEqual([weights.length - 64]);
  });

  it.each([
    // Where it is asked to go on: undefined is from the start.
    ["cuts", [undefined, 1 / 3, 2 / 3]],
    ["cuts-without-ranges", [undefined, 0.7]],
    ["cuts-and-forgets", [undefined, 0.7]],
    ["cuts-and-changes", [undefined, 0.7, undefined]],
    ["wrong-piece", [undefined, 0.7, undefined]],
    ["too-far", [undefined, 0.7, undefined]],
    ["stalls", [undefined, 0.7]],
    ["corrupts-at-first", [undefined, 0.7, undefined]],
    ["is-busy", [undefined, undefined, undefined]],
    ["redirects", [undefined]],
    ["forgets-length", [undefined]],
    ["good", [undefined]],
  ] as [string, (number | undefined)[]][])("gets the file from a server that %s", async (way, asked) => {
    const { bytes } = await readWeights(source(way, { sha256 }), patience(way));
    expect(same(bytes, file)).toBe(true);
    const ranges = bad.requests.filter((request) => request.way === way).map(({ range }) => range);
    expect(ranges).toEqual(asked.map((part) => part && `bytes=${Math.floor(length * part)}-`));
  });

  it.each([
    ["always-cuts", "NETWORK", /ended|cut after/],
    ["always-stalls", "NETWORK", /silent after 0/],
    ["corrupts", "WEIGHTS_CORRUPT", /SHA-256/],
    ["redirects-for-ever", "NETWORK", /could not be fetched/],
    ["start-page", "NETWORK", /web page/],
    ["401", "NETWORK", /401.*permission/],
    ["403", "NETWORK", /403.*permission/],
    ["404", "NETWORK", /404.*baseUrl/],
    ["416", "NETWORK", /416/],
    ["500", "NETWORK", /500/],
  ])("gives up a server that answers %s, and keeps nothing bad", async (way, code, message) => {
    const error = await readWeights(source(way, { sha256 }), patience(way)).catch((thrown) => thrown);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(await Sam2.listCached()).toEqual([]);
  });

  it("says so when nothing can be fetched, at once", async () => {
    const fetched = vi.fn(async () => {
      throw new TypeError("Failed to fetch");
    });
    vi.stubGlobal("fetch", fetched);
    await expect(readWeights(source("good"), quick)).rejects.toMatchObject({
      code: "NETWORK",
      message: expect.stringMatching(/CORS/),
    });
    expect(fetched).toHaveBeenCalledTimes(1);
  });

  it("is aborted while it reads and while it waits", async () => {
    const reading = new AbortController();
    const first = readWeights(source("always-stalls"), { signal: reading.signal });
    await vi.waitFor(() => expect(bad.requests).toHaveLength(1));
    reading.abort();
    expect(await codeOf(first)).toBe("ABORTED");
    const waiting = new AbortController();
    const second = readWeights(source("500"), { signal: waiting.signal, retryMs: 1e6 });
    await vi.waitFor(() => expect(bad.requests).toHaveLength(2));
    setTimeout(() => waiting.abort(), 20);
    expect(await codeOf(second)).toBe("ABORTED");
  });
});

describe.each(["opfs", "cache-api"] as const)("kept by %s", (kind) => {
  beforeEach(() => storage.install(kind));

  it("goes on after the last whole part on a later visit", async () => {
    expect(await codeOf(readWeights(source("always-cuts", { sha256 }), quick))).toBe("NETWORK");
    expect(await Sam2.listCached()).toEqual([]);
    bad.requests.length = 0;
    files.large = file;
    // The same address, better behaved.
    const answer = bad.answer.bind(bad);
    bad.answer = (request, response) => {
      request.url = request.url?.replace("always-cuts", "good") ?? "";
      return answer(request, response, "/");
    };
    const { bytes, keep } = await readWeights(source("always-cuts", { sha256 }), quick);
    expect(same(bytes, file)).toBe(true);
    expect(bad.requests.map(({ range }) => range)).toEqual([`bytes=${PART_BYTES}-`]);
    expect(await Sam2.listCached()).toEqual([]);
    expect(await keep()).toBeUndefined();
    expect(await Sam2.listCached()).toEqual([{ url: `${base}always-cuts/large`, bytes: length }]);
    // And now without any request.
    const again = await readWeights(source("always-cuts", { sha256, keep: false }), quick);
    expect(same(again.bytes, file)).toBe(true);
    expect(bad.requests).toHaveLength(1);
  });

  it("keeps nothing unless told that it is good, and forgets what is bad", async () => {
    const first = await readWeights(source("good"), quick);
    expect(await Sam2.listCached()).toEqual([]);
    await first.keep();
    expect(await Sam2.listCached()).toHaveLength(1);
    await first.drop();
    expect(await Sam2.listCached()).toEqual([]);
    expect(storage.names()).toEqual([]);
    await (await readWeights(source("good", { keep: false }), quick)).keep();
    expect(storage.names()).toEqual([]);
  });

  it("downloads anew what was damaged where it was kept", async () => {
    await (await readWeights(source("good", { sha256 }), quick)).keep();
    storage.damage("1");
    expect(same((await readWeights(source("good", { sha256 }), quick)).bytes, file)).toBe(true);
    expect(bad.requests).toHaveLength(2);
    // So it does where a part is missing.
    await (await readWeights(source("good", { sha256 }), quick)).keep();
    storage.lose("0");
    expect(same((await readWeights(source("good", { sha256 }), quick)).bytes, file)).toBe(true);
  });

  it("a full disk does not stop a model; it is told", async () => {
    storage.quota = PART_BYTES + 1000;
    const { bytes, keep } = await readWeights(source("good", { sha256 }), quick);
    expect(same(bytes, file)).toBe(true);
    expect(await keep()).toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect(storage.names()).toEqual([]);
    const load = { model: `${base}good/large`, cache: kind, device: "cpu", worker: false } as const;
    const sam = await Sam2.load(load);
    expect(sam.notKept).toMatchObject({ code: "QUOTA_EXCEEDED" });
    sam.dispose();
    expect(await codeOf(Sam2.preload({ model: `${base}good/big.safetensors` }))).toBe("QUOTA_EXCEEDED");
  });

  it("a browser that only says that it has written does not stop a model; it is told", async () => {
    storage.forgets = true;
    const sam = await Sam2.load({ model: `${base}good/large`, cache: kind, device: "cpu", worker: false });
    expect(sam.notKept).toMatchObject({ code: "QUOTA_EXCEEDED", message: expect.stringMatching(/private/) });
    sam.dispose();
    expect(await codeOf(Sam2.preload({ model: `${base}good/a.safetensors` }))).toBe("QUOTA_EXCEEDED");
    expect(await Sam2.listCached()).toEqual([]);
  });

  it("preloads, loads without a request, lists and clears", async () => {
    const model = `${base}good/a.safetensors`;
    expect(await Sam2.isCached({ model })).toBe(false);
    await Sam2.preload({ model });
    await Sam2.preload({ model });
    expect(bad.requests).toHaveLength(1);
    expect(await Sam2.isCached({ model })).toBe(true);
    expect(await Sam2.isCached({ model: "large" })).toBe(false);
    expect(await Sam2.listCached()).toEqual([{ url: model, bytes: weights.length }]);
    (await Sam2.load({ model, device: "cpu", worker: false })).dispose();
    expect(bad.requests).toHaveLength(1);
    await Sam2.clearCache({ model: "tiny" });
    expect(await Sam2.isCached({ model })).toBe(true);
    await Sam2.clearCache({ model });
    expect(await Sam2.isCached({ model })).toBe(false);
    await Sam2.preload({ model });
    await Sam2.clearCache();
    expect(storage.names()).toEqual([]);
  });

  it("preload keeps no file that cannot be one of weights", async () => {
    for (const way of ["pointer", "404"]) {
      const code = way === "404" ? "NETWORK" : "WEIGHTS_CORRUPT";
      expect(await codeOf(Sam2.preload({ model: `${base}${way}/a.safetensors` }))).toBe(code);
    }
    expect(await codeOf(Sam2.preload({ model: `${base}good/large` }))).toBe("WEIGHTS_CORRUPT");
    expect(await codeOf(Sam2.preload({ model: new Blob([]) }))).toBe("UNSUPPORTED_INPUT");
    expect(await codeOf(Sam2.preload({ cache: "none" }))).toBe("UNSUPPORTED_INPUT");
    expect(storage.names()).toEqual([]);
  });

  it("Sam2.load keeps what has loaded and forgets what is bad", async () => {
    const load = (way: string) =>
      Sam2.load({ model: `${base}${way}/a.safetensors`, cache: kind, device: "cpu", worker: false });
    vi.spyOn(fakeWasm.Model, "load").mockRejectedValueOnce(
      Object.assign(new Error("not a model"), { code: "WEIGHTS_MISMATCH" }),
    );
    await expect(load("pointer")).rejects.toMatchObject({ code: "WEIGHTS_MISMATCH" });
    expect(storage.names()).toEqual([]);
    (await load("good")).dispose();
    expect(await Sam2.listCached()).toHaveLength(1);
    // Kept, but another version of the package cannot read it.
    vi.spyOn(fakeWasm.Model, "load").mockRejectedValueOnce(
      Object.assign(new Error("of a kind that is no longer known"), { code: "WEIGHTS_UNSUPPORTED" }),
    );
    await expect(load("good")).rejects.toMatchObject({ code: "WEIGHTS_UNSUPPORTED" });
    expect(storage.names()).toEqual([]);
  });
});

describe("with both storages", () => {
  it("finds what is kept in either", async () => {
    storage.install("both");
    for (const [store, path] of [
      ["cache-api", /^cache/],
      ["opfs", /^sam2-web-weights/],
    ] as const) {
      expect(await (await readWeights(source("good", { store }), quick)).keep()).toBeUndefined();
      expect(storage.names().every((name) => path.test(name))).toBe(true);
      const before = bad.requests.length;
      expect(same((await readWeights(source("good", { keep: false }), quick)).bytes, file)).toBe(true);
      expect(bad.requests).toHaveLength(before);
      await Sam2.clearCache();
      expect(storage.names()).toEqual([]);
    }
  });
});

describe("without any storage", () => {
  it("loads, and only preload fails", async () => {
    storage.install("none");
    const sam = await Sam2.load({ model: `${base}good/large`, cache: "auto", device: "cpu", worker: false });
    expect(sam.notKept).toMatchObject({ code: "QUOTA_EXCEEDED", message: expect.stringMatching(/private/) });
    sam.dispose();
    expect(await codeOf(Sam2.preload({ model: `${base}good/a.safetensors` }))).toBe("QUOTA_EXCEEDED");
    expect(await Sam2.listCached()).toEqual([]);
    await Sam2.clearCache();
  });
});
