import { addressOf } from "./address.js";
import { connectWorker } from "./connect.js";
import { Detector } from "./detector.js";
import { isSupported } from "./device.js";
import { DISPOSE } from "./dispose.js";
import { fromPlain, Sam2Error, toSam2Error } from "./errors.js";
import { closePicture } from "./frame-source.js";
import { ImageEmbedding } from "./image-embedding.js";
import { Link, reloaded } from "./link.js";
import { configOf } from "./model-config.js";
import { isPixels, toPicture } from "./picture.js";
import type { Calls, Connection, MadeImage } from "./protocol.js";
import { checkForm, readWeights } from "./read-weights.js";
import { isOfTheEngine, lossOf, muted, runsInWorker, type StartedOn, startOn } from "./start.js";
import { checkRange, type Range } from "./stretch.js";
import type {
  LoadDetectorOptions,
  LoadOptions,
  ModelInfo,
  OpenVideoOptions,
  PictureSource,
  Precision,
  PreloadOptions,
  ReloadOptions,
  RestoreImageOptions,
  SetImageOptions,
  VideoSource,
} from "./types.js";
import { check, until } from "./until.js";
import { Video } from "./video.js";
import { openSource } from "./video-source.js";
import { weightsSource } from "./weights-source.js";
import { type CachedWeights, dropAll, dropCached, isKept, listCached } from "./weights-store.js";
import { startWorker } from "./worker-script.js";

/** Makes an image again, on a new device. */
type MakeAgain = (signal: AbortSignal) => Promise<MadeImage>;

/** A model, loaded and ready. */
export class Sam2 {
  readonly #options: LoadOptions;
  readonly #link: Link;
  #started: Started;
  #lost: Promise<Sam2Error>;
  #reloading: Promise<void> | undefined;
  readonly #images = new Set<{ image: WeakRef<ImageEmbedding>; again: MakeAgain | undefined }>();
  readonly #videos = new Map<Video, { open: () => Promise<number> }>();
  readonly #disposed = new AbortController();
  #detector: Detector | undefined;
  #encodes = 0;
  /** By engines that are gone. */
  #encodesBefore = 0;

  private constructor(options: LoadOptions, started: Started) {
    this.#options = options;
    this.#started = started;
    this.#link = new Link(started.connection);
    this.#lost = lossOf(started.connection);
  }

  /** Where it runs: `"webgpu"` or `"cpu"`. */
  get device(): "webgpu" | "cpu" {
    return this.#started.device;
  }

  /** The GPU's description, or `"cpu"`. */
  get adapter(): string {
    return this.#started.loaded.device;
  }

  get model(): ModelInfo {
    const { name, version, imageSize, parameters } = this.#started.loaded;
    return { name, version, imageSize, parameters };
  }

  /** What a user should know of the weights file: tensors that were passed over, or which of several models was taken. */
  get warnings(): readonly string[] {
    return this.#started.loaded.warnings;
  }

  /** What matrices are multiplied in. */
  get precision(): Precision {
    return this.#started.loaded.precision;
  }

  /** Why `device: "auto"` went on to the CPU although there is a GPU. */
  get fallback(): Sam2Error | undefined {
    return this.#started.fallback;
  }

  /** Why the model's file was not kept for the next visit although it should be: `QUOTA_EXCEEDED`. */
  get notKept(): Sam2Error | undefined {
    const { notKept } = this.#started.loaded;
    return notKept && fromPlain(notKept);
  }

  /**
   * Resolves with the reason once the model cannot go on: `DEVICE_LOST` (the browser or the driver took the GPU away),
   * `OUT_OF_MEMORY` or `INTERNAL`. Calls then reject with that reason until {@link Sam2.reload} has ended, and this is
   * another promise after it. It stays pending when the model is disposed of.
   */
  get lost(): Promise<Sam2Error> {
    return this.#lost;
  }

  /**
   * Downloads a model and readies it on a device.
   *
   * @throws {@link Sam2Error} `NETWORK`, `WEIGHTS_*`, `DEVICE_UNAVAILABLE`, `OUT_OF_MEMORY`, `ABORTED`,
   * `UNSUPPORTED_INPUT`.
   */
  static async load(options: LoadOptions = {}): Promise<Sam2> {
    return new Sam2(options, await start(options));
  }

  /**
   * Begins anew on a new device, with the model's file from the browser's storage or from where it came, after
   * {@link Sam2.lost} or at any time. Calls under way reject with `DEVICE_LOST`.
   *
   * Pictures are encoded again (see {@link SetImageOptions.again}), so that every {@link ImageEmbedding} answers as before;
   * one whose picture cannot be had any more rejects from then on. A {@link Video} is told all its prompts again, and goes
   * on from there: propagate again from the first of them, for what tracking had remembered is gone. Of a stream, objects
   * whose prompted frames are gone are forgotten.
   *
   * @throws {@link Sam2Error} as {@link Sam2.load}. Then nothing works until another reload.
   */
  async reload(options: ReloadOptions = {}): Promise<void> {
    check(this.#disposed.signal, options.signal);
    this.#reloading ??= this.#reload(options).finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async #reload({ device, signal, onProgress }: ReloadOptions): Promise<void> {
    this.#encodesBefore = this.#encodes;
    this.#link.end(reloaded());
    const { signal: _, onProgress: __, ...options } = this.#options;
    const gone = new AbortController();
    const stop = () =>
      gone.abort(this.#disposed.signal.aborted ? this.#disposed.signal.reason : signal?.reason);
    for (const one of [this.#disposed.signal, signal]) one?.addEventListener("abort", stop);
    try {
      const started = await start({
        ...options,
        ...(device && { device }),
        ...(onProgress && { onProgress }),
        signal: gone.signal,
      });
      this.#started = started;
      this.#link.replace(started.connection);
      this.#lost = lossOf(started.connection);
      await this.#restoreImages(gone.signal);
      await this.#restoreVideos(gone.signal);
    } finally {
      for (const one of [this.#disposed.signal, signal]) one?.removeEventListener("abort", stop);
    }
  }

  async #restoreImages(signal: AbortSignal): Promise<void> {
    for (const held of this.#images) {
      const image = held.image.deref();
      if (!image || image.isDisposed) {
        this.#images.delete(held);
        continue;
      }
      try {
        if (!held.again) throw new Error("It was handed over, or is of a kind that changes.");
        image.restored(await held.again(signal));
      } catch (error) {
        check(signal);
        if (isOfTheEngine(error)) throw error;
        const why = (error as Error)?.message ?? error;
        image.restored(
          new Sam2Error(
            "DEVICE_LOST",
            `The picture's features went with the device, and it could not be encoded again: ${why} Call setImage again.`,
            { cause: error },
          ),
        );
        this.#images.delete(held);
      }
    }
  }

  async #restoreVideos(signal: AbortSignal): Promise<void> {
    for (const [video, { open }] of this.#videos) {
      if (video.isDisposed) {
        this.#videos.delete(video);
        continue;
      }
      try {
        await until(video.restored(await open()), [signal]);
      } catch (error) {
        check(signal);
        if (isOfTheEngine(error)) throw error;
        if (!video.isDisposed) video.lost(toSam2Error(error));
        this.#videos.delete(video);
      }
    }
  }

  /**
   * Whether this browser can run the models at all, without a download: it has WebAssembly with SIMD, and for
   * `device: "webgpu"` a GPU that it may use. Whether a model fits into the device's memory is known once it has loaded.
   */
  static async isSupported({ device = "auto" }: Pick<LoadOptions, "device"> = {}): Promise<boolean> {
    return isSupported(device);
  }

  /** Whether the model that these options name is kept in this browser, so that loading it needs no download. */
  static async isCached(options: Pick<LoadOptions, "model" | "baseUrl"> = {}): Promise<boolean> {
    const source = await weightsSource(options);
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
    const source = await weightsSource({ ...options, cache });
    if (!("url" in source) || !source.keep) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "Nothing to preload: pass a model by its name or URL, and a cache to keep it in.",
      );
    }
    if (await isKept(source.url)) return;
    const context = { signal, onProgress: muted(onProgress, signal), fetch: options.fetch };
    const file = await until(readWeights(source, context), [signal]);
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
    const source = await weightsSource(options);
    if ("url" in source) await dropCached(source.url);
  }

  /**
   * Downloads OWLv2, a detector, and readies it on a device, in a worker of its own: {@link ImageEmbedding.find} then finds
   * what words name, in all images of this model. It takes the place of one that was loaded before. It is disposed of with
   * the model, and stays through a {@link Sam2.reload}. `worker`, and `workerUrl` and `wasmUrl` if they are folders, are
   * those of {@link Sam2.load} unless they are given.
   *
   * @throws {@link Sam2Error} as {@link Sam2.load}.
   */
  async loadDetector(options: LoadDetectorOptions): Promise<Detector> {
    check(this.#disposed.signal, options?.signal);
    const { worker, workerUrl, wasmUrl } = this.#options;
    const isFolder = (given: unknown) => typeof given === "string" || given instanceof URL;
    const detector = await Detector.load({
      ...(worker !== undefined && { worker }),
      ...(isFolder(workerUrl) && { workerUrl: workerUrl as string | URL }),
      ...(isFolder(wasmUrl) && { wasmUrl: wasmUrl as string | URL }),
      ...options,
    });
    if (this.#disposed.signal.aborted) detector.dispose();
    check(this.#disposed.signal);
    this.#detector?.dispose();
    this.#detector = detector;
    return detector;
  }

  /** The detector that was loaded last. */
  get detector(): Detector | undefined {
    return this.#detector;
  }

  /** How many pictures have been encoded so far. Prompts never add to it. @internal */
  get encodes(): number {
    return this.#encodes;
  }

  /**
   * Shows the model a picture: the one slow step, once a picture. The picture is copied unless `transfer` is set.
   *
   * @throws {@link Sam2Error} `INVALID_IMAGE`, `IMAGE_TOO_LARGE` (above 64 megapixels), `UNSUPPORTED_INPUT`,
   * `ABORTED`, `DISPOSED`, or the failure of the device.
   */
  async setImage(
    picture: PictureSource,
    { signal, transfer = false, again, range: given }: SetImageOptions = {},
  ): Promise<ImageEmbedding> {
    check(this.#disposed.signal, signal);
    const range = checkRange(given);
    const made = await this.#encode(picture, { signal, transfer, range });
    const once = again ?? (!transfer && keepsItsPicture(picture) ? () => picture : undefined);
    return this.#hold(
      made,
      once &&
        (async (signal) => this.#encode(await until(Promise.resolve(once()), [signal]), { signal, range })),
    );
  }

  /**
   * Shows the model several pictures, one after another. If one fails, those before it are freed.
   *
   * @throws {@link Sam2Error} As {@link Sam2.setImage}.
   */
  async setImages(
    pictures: readonly PictureSource[],
    options: Omit<SetImageOptions, "again"> = {},
  ): Promise<ImageEmbedding[]> {
    if (!Array.isArray(pictures))
      throw new Sam2Error("UNSUPPORTED_INPUT", "setImages takes an array of pictures.");
    const images: ImageEmbedding[] = [];
    try {
      for (const picture of pictures) images.push(await this.setImage(picture, options));
      return images;
    } catch (error) {
      for (const image of images) image.dispose();
      throw error;
    }
  }

  /**
   * The image that {@link ImageEmbedding.save} has made a file of, without encoding it again. It is for the same model at the
   * same `imageSize`, on any device.
   *
   * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for another model's image or another kind of file; `ABORTED`, `DISPOSED`,
   * or the failure of the device.
   */
  async restoreImage(
    file: Blob,
    { signal, picture, range: given }: RestoreImageOptions = {},
  ): Promise<ImageEmbedding> {
    check(this.#disposed.signal, signal);
    if (!(file instanceof Blob))
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "restoreImage takes a Blob that ImageEmbedding.save has made.",
      );
    const range = checkRange(given);
    const restore = (signal: AbortSignal | undefined) => this.#restore(file, { signal, picture, range });
    const keeps = picture === undefined || keepsItsPicture(picture);
    return this.#hold(await restore(signal), keeps ? restore : undefined);
  }

  async #restore(
    file: Blob,
    {
      signal,
      picture,
      range,
    }: { signal: AbortSignal | undefined; picture: PictureSource | undefined; range: Range | undefined },
  ): Promise<MadeImage> {
    const gone = [signal, this.#disposed.signal];
    const prepared = picture && (await this.#prepared(picture, { signal, transfer: false, range }));
    const args = { file, ...(prepared && { picture: prepared.picture }) };
    return this.#made(this.#link.call("restoreImage", args, { signal }, prepared?.transfer), gone);
  }

  #hold(made: MadeImage, again: MakeAgain | undefined): ImageEmbedding {
    const image = new ImageEmbedding(this.#link, this.#disposed.signal, made, () => this.#needDetector());
    this.#forgetDisposed();
    this.#images.add({ image: new WeakRef(image), again });
    return image;
  }

  #needDetector(): Detector {
    if (this.#detector) return this.#detector;
    throw new Sam2Error(
      "UNSUPPORTED_INPUT",
      "No detector is loaded, which finds objects by words or an example: await sam.loadDetector({ model }) first.",
    );
  }

  /** A picture as the engine takes it. */
  async #prepared(
    picture: PictureSource,
    {
      signal,
      transfer,
      range,
    }: { signal: AbortSignal | undefined; transfer: boolean; range: Range | undefined },
  ): ReturnType<typeof toPicture> {
    const preparing = toPicture(picture, {
      transfer,
      range,
      inWorker: runsInWorker(this.#options),
      workerUrl: addressOf(this.#options.workerUrl, "picture", "worker-picture.js"),
      signal,
    });
    const gone = [signal, this.#disposed.signal];
    return until(preparing, gone, (late) => closePicture(late.picture));
  }

  /** Frees what is made too late. */
  async #made(call: Promise<MadeImage>, gone: readonly (AbortSignal | undefined)[]): Promise<MadeImage> {
    const made = await until(call, gone, ({ image }) => {
      if (!this.#disposed.signal.aborted) this.#link.call("release", { image }).catch(() => {});
    });
    this.#encodes = this.#encodesBefore + made.encodes;
    return made;
  }

  async #encode(
    picture: PictureSource,
    {
      signal,
      transfer = false,
      range,
    }: { signal?: AbortSignal | undefined; transfer?: boolean; range?: Range | undefined },
  ): Promise<MadeImage> {
    const gone = [signal, this.#disposed.signal];
    const prepared = await this.#prepared(picture, { signal, transfer, range });
    const args = { picture: prepared.picture };
    return this.#made(this.#link.call("setImage", args, { signal }, prepared.transfer), gone);
  }

  /** What was disposed of needs no restoring, and its picture need not be held on to. */
  #forgetDisposed(): void {
    for (const held of this.#images) if (held.image.deref()?.isDisposed ?? true) this.#images.delete(held);
    for (const video of this.#videos.keys()) if (video.isDisposed) this.#videos.delete(video);
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
      const opening = openSource(source, {
        keepFrames,
        inWorker: runsInWorker(this.#options),
        workerUrl: addressOf(this.#options.workerUrl, "video", "worker-video.js"),
        signal: live.signal,
      });
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
        const open = async (opening: AbortSignal | undefined) => {
          const call = this.#link.call(
            "openVideo",
            { width, height, frameCount, options: wasmOptions },
            { signal: opening },
          );
          const { video } = await until(call, [opening, this.#disposed.signal], (late) => {
            if (!this.#disposed.signal.aborted) this.#link.call("closeVideo", late).catch(() => {});
          });
          return video;
        };
        const video = new Video(this.#link, this.#disposed.signal, frames, await open(signal), () =>
          this.#needDetector(),
        );
        this.#forgetDisposed();
        this.#videos.set(video, { open: () => open(undefined) });
        return video;
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
    const reason = new Sam2Error("DISPOSED", "The model has been disposed of. Call Sam2.load again.");
    this.#disposed.abort(reason);
    this.#detector?.dispose();
    this.#images.clear();
    this.#videos.clear();
    this.#link.end(reason);
  }

  [DISPOSE](): void {
    this.dispose();
  }
}

type Started = StartedOn<Calls>;

async function start(options: LoadOptions): Promise<Started> {
  const { signal } = options;
  return startOn(options, {
    wasm: "sam2_web_bg.wasm",
    connect: (device) => connect(device, options),
    args: async () => {
      const weights = await until(weightsSource(options), [signal]);
      return { weights, ...(await until(configOf(options), [signal])) };
    },
  });
}

// Each wasm build has a worker of its own, written out as bundlers recognise it, so that only one build is fetched and
// no worker needs code splitting (which Vite's default worker format lacks).
async function connect(device: "webgpu" | "cpu", options: LoadOptions): Promise<Connection> {
  if (!runsInWorker(options)) {
    const [{ connectLocal }, { newWasm }] = await Promise.all([
      import("./connect-local.js"),
      device === "webgpu" ? import("./wasm-webgpu.js") : import("./wasm-cpu.js"),
    ]);
    return connectLocal(newWasm());
  }
  return connectWorker(
    startWorker(
      () =>
        device === "webgpu"
          ? new Worker(new URL("./worker-webgpu.js", import.meta.url), { type: "module" })
          : new Worker(new URL("./worker-cpu.js", import.meta.url), { type: "module" }),
      addressOf(options.workerUrl, device, `worker-${device}.js`),
    ),
  );
}

/** Whether the same picture can be had from it later. */
function keepsItsPicture(source: PictureSource): boolean {
  if (isPixels(source)) return true;
  return ["Blob", "ImageBitmap", "HTMLImageElement"].some((kind) => {
    const type = (globalThis as Record<string, unknown>)[kind];
    return typeof type === "function" && source instanceof type;
  });
}
