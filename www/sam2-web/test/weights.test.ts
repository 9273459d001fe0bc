import { afterEach, describe, expect, it, vi } from "vitest";
import { Sam2 } from "../src/index.js";
import { readWeights as read } from "../src/read-weights.js";
import type { Progress } from "../src/types.js";
import { weightsSource } from "../src/weights-source.js";

const readWeights = async (...args: Parameters<typeof read>) => (await read(...args)).bytes;

afterEach(() => vi.unstubAllGlobals());

const url = "https://example.test/tiny.safetensors";
const body = (length: number) => new Uint8Array(length).fill(7);
// `toEqual` takes half a minute for megabytes.
const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((value, i) => value === b[i]);
const answer = (response: Response | Error) =>
  vi.stubGlobal("fetch", async () => {
    if (response instanceof Error) throw response;
    return response;
  });

describe("weightsSource", () => {
  it("knows the models by name", () => {
    expect(weightsSource({})).toMatchObject({
      url: expect.stringMatching(/weights\/nano\.safetensors$/),
      cache: false,
    });
    expect(weightsSource({ model: "base-plus" })).toEqual({
      url: "https://huggingface.co/facebook/sam2.1-hiera-base-plus/resolve/main/model.safetensors",
      cache: true,
    });
    expect(weightsSource({ model: "tiny", baseUrl: "https://example.test/", cache: "none" })).toEqual({
      url,
      cache: false,
    });
    expect(weightsSource({ model: url })).toEqual({ url, cache: false });
  });

  it("refuses what is neither", () => {
    expect(() => weightsSource({ model: 3 as never })).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED_INPUT" }),
    );
    expect(() => weightsSource({ model: "http://" })).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED_INPUT" }),
    );
  });
});

describe("readWeights", () => {
  it("reads bytes, blobs and downloads, with progress", async () => {
    expect(await readWeights(body(9).buffer, {})).toHaveLength(9);
    expect(await readWeights(new Blob([body(9)]), {})).toHaveLength(9);
    const seen: Progress[] = [];
    answer(new Response(body(9), { headers: { "Content-Length": "9" } }));
    expect(
      await readWeights({ url, cache: false }, { onProgress: (progress) => seen.push(progress) }),
    ).toEqual(body(9));
    expect(seen.at(0)).toEqual({ phase: "download", loaded: 0, total: 9 });
    expect(seen.at(-1)).toEqual({ phase: "download", loaded: 9, total: 9 });
  });

  it("grows its buffer when the length is unknown", async () => {
    answer(new Response(body(3 << 20)));
    expect(same(await readWeights({ url, cache: false }, {}), body(3 << 20))).toBe(true);
  });

  it("tells of the header as soon as it is there", async () => {
    const file = body(3000);
    file.set([200, 7, 0, 0, 0, 0, 0, 0]); // 1992 bytes follow
    const read = async (bytes: Uint8Array<ArrayBuffer>, parts: number) => {
      const seen: number[] = [];
      let at = 0;
      const stream = new ReadableStream({
        pull(controller) {
          if (at >= bytes.length) return controller.close();
          controller.enqueue(bytes.slice(at, at + parts));
          at += parts;
        },
      });
      answer(new Response(stream));
      const onHeader = (header: Uint8Array) => {
        expect(header).toEqual(bytes.subarray(0, header.length));
        seen.push(header.length);
      };
      expect(await readWeights({ url, cache: false }, { onHeader })).toEqual(bytes);
      return seen;
    };
    expect(await read(file, 7)).toEqual([2000]);
    expect(await read(file, 5000)).toEqual([2000]);
    expect(await read(body(3000), 700)).toEqual([]);
    expect(await read(body(3), 700)).toEqual([]);
  });

  it("copies from streams that cannot be read straight into memory", async () => {
    const parts = [4, 3 << 20, 0, 9].map(body);
    const stream = new ReadableStream({
      pull(controller) {
        const part = parts.shift();
        if (part) controller.enqueue(part);
        else controller.close();
      },
    });
    answer(new Response(stream));
    expect(same(await readWeights({ url, cache: false }, {}), body((3 << 20) + 13))).toBe(true);
  });

  it.each([
    ["a refused connection", new TypeError("Failed to fetch"), /CORS/],
    ["a missing file", new Response("", { status: 404 }), /404/],
    ["a start page", new Response("<html>", { headers: { "Content-Type": "text/html" } }), /web page/],
    ["half a file", new Response(body(4), { headers: { "Content-Length": "9" } }), /4 of 9/],
  ])("says so on %s", async (_, response, message) => {
    answer(response);
    await expect(readWeights({ url, cache: false }, {})).rejects.toMatchObject({
      code: "NETWORK",
      message: expect.stringMatching(message),
    });
  });

  /** A browser's cache. */
  function fakeCache(): Map<string, Response> {
    const kept = new Map<string, Response>();
    const cache = {
      match: async (key: string) => kept.get(key)?.clone(),
      put: async (key: string, r: Response) => void kept.set(key, r),
      delete: async (key: string) => kept.delete(key),
      keys: async () => [...kept.keys()].map((url) => ({ url })),
    };
    vi.stubGlobal("caches", { open: async () => cache });
    return kept;
  }

  it("keeps a download only when told that it is good, and fetches it once", async () => {
    const kept = fakeCache();
    answer(new Response(body(9)));
    const first = await read({ url, cache: true }, {});
    expect(kept.size).toBe(0);
    await first.keep();
    answer(new TypeError("offline"));
    const second = await read({ url, cache: true }, {});
    expect(second.bytes).toEqual(body(9));
    await second.drop();
    expect(kept.size).toBe(0);
    answer(new Response(body(9)));
    await (await read({ url, cache: false }, {})).keep();
    expect(kept.size).toBe(0);
  });

  it("Sam2.load keeps what has loaded and forgets what is bad; what is kept is listed and cleared", async () => {
    const kept = fakeCache();
    const load = () => Sam2.load({ model: url, cache: "cache-api", device: "cpu", worker: false });
    // A pointer of Git LFS, or a page of a captive portal, answered with 200.
    answer(new Response(body(5)));
    await expect(load()).rejects.toMatchObject({ code: "WEIGHTS_CORRUPT" });
    expect(kept.size).toBe(0);
    answer(new Response(body(64)));
    (await load()).dispose();
    expect(await Sam2.isCached({ model: url })).toBe(true);
    expect(await Sam2.isCached({ model: "large" })).toBe(false);
    expect(await Sam2.listCached()).toEqual([{ url, bytes: 64 }]);
    // Kept by an older version, which did not look first.
    kept.set(url, new Response(body(5)));
    await expect(load()).rejects.toMatchObject({ code: "WEIGHTS_CORRUPT" });
    expect(kept.size).toBe(0);
    answer(new Response(body(64)));
    (await load()).dispose();
    await Sam2.clearCache({ model: "tiny" });
    expect(kept.size).toBe(1);
    await Sam2.clearCache();
    expect(kept.size).toBe(0);
  });
});
