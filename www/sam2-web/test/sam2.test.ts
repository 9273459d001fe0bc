import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type LoadOptions, Sam2, Sam2Error } from "../src/index.js";
import { alive, cleanups, configs, Model as fakeModel, fakeWasm, hooks, warmedUp } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

const weights = new ArrayBuffer(64);
const click = { points: [{ x: 20, y: 15, label: 1 as const }] };
const picture = () => new ImageData(40, 30);

let workers: FakeWorker[] = [];
let makeWorker = () => new FakeWorker(fakeWasm);

beforeEach(() => {
  makeWorker = () => new FakeWorker(fakeWasm);
  workers = stubWorkers(() => makeWorker());
});

afterEach(() => {
  delete hooks.beforeEncode;
  delete hooks.beforeDecode;
  for (const worker of workers) worker.terminate();
  vi.unstubAllGlobals();
});

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

async function errorOf(promise: Promise<unknown>): Promise<Sam2Error> {
  const error = await promise.then(
    () => undefined,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(Sam2Error);
  return error as Sam2Error;
}

const codeOf = async (promise: Promise<unknown>) => (await errorOf(promise)).code;

describe.each([
  ["in a worker", true],
  ["on this thread", false],
])("Sam2 %s", (_, worker) => {
  const load = (options: LoadOptions = {}) =>
    Sam2.load({ model: weights, device: "cpu", worker, ...options });

  it("readies the device while the weights come", async () => {
    const file = new Uint8Array(64);
    file[0] = 24;
    vi.stubGlobal("fetch", async () => new Response(file));
    const before = warmedUp.length;
    const sam = await load({ model: "https://example.com/model.safetensors" });
    expect(warmedUp.slice(before)).toEqual([32]);
    sam.dispose();
  });

  it("multiplies in the precision that was asked for", async () => {
    for (const precision of ["f16", "f32", undefined] as const) {
      const sam = await load(precision && { precision });
      expect(sam.precision).toBe(precision ?? "f32");
      sam.dispose();
    }
    expect(await codeOf(load({ precision: "f8" as "f16" }))).toBe("UNSUPPORTED_INPUT");
  });

  it("answers a click with masks, without encoding again", async () => {
    const sam = await load();
    expect(sam.device).toBe("cpu");
    expect(sam.model).toEqual({ name: "fake", version: "2.1", imageSize: 512, parameters: 1_234_567 });
    const image = await sam.setImage(picture());
    const { masks, decodeMs } = await image.predict(click);
    await image.predict({ box: [5, 5, 20, 20], multimask: false });
    expect(masks).toHaveLength(3);
    const [mask] = masks;
    expect(mask?.has(20, 15)).toBe(true);
    expect(mask?.has(0, 0)).toBe(false);
    expect(mask?.logits).toHaveLength(40 * 30);
    expect(decodeMs).toBeGreaterThanOrEqual(0);
    expect(mask?.toRle().size).toEqual([30, 40]);
    expect(sam.encodes).toBe(1);
    sam.dispose();
  });

  it("answers a batch in order, over one embedding", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    const answers = await image.predictBatch([click, { box: [5, 5, 20, 20], multimask: false }]);
    expect(answers.map(({ masks }) => masks.length)).toEqual([3, 1]);
    expect(sam.encodes).toBe(1);
    sam.dispose();
  });

  it("copies pixels unless told to transfer", async () => {
    const sam = await load();
    const kept = picture();
    await sam.setImage(kept);
    expect(kept.data.length).toBe(4800);
    if (worker) {
      const given = picture();
      await sam.setImage(given, { transfer: true });
      expect(given.data.length).toBe(0);
    }
    sam.dispose();
  });

  it("reports progress in order", async () => {
    const phases: string[] = [];
    const sam = await load({ onProgress: ({ phase }) => phases.at(-1) === phase || phases.push(phase) });
    expect(phases).toEqual(["verify", "compile", "upload", "ready"]);
    sam.dispose();
  });

  it("rejects bad input with typed errors, and the next good call works", async () => {
    expect(await codeOf(load({ model: new ArrayBuffer(4) }))).toBe("WEIGHTS_CORRUPT");
    const sam = await load();
    expect(await codeOf(sam.setImage({} as ImageData))).toBe("UNSUPPORTED_INPUT");
    expect(
      await codeOf(sam.setImage({ [Symbol.toStringTag]: "ImageData", width: 0, height: 0 } as never)),
    ).toBe("INVALID_IMAGE");
    const huge = { [Symbol.toStringTag]: "ImageData", width: 12_000, height: 9_000 } as never;
    const tooLarge = await errorOf(sam.setImage(huge));
    expect(tooLarge.code).toBe("IMAGE_TOO_LARGE");
    expect(tooLarge.message).toMatch(/64.*scale it down/i);
    expect(await codeOf(sam.setImage(picture(), { range: [5, 5] }))).toBe("UNSUPPORTED_INPUT");
    const image = await sam.setImage(picture(), { range: [0, 4095] });
    expect(await codeOf(image.predict({}))).toBe("INVALID_PROMPT");
    expect(await codeOf(image.predict({ points: [{ x: 99, y: 1, label: 1 }] }))).toBe("INVALID_PROMPT");
    expect(await codeOf(image.predict({ points: [{ x: "1", y: 1, label: 1 }] } as never))).toBe(
      "INVALID_PROMPT",
    );
    expect(await codeOf(image.predict({ box: [1, 2, 3] } as never))).toBe("INVALID_PROMPT");
    expect((await image.predict(click)).masks).toHaveLength(3);
    sam.dispose();
  });

  it("aborts at once, skips what had not begun, and frees what comes late", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    const before = alive.embeddings;
    const { open, opened } = gate();
    hooks.beforeEncode = () => opened;
    const encoding = new AbortController();
    const queued = new AbortController();
    const first = errorOf(sam.setImage(picture(), { signal: encoding.signal }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    const second = errorOf(image.predict(click, { signal: queued.signal }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    let decodes = 0;
    hooks.beforeDecode = async () => void decodes++;
    encoding.abort();
    queued.abort();
    expect(await first).toMatchObject({ code: "ABORTED", name: "AbortError" });
    expect((await second).code).toBe("ABORTED");
    open();
    await image.predict(click);
    await vi.waitFor(() => expect(alive.embeddings).toBe(before));
    expect(decodes).toBe(1);
    expect(await codeOf(sam.setImage(picture(), { signal: AbortSignal.abort() }))).toBe("ABORTED");
    expect(await codeOf(load({ signal: AbortSignal.abort() }))).toBe("ABORTED");
    sam.dispose();
  });

  it("disposes: in-flight and later calls reject, twice is once", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    const { open, opened } = gate();
    hooks.beforeDecode = () => opened;
    const inFlight = codeOf(image.predict(click));
    image.dispose();
    image.dispose();
    expect(await inFlight).toBe("DISPOSED");
    expect(await codeOf(image.predict(click))).toBe("DISPOSED");
    open();
    delete hooks.beforeDecode;
    const other = await sam.setImage(picture());
    sam.dispose();
    sam.dispose();
    expect(await codeOf(other.predict(click))).toBe("DISPOSED");
    expect(await codeOf(sam.setImage(picture()))).toBe("DISPOSED");
  });

  it("passes on a configuration as JSON or a name, and the network's side", async () => {
    const before = configs.length;
    const tree = { model: { image_size: 512, scale: 0.5 } };
    const yaml = "# @package _global_\nmodel:\n  image_size: 512\n  scale: 0.5\n";
    for (const config of [undefined, "tiny", tree, JSON.stringify(tree), yaml]) {
      const sam = await load({ ...(config && { config }), imageSize: 256 });
      expect(sam.model.imageSize).toBe(256);
      sam.dispose();
    }
    const json = JSON.stringify(tree);
    expect(configs.slice(before)).toEqual([undefined, "tiny", json, json, json]);
    for (const config of ["", 3, null, "a: [", "- a\n- b", "one\ntwo"] as never[])
      expect(await codeOf(load({ config }))).toBe("UNSUPPORTED_INPUT");
    for (const imageSize of [0, -1, 0.5, Number.NaN, "512" as never])
      expect(await codeOf(load({ imageSize }))).toBe("UNSUPPORTED_INPUT");
  });

  it("passes on which holes and islands are to go, and refuses what is no number of pixels", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    await image.predict(click);
    await image.predict(click, { maxHoleArea: 8, maxSprinkleArea: 3 });
    expect(cleanups.slice(-2)).toEqual([
      [0, 0],
      [8, 3],
    ]);
    for (const area of [-1, 0.5, Number.NaN, 2 ** 32, "8" as never]) {
      expect(await codeOf(image.predict(click, { maxHoleArea: area }))).toBe("UNSUPPORTED_INPUT");
      expect(await codeOf(image.predict(click, { maxSprinkleArea: area }))).toBe("UNSUPPORTED_INPUT");
    }
    sam.dispose();
  });

  it("after a panic nothing hangs", async () => {
    const sam = await load();
    const { opened } = gate();
    hooks.beforeEncode = () => opened;
    const pending = errorOf(sam.setImage(picture()));
    await new Promise((resolve) => setTimeout(resolve, 20));
    hooks.panic?.("memory allocation of 268435456 bytes failed");
    expect((await pending).code).toBe("OUT_OF_MEMORY");
    expect(await codeOf(sam.setImage(picture()))).toBe("OUT_OF_MEMORY");
    sam.dispose();
  });

  it("does not go on with a lost device", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    hooks.beforeDecode = async () => {
      throw Object.assign(new Error("The GPU was lost. Load the model again."), { code: "DEVICE_LOST" });
    };
    expect(await codeOf(image.predict(click))).toBe("DEVICE_LOST");
    delete hooks.beforeDecode;
    expect(await codeOf(image.predict(click))).toBe("DEVICE_LOST");
    sam.dispose();
  });

  it("after a trap every call rejects and says to load again", async () => {
    const sam = await load();
    const image = await sam.setImage(picture());
    hooks.beforeDecode = async () => {
      throw new WebAssembly.RuntimeError("unreachable");
    };
    const [first, queued] = await Promise.all([
      errorOf(image.predict(click)),
      errorOf(sam.setImage(picture())),
    ]);
    delete hooks.beforeDecode;
    for (const error of [first, queued, await errorOf(image.predict(click))]) {
      expect(error.code).toBe("INTERNAL");
      expect(error.message).toMatch(/reload/);
    }
    sam.dispose();
  });
});

describe("Sam2", () => {
  it("frees everything on this thread when disposed of", async () => {
    const before = { ...alive };
    const sam = await Sam2.load({ model: weights, device: "cpu", worker: false });
    await sam.setImage(picture());
    sam.dispose();
    await vi.waitFor(() => expect(alive).toEqual(before));
  });

  it("rejects what is pending when the worker dies, and says why when it never started", async () => {
    const sam = await Sam2.load({ model: weights, device: "cpu" });
    const { opened } = gate();
    hooks.beforeEncode = () => opened;
    const pending = codeOf(sam.setImage(picture()));
    await new Promise((resolve) => setTimeout(resolve, 20));
    workers[0]?.fail("boom");
    expect(await pending).toBe("INTERNAL");
    expect(await codeOf(sam.setImage(picture()))).toBe("INTERNAL");

    makeWorker = () => new FakeWorker(undefined);
    const loading = errorOf(Sam2.load({ model: weights, device: "cpu" }));
    await new Promise((resolve) => setTimeout(resolve, 5));
    workers.at(-1)?.fail("");
    expect(await loading).toMatchObject({ code: "NETWORK", message: expect.stringMatching(/worker-src/) });
  });

  it("says when WebGPU is missing, and auto then takes the CPU", async () => {
    vi.stubGlobal("navigator", {});
    expect(await codeOf(Sam2.load({ model: weights, device: "webgpu" }))).toBe("DEVICE_UNAVAILABLE");
    expect((await Sam2.load({ model: weights })).device).toBe("cpu");
  });

  it("takes WebGPU only on a real adapter", async () => {
    const withAdapter = (adapter: unknown) =>
      vi.stubGlobal("navigator", { gpu: { requestAdapter: async () => adapter } });
    withAdapter({ info: { isFallbackAdapter: false, architecture: "ampere" } });
    expect((await Sam2.load({ model: weights })).device).toBe("webgpu");
    withAdapter({ info: { isFallbackAdapter: true } });
    expect((await Sam2.load({ model: weights })).device).toBe("cpu");
    withAdapter({ info: { isFallbackAdapter: false, architecture: "swiftshader" } });
    expect((await Sam2.load({ model: weights })).device).toBe("cpu");
  });

  it("auto goes on to the CPU for any fault of the GPU, and says why; not for one of the file's", async () => {
    const gpu = { requestAdapter: async () => ({ info: { architecture: "ampere" } }) };
    vi.stubGlobal("navigator", { gpu });
    for (const code of ["DEVICE_UNAVAILABLE", "DEVICE_LOST", "OUT_OF_MEMORY"]) {
      let first = true;
      const failing = {
        ...fakeWasm,
        Model: class extends fakeModel {
          static override async load(): Promise<never> {
            throw Object.assign(new Error("the driver says no"), { code });
          }
        },
      };
      makeWorker = () => {
        const worker = new FakeWorker(first ? failing : fakeWasm);
        first = false;
        return worker;
      };
      const sam = await Sam2.load({ model: weights });
      expect(sam.device).toBe("cpu");
      expect(sam.fallback).toMatchObject({ code, message: expect.stringMatching(/driver says no/) });
      sam.dispose();
      first = true;
      expect(await codeOf(Sam2.load({ model: weights, device: "webgpu" }))).toBe(code);
    }
    makeWorker = () => new FakeWorker(fakeWasm);
    const made = workers.length;
    expect(await codeOf(Sam2.load({ model: new ArrayBuffer(3) }))).toBe("WEIGHTS_CORRUPT");
    expect(workers.length).toBe(made + 1);
    expect((await Sam2.load({ model: weights })).fallback).toBeUndefined();
  });

  it.each([true, false])(
    "auto going on to the CPU downloads nothing twice, nor after a panic (worker: %s)",
    async (worker) => {
      vi.stubGlobal("navigator", {
        gpu: { requestAdapter: async () => ({ info: { architecture: "ampere" } }) },
      });
      for (const dies of [false, true]) {
        const fetched = vi.fn(async () => new Response(new Uint8Array(64)));
        vi.stubGlobal("fetch", fetched);
        let first = true;
        const load = vi.spyOn(fakeModel, "load").mockImplementation(async (_device, bytes) => {
          expect(bytes).toHaveLength(64);
          if (first) {
            first = false;
            if (dies) hooks.panic?.("the driver's compiler failed");
            throw Object.assign(new Error("the driver says no"), { code: "DEVICE_LOST" });
          }
          return new fakeModel();
        });
        const sam = await Sam2.load({ model: "https://example.test/a.safetensors", worker });
        load.mockRestore();
        expect([sam.device, sam.fallback?.code]).toEqual(["cpu", dies ? "INTERNAL" : "DEVICE_LOST"]);
        expect(fetched).toHaveBeenCalledTimes(1);
        sam.dispose();
      }
    },
  );

  it("lets only its own errors out", async () => {
    vi.stubGlobal("navigator", undefined);
    const sam = await Sam2.load({ model: weights });
    expect(sam.device).toBe("cpu");
    const image = await sam.setImage(picture());
    const proxied = [new Proxy({ x: 20, y: 15, label: 1 as const }, {})];
    expect(await codeOf(image.predict({ points: proxied }))).toBe("UNSUPPORTED_INPUT");
    expect((await image.predict(click)).masks).toHaveLength(3);

    makeWorker = () => {
      throw new DOMException("Script at another origin cannot be accessed.", "SecurityError");
    };
    const refused = await errorOf(Sam2.load({ model: weights, device: "cpu" }));
    expect(refused).toMatchObject({ code: "NETWORK", message: expect.stringMatching(/own origin/) });

    const moved = Object.assign(new Blob(["x"]), {
      arrayBuffer: () => Promise.reject(new DOMException("It could not be found.", "NotFoundError")),
    });
    const unread = await errorOf(Sam2.load({ model: moved, device: "cpu", worker: false }));
    expect(unread).toMatchObject({ code: "UNSUPPORTED_INPUT", message: expect.stringMatching(/moved/) });

    const reported: unknown[] = [];
    vi.stubGlobal("reportError", (error: unknown) => reported.push(error));
    const mistake = new TypeError("the page's own");
    const onProgress = () => {
      throw mistake;
    };
    (await Sam2.load({ model: weights, device: "cpu", worker: false, onProgress })).dispose();
    expect(reported.length).toBeGreaterThan(0);
    expect(new Set(reported)).toEqual(new Set([mistake]));
  });

  it("takes a picture that is a part of a larger buffer, and refuses one that was handed over", async () => {
    for (const worker of [true, false]) {
      const sam = await Sam2.load({ model: weights, device: "cpu", worker });
      const large = new Uint8ClampedArray(100 + 40 * 30 * 4 + 7).fill(9);
      const part = Object.assign(picture(), { data: large.subarray(100, 100 + 40 * 30 * 4) });
      for (const transfer of [true, false]) {
        const image = await sam.setImage(part, { transfer });
        expect([image.width, image.height]).toEqual([40, 30]);
      }
      expect(large.length).toBe(100 + 40 * 30 * 4 + 7);
      const whole = picture();
      await sam.setImage(whole, { transfer: true });
      if (worker) expect(await codeOf(sam.setImage(whole))).toBe("INVALID_IMAGE");
      sam.dispose();
    }
  });
});
