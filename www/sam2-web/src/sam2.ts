import { connectLocal, connectWorker, startWorker } from "./connect.js";
import { chooseDevices } from "./device.js";
import { fromPlain, Sam2Error, type Sam2ErrorCode } from "./errors.js";
import { closePicture } from "./frame-source.js";
import { ImageEmbedding } from "./image-embedding.js";
import { toPicture } from "./picture.js";
import type { Calls, Connection } from "./protocol.js";
import { checkForm, readWeights } from "./read-weights.js";
import type {
  LoadOptions,
  ModelInfo,
  OpenVideoOptions,
  PictureSource,
  Precision,
  PreloadOptions,
  SetImageOptions,
  VideoSource,
} from "./types.js";
import { check, until } from "./until.js";
import { Video } from "./video.js";
import { openSource } from "./video-source.js";
import { weightsSource } from "./weights-source.js";
import { type CachedWeights, dropAll, dropCached, isKept, listCached } from "./weights-store.js";

/** A model, loaded and ready. */
export class Sam2 {
  /** Where it runs: `"webgpu"` or `"cpu"`. */
  readonly device: "webgpu" | "cpu";
  /** The GPU's description, or `"cpu"`. */
  readonly adapter: string;
  readonly model: ModelInfo;
  /** What matrices are multiplied in. */
  readonly precision: Precision;
  /** Why `device: "auto"` went on to the CPU although there is a GPU. */
  readonly fallback: Sam2Error | undefined;
  /** Why the model's file was not kept for the next visit although it should be: `QUOTA_EXCEEDED`. */
  readonly notKept: Sam2Error | undefined;
  readonly #connection: Connection;
  readonly #worker: boolean;
  readonly #disposed = new AbortController();
  #encodes = 0;

  private constructor(
    connection: Connection,
    device: "webgpu" | "cpu",
    worker: boolean,
    loaded: Calls["load"]["result"],
    fallback: Sam2Error | undefined,
  ) {
    const { device: adapter, precision, notKept, ...model } = loaded;
    this.#connection = connection;
    this.#worker = worker;
    this.device = device;
    this.adapter = adapter;
    this.precision = precision;
    this.fallback = fallback;
    this.notKept = notKept && fromPlain(notKept);
    this.model = model;
  }

  /**
   * Downloads a model and readies it on a device.
   *
   * @throws {@link Sam2Error} `NETWORK`, `WEIGHTS_*`, `DEVICE_UNAVAILABLE`, `OUT_OF_MEMORY`, `ABORTED`,
   * `UNSUPPORTED_INPUT`.
   */
  static async load(options: LoadOptions = {}): Promise<Sam2> {
    const { device = "auto", precision = "f32", worker = true, signal, onProgress } = options;
    check(signal);
    if (precision !== "f32" && precision !== "f16")
      throw new Sam2Error("UNSUPPORTED_INPUT", `precision must be "f32" or "f16", not "${precision}".`);
    let weights = weightsSource(options);
    const devices = await until(chooseDevices(device), [signal]);
    let fallback: Sam2Error | undefined;
    for (const [index, chosen] of devices.entries()) {
      const connection = await connect(chosen, worker);
      try {
        const context = { signal, onProgress: muted(onProgress, signal) };
        const call = connection.call("load", { weights, precision }, context);
        return new Sam2(connection, chosen, worker, await until(call, [signal]), fallback);
      } catch (error) {
        const another = index + 1 < devices.length;
        if (!(another && error instanceof Sam2Error && OF_THE_DEVICE.includes(error.code))) {
          connection.close();
          throw error;
        }
        fallback = error;
        // Nobody should download a file twice because of a driver.
        const bytes = await connection.call("takeWeights", {}).catch(() => undefined);
        if (bytes && "url" in weights) weights = { ...weights, bytes };
        connection.close();
      }
    }
    throw new Sam2Error("DEVICE_UNAVAILABLE", "No device could run the model.");
  }

  /** Whether the model that these options name is kept in this browser, so that loading it needs no download. */
  static async isCached(options: Pick<LoadOptions, "model" | "baseUrl"> = {}): Promise<boolean> {
    const source = weightsSource(options);
    return "url" in source && (await isKept(source.url));
  }

  /**
   * Downloads a model's file and keeps it in this browser, without a device: for a moment when the network is idle, or
   * for use offline. {@link Sam2.load} then needs no download.
   *
   * @throws {@link Sam2Error} `NETWORK`, `WEIGHTS_CORRUPT` (what came is not the file), `QUOTA_EXCEEDED` (it cannot be
   * kept), `OUT_OF_MEMORY`, `ABORTED`, `UNSUPPORTED_INPUT`.
   */
  static async preload(options: PreloadOptions = {}): Promise<void> {
    const { signal, onProgress, cache = "auto" } = options;
    check(signal);
    const source = weightsSource({ ...options, cache });
    if (!("url" in source) || !source.keep) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "Nothing to preload: pass a model by its name or URL, and a cache to keep it in.",
      );
    }
    if (await isKept(source.url)) return;
    const file = await until(readWeights(source, { signal, onProgress: muted(onProgress, signal) }), [
      signal,
    ]);
    try {
      if (source.sha256 === undefined) checkForm(source.url, file.bytes);
    } catch (error) {
      await file.drop();
      throw error;
    }
    const notKept = await file.keep();
    if (notKept) throw notKept;
  }

  /** The model files that are kept in this browser. */
  static listCached(): Promise<CachedWeights[]> {
    return listCached();
  }

  /** Deletes the model that these options name from this browser's cache, or all that are kept there. */
  static async clearCache(options?: Pick<LoadOptions, "model" | "baseUrl">): Promise<void> {
    if (!options) return dropAll();
    const source = weightsSource(options);
    if ("url" in source) await dropCached(source.url);
  }

  /** How many pictures have been encoded so far. Prompts never add to it. */
  get encodes(): number {
    return this.#encodes;
  }

  /**
   * Shows the model a picture: the one slow step, once a picture. The picture is copied unless `transfer` is set.
   *
   * @throws {@link Sam2Error} `INVALID_IMAGE`, `IMAGE_TOO_LARGE` (above 64 megapixels), `UNSUPPORTED_INPUT`,
   * `ABORTED`, `DISPOSED`, or what befell the device.
   */
  async setImage(
    picture: PictureSource,
    { signal, transfer = false }: SetImageOptions = {},
  ): Promise<ImageEmbedding> {
    check(this.#disposed.signal, signal);
    const gone = [signal, this.#disposed.signal];
    const prepared = await until(toPicture(picture, transfer), gone, (late) => closePicture(late.picture));
    const call = this.#connection.call(
      "setImage",
      { picture: prepared.picture },
      { signal },
      prepared.transfer,
    );
    const made = await until(call, gone, ({ image }) => {
      if (!this.#disposed.signal.aborted) this.#connection.call("release", { image }).catch(() => {});
    });
    this.#encodes = made.encodes;
    return new ImageEmbedding(this.#connection, this.#disposed.signal, made);
  }

  /**
   * Opens a video to follow objects through: a file, a camera, a `<video>` or frames of your own. A file is decoded
   * in a worker of its own, frame by frame as they are needed.
   *
   * @throws {@link Sam2Error} `VIDEO_UNSUPPORTED` (no WebCodecs here, or no decoder for it), `VIDEO_CORRUPT`,
   * `NO_VIDEO_TRACK`, `VIDEO_SOURCE_FAILED`, `NETWORK`, `UNSUPPORTED_INPUT`, `ABORTED`, `DISPOSED`.
   */
  async openVideo(source: VideoSource, options: OpenVideoOptions = {}): Promise<Video> {
    const { signal, keepFrames = 0, corrections = "kept" } = options;
    const { nonOverlapping = false, fillHoles = 8, memoryStride = 1, maxConditioningFrames = 4 } = options;
    const gone = [signal, this.#disposed.signal];
    check(...gone);
    for (const [name, value, least] of [
      ["keepFrames", keepFrames, 0],
      ["fillHoles", fillHoles, 0],
      ["memoryStride", memoryStride, 1],
      ["maxConditioningFrames", maxConditioningFrames, 2],
    ] as const) {
      if (Number.isInteger(value) && value >= least) continue;
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `${name} must be a whole number of at least ${least}, not ${value}.`,
      );
    }
    if (corrections !== "kept" && corrections !== "official") {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `corrections must be "kept" or "official", not "${corrections}".`,
      );
    }
    const live = new AbortController();
    try {
      const opening = openSource(source, { keepFrames, inWorker: this.#worker, signal: live.signal });
      const frames = await until(opening, gone, (late) => late.close());
      try {
        const { width, height, frameCount } = frames;
        const wasmOptions = {
          nonOverlapping: Boolean(nonOverlapping),
          fillHoles,
          memoryStride,
          maxConditioningFrames,
          officialCorrections: corrections === "official",
          // A file's can be asked for at any time; a stream's are gone with its frames, and it may never end.
          pastMaskBytes: frameCount === undefined ? 2 ** 15 + keepFrames * 2 ** 12 : 2 ** 26,
        };
        const call = this.#connection.call(
          "openVideo",
          { width, height, frameCount, options: wasmOptions },
          { signal },
        );
        const { video } = await until(call, gone, (late) => {
          if (!this.#disposed.signal.aborted) this.#connection.call("closeVideo", late).catch(() => {});
        });
        return new Video(this.#connection, this.#disposed.signal, frames, video);
      } catch (error) {
        frames.close();
        throw error;
      }
    } catch (error) {
      live.abort(error);
      throw error;
    }
  }

  /** Frees the model, all its images and videos, and its worker. Calls under way and later ones reject with `DISPOSED`. */
  dispose(): void {
    if (this.#disposed.signal.aborted) return;
    this.#disposed.abort(new Sam2Error("DISPOSED", "The model has been disposed of. Call Sam2.load again."));
    this.#connection.close();
  }
}

// Each wasm build has a worker of its own, written out as bundlers recognise it, so that only one build is fetched and
// no worker needs code splitting (which Vite's default worker format lacks).
async function connect(device: "webgpu" | "cpu", inWorker: boolean): Promise<Connection> {
  if (!inWorker) {
    const { wasm } = await (device === "webgpu" ? import("./wasm-webgpu.js") : import("./wasm-cpu.js"));
    return connectLocal(wasm);
  }
  return connectWorker(
    startWorker(() =>
      device === "webgpu"
        ? new Worker(new URL("./worker-webgpu.js", import.meta.url), { type: "module" })
        : new Worker(new URL("./worker-cpu.js", import.meta.url), { type: "module" }),
    ),
  );
}

/** Silent once the load was aborted. What the page's own function throws is the page's, and does not end the load. */
function muted(onProgress: LoadOptions["onProgress"], signal?: AbortSignal): LoadOptions["onProgress"] {
  return (
    onProgress &&
    ((progress) => {
      if (signal?.aborted) return;
      try {
        onProgress(progress);
      } catch (error) {
        globalThis.reportError?.(error);
      }
    })
  );
}

/** Faults of a GPU or its driver, which the CPU does not share. */
const OF_THE_DEVICE: readonly Sam2ErrorCode[] = [
  "DEVICE_UNAVAILABLE",
  "DEVICE_LOST",
  "OUT_OF_MEMORY",
  "INTERNAL",
];
