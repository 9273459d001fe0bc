import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type LoadDetectorOptions, Mask, Sam2 } from "../src/index.js";
import { serveDetector } from "../src/serve-detector.js";
import { detector, fakeDetector } from "./fake-detector.js";
import { fakeWasm, hooks } from "./fake-wasm.js";
import { FakeWorker, stubWorkers } from "./fake-worker.js";

const picture = () => new ImageData(40, 30);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error) => error.code,
  );
const files = { model: new ArrayBuffer(64), vocabulary: new ArrayBuffer(16) };

let workers: FakeWorker[];

async function loaded(options: Partial<LoadDetectorOptions> = {}) {
  const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
  await sam.loadDetector({ ...files, device: "cpu", ...options });
  return { sam, image: await sam.setImage(picture()) };
}

beforeEach(() => {
  Object.assign(detector, { images: 0, encodes: 0, asked: [], loaded: [] });
  workers = stubWorkers((url) =>
    url.pathname.includes("worker-detector")
      ? new FakeWorker(undefined, (port) => serveDetector(fakeDetector, port))
      : new FakeWorker(fakeWasm),
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  delete hooks.beforeDecode;
});

describe("find", () => {
  it("gives objects as their masks come, each with its words", async () => {
    const { sam, image } = await loaded();
    const finding = image.find(["red circle", "star"], { threshold: 0.3, max: 12 });
    const seen: number[] = [];
    for await (const { label, score, box, mask } of finding) {
      seen.push(finding.found.length);
      expect(["red circle", "star"]).toContain(label);
      expect(score).toBeGreaterThan(0.3);
      // The fake engine draws an ellipse in each box.
      expect([mask.width, mask.height, mask.has(box[0] + 4, 4)]).toEqual([40, 30, true]);
    }
    // Eight at a time.
    expect(seen).toEqual([...Array(8).fill(8), ...Array(4).fill(12)]);
    expect(await finding.all()).toHaveLength(12);
    expect(detector.asked).toEqual([{ query: ["red circle", "star"], options: { threshold: 0.3, max: 12 } }]);
    sam.dispose();
  });

  it("shows the detector a picture once, and frees what it knows with the image", async () => {
    const { sam, image } = await loaded();
    await Promise.all([image.find("cat").all(), image.find(["dog"]).all()]);
    await image.findLike([1, 2, 9, 10]).all();
    expect([detector.encodes, detector.images]).toEqual([1, 1]);
    image.dispose();
    await vi.waitFor(() => expect(detector.images).toBe(0));
    sam.dispose();
  });

  it("finds what is like a mask or a box", async () => {
    const { sam, image } = await loaded();
    const square = [
      [3, 4],
      [11, 4],
      [11, 9],
      [3, 9],
    ] as const;
    const mask = Mask.fromPolygons([[square]], { width: 40, height: 30 });
    const [none, small] = [
      [30, 40],
      [9, 9],
    ].map((size) => Mask.fromRle({ size, counts: [(size[0] ?? 0) * (size[1] ?? 0)] })) as [Mask, Mask];
    const [found] = await image.findLike(mask, { label: "bolt", perLabel: 5 }).all();
    expect(found).toMatchObject({ label: "bolt", score: 0.8, box: [3, 4, 11, 9] });
    expect(detector.asked).toEqual([{ query: [3, 4, 11, 9], options: { perLabel: 5 } }]);
    expect(await codeOf(image.findLike(none).all())).toBe("INVALID_MASK");
    expect(await codeOf(image.findLike(small).all())).toBe("INVALID_MASK");
    expect(await codeOf(image.findLike([5, 5, 5, 5]).all())).toBe("INVALID_PROMPT");
    expect(await codeOf(image.findLike("box" as never).all())).toBe("INVALID_PROMPT");
    sam.dispose();
  });

  it("refuses words that are none, with the engine's or its own error", async () => {
    const { sam, image } = await loaded();
    expect(await codeOf(image.find([]).all())).toBe("INVALID_PROMPT");
    expect(await codeOf(image.find(["cat", " "]).all())).toBe("INVALID_PROMPT");
    expect(await codeOf(image.find([3 as never]).all())).toBe("INVALID_PROMPT");
    expect(await codeOf(image.find("a".repeat(10_000)).all())).toBe("INVALID_PROMPT");
    expect(await image.find("cat").all()).toHaveLength(3);
    sam.dispose();
  });

  it("ends where the loop is left, on abort and with the image", async () => {
    const { sam, image } = await loaded();
    const left = image.find("a".repeat(40));
    for await (const _ of left) break;
    expect(await left.all()).toHaveLength(8);

    const controller = new AbortController();
    const aborted = image.find("cat", { signal: controller.signal });
    const all = aborted.all();
    controller.abort();
    expect(await codeOf(all)).toBe("ABORTED");

    const ended = image.find("cat").all();
    image.dispose();
    expect(await codeOf(ended)).toBe("DISPOSED");
    expect(() => image.find("cat")).toThrow(expect.objectContaining({ code: "DISPOSED" }));
    sam.dispose();
  });

  it("answers a click between two batches", async () => {
    const { sam, image } = await loaded();
    hooks.beforeDecode = () => new Promise((resolve) => setTimeout(resolve, 20));
    const finding = image.find("a".repeat(40));
    const all = finding.all();
    await vi.waitFor(() => expect(finding.found.length).toBeGreaterThan(0), { interval: 2 });
    await image.predict({ points: [{ x: 3, y: 3, label: 1 }] });
    expect(finding.found.length).toBeLessThan(40);
    expect(await all).toHaveLength(40);
    sam.dispose();
  });
});

describe("loadDetector", () => {
  it("is asked for before anything is found", async () => {
    const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
    const image = await sam.setImage(picture());
    await expect(image.find("cat").all()).rejects.toMatchObject({
      code: "UNSUPPORTED_INPUT",
      message: expect.stringContaining("loadDetector"),
    });
    sam.dispose();
  });

  it("has its own worker, progress and options", async () => {
    const phases = new Set<string>();
    const { sam } = await loaded({
      imageSize: 320,
      config: { projection_dim: 32 },
      onProgress: ({ phase }) => phases.add(phase),
    });
    expect(detector.loaded).toEqual([
      { bytes: 64, merges: 16, config: '{"projection_dim":32}', imageSize: 320 },
    ]);
    expect(sam.detector).toMatchObject({
      device: "cpu",
      adapter: "cpu",
      model: { imageSize: 320, parameters: 1234 },
    });
    expect([...phases]).toEqual(["verify", "compile", "upload", "ready"]);
    expect(workers).toHaveLength(2);
    sam.dispose();
    expect(workers.map(({ terminated }) => terminated)).toEqual([true, true]);
  });

  it("fetches the vocabulary beside the model", async () => {
    const fetched: string[] = [];
    const fetch = async (url: string) => {
      fetched.push(String(url));
      return new Response(new Uint8Array(64));
    };
    vi.stubGlobal("fetch", fetch);
    const { sam } = await loaded({
      model: "https://host.test/owl/model.safetensors",
      vocabulary: undefined as never,
    });
    expect(fetched.sort()).toEqual([
      "https://host.test/owl/merges.txt",
      "https://host.test/owl/model.safetensors",
    ]);
    sam.dispose();
  });

  it("says what is missing, and what is no detector", async () => {
    const sam = await Sam2.load({ model: new ArrayBuffer(64), device: "cpu" });
    const attempt = (options: object) => codeOf(sam.loadDetector({ device: "cpu", ...options } as never));
    expect(await attempt({})).toBe("UNSUPPORTED_INPUT");
    expect(await attempt({ model: files.model })).toBe("UNSUPPORTED_INPUT");
    expect(await attempt({ ...files, device: "tpu" })).toBe("UNSUPPORTED_INPUT");
    expect(await attempt({ ...files, model: new ArrayBuffer(4) })).toBe("WEIGHTS_UNSUPPORTED");
    expect(sam.detector).toBeUndefined();
    sam.dispose();
  });

  it("takes the place of an earlier one, and tells when it is lost", async () => {
    const { sam, image } = await loaded();
    const first = sam.detector;
    await image.find("cat").all();
    await sam.loadDetector({ ...files, device: "cpu" });
    expect(await image.find("cat").all()).toHaveLength(3);
    expect(detector.encodes).toBe(2);
    expect(workers.map(({ terminated }) => terminated)).toEqual([false, true, false]);
    expect(sam.detector).not.toBe(first);

    detector.panic("a fault");
    expect((await sam.detector?.lost)?.code).toBe("INTERNAL");
    expect(await codeOf(image.find("dog").all())).toBe("INTERNAL");
    // SAM 2 goes on.
    expect((await image.predict({ points: [{ x: 3, y: 3, label: 1 }] })).masks).not.toHaveLength(0);
    sam.dispose();
  });
});
