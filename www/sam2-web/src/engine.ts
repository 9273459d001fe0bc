import { BatchSearch } from "./batch-search.js";
import { cutOut } from "./cutout/cut-out.js";
import { fingerprint, readEmbedding, writeEmbedding } from "./embedding-file.js";
import { isOutOfMemory, isTrap, type PlainError, Sam2Error, toPlain, toSam2Error } from "./errors.js";
import { ifOpenedFromDisk, readFileUrl } from "./file-url.js";
import { closePicture } from "./frame-source.js";
import { toLogits } from "./mask/to-logits.js";
import { cropBits, cropPixels, partAround } from "./part.js";
import { toRgba } from "./pixels.js";
import type { CallContext, Calls, MadeImage, Method, OnFrame, Picture, RawPicture } from "./protocol.js";
import { readWeights } from "./read-weights.js";
import { check } from "./until.js";
import type {
  WasmDevice,
  WasmEmbedding,
  WasmModel,
  WasmModule,
  WasmPrompt,
  WasmVideo,
} from "./wasm-module.js";

/** An image, and what its picture can be read from again; unknown where it was restored without it. */
interface HeldImage {
  embedding: WasmEmbedding;
  picture?: Picture;
}

type Handlers = {
  [M in Method]: (args: Calls[M]["args"], context: CallContext) => Promise<Calls[M]["result"]>;
};

/** A wasm memory this full at a trap was most likely the trap's cause. */
const NEARLY_FULL_BYTES = 3 * 2 ** 30;

/** A read that fails because the GPU is lost may be told so before the reason is. */
const REASON_MS = 100;

/**
 * The model, its embeddings and its videos, behind the calls of {@link Calls}. Lives in a worker or on the page's own thread;
 * knows nothing of either.
 */
export class Engine {
  readonly #wasm: WasmModule;
  #memory: WebAssembly.Memory | undefined;
  #device: WasmDevice | undefined;
  #model: WasmModel | undefined;
  /** Of the weights and the image size. */
  #fingerprint = "";
  readonly #images = new Map<number, HeldImage>();
  readonly #searches = new Map<number, { image: number; batches: BatchSearch }>();
  readonly #videos = new Map<number, WasmVideo>();
  #nextId = 1;
  /** One call at a time: a wasm object cannot be freed or entered again while a call on it is under way. */
  #queue: Promise<unknown> = Promise.resolve();
  #busy = 0;
  #fatal: Sam2Error | undefined;
  /** Whether the instance has stopped in the middle of something, so that nothing of it can be freed. */
  #trapped = false;
  #tellLost!: (reason: PlainError) => void;
  readonly #lost = new Promise<PlainError>((resolve) => {
    this.#tellLost = resolve;
  });
  /** Downloaded for a load that has not ended well. */
  #weights: Uint8Array<ArrayBuffer> | undefined;
  /** Of the calls under way. (Racing each with one promise of the engine's end would keep them all for ever.) */
  readonly #rejects = new Set<(error: Sam2Error) => void>();

  constructor(wasm: WasmModule) {
    this.#wasm = wasm;
    // A trap inside a wasm future surfaces here only: the future's own promise then never settles.
    globalThis.addEventListener?.("error", this.#onGlobalError);
    globalThis.addEventListener?.("unhandledrejection", this.#onGlobalError);
  }

  async call<M extends Method>(
    method: M,
    args: Calls[M]["args"],
    context: CallContext = {},
  ): Promise<Calls[M]["result"]> {
    // These two are asked of an engine that has stopped.
    if (method === "takeWeights") return this.#takeWeights() as Calls[M]["result"];
    if (method === "lost") return this.#lost as Promise<Calls[M]["result"]>;
    if (this.#fatal) {
      discard(args);
      throw this.#fatal;
    }
    const waits = this.#busy > 0;
    const turn = this.#queue.then(async () => {
      // An abort sent while the thread was computing is still on its way: let it arrive.
      if (waits) await new Promise((resolve) => setTimeout(resolve));
      try {
        if (this.#fatal) throw this.#fatal;
        check(context.signal);
        return await (this.#handlers as Handlers)[method](args, context);
      } catch (error) {
        discard(args);
        throw error;
      }
    });
    this.#queue = turn.catch(() => {});
    this.#busy++;
    let giveUp!: (error: Sam2Error) => void;
    try {
      return await new Promise<Calls[M]["result"]>((resolve, reject) => {
        giveUp = reject;
        this.#rejects.add(giveUp);
        turn.then(resolve, reject);
      });
    } catch (thrown) {
      if (isTrap(thrown)) throw this.#die(thrown);
      const error = toSam2Error(thrown);
      if (!isOfTheDevice(thrown)) throw error;
      await Promise.race([this.#lost, new Promise((resolve) => setTimeout(resolve, REASON_MS))]);
      throw this.#stop(error);
    } finally {
      this.#rejects.delete(giveUp);
      this.#busy--;
    }
  }

  /** Frees everything once the call under way has ended. */
  close(): void {
    globalThis.removeEventListener?.("error", this.#onGlobalError);
    globalThis.removeEventListener?.("unhandledrejection", this.#onGlobalError);
    this.#queue = this.#queue.then(() => {
      this.#fatal ??= new Sam2Error("DISPOSED", "The model has been disposed of.");
      if (this.#trapped) return;
      for (const id of [...this.#images.keys()]) this.#release(id);
      for (const video of this.#videos.values()) video.free();
      this.#videos.clear();
      this.#model?.free();
      this.#model = undefined;
      this.#device?.free();
      this.#device = undefined;
    });
  }

  readonly #handlers: Handlers = {
    load: async ({ weights, precision, wasmUrl, config, imageSize }, { signal, onProgress }) => {
      const step = (phase: "verify" | "compile" | "upload" | "ready", loaded: 0 | 1) =>
        onProgress?.({ phase, loaded, total: 1 });
      const opened = this.#open(precision === "f16", wasmUrl);
      opened.catch(() => {}); // It may fail while the download still runs; awaited below.
      let warm: Promise<unknown> = opened;
      const onHeader = (header: Uint8Array) => {
        // The header tells of the file's own configuration only.
        if (config !== undefined || imageSize !== undefined) return;
        // Loading will fail for the same reason, and say so.
        warm = opened.then((device) => device.warmUp(header)).catch(() => {});
      };
      const file = await readWeights(weights, { signal, onProgress, onHeader });
      this.#weights = file.bytes;
      step("verify", 1);
      check(signal);
      step("compile", 0);
      const device = await opened;
      await warm;
      step("compile", 1);
      check(signal);
      step("upload", 0);
      const model = await this.#wasm.Model.load(device, file.bytes, config, imageSize).catch(
        async (error) => {
          // A page that answers for a missing file must not be kept, and what was kept and is bad must go.
          if (toSam2Error(error).code.startsWith("WEIGHTS_")) await file.drop();
          throw error;
        },
      );
      this.#weights = undefined;
      const configured = config === undefined ? "" : ` by ${fingerprint(new TextEncoder().encode(config))}`;
      this.#fingerprint = `${fingerprint(file.bytes)} at ${model.imageSize}${configured}`;
      const notKept = await file.keep();
      step("upload", 1);
      this.#model = model;
      step("ready", 1);
      const { name, version, parameters, warnings = [] } = model;
      if (imageSize !== undefined && model.imageSize !== imageSize) {
        model.free();
        throw new Sam2Error(
          "WEIGHTS_UNSUPPORTED",
          `The model sees pictures at a side of ${model.imageSize} pixels only, not at ${imageSize}: leave imageSize out.`,
        );
      }
      return {
        name,
        version,
        imageSize: model.imageSize,
        parameters,
        warnings,
        device: device.name,
        precision: device.f16Products ? "f16" : "f32",
        ...(notKept && { notKept: toPlain(notKept) }),
      };
    },

    takeWeights: async () => this.#takeWeights(),

    lost: async () => this.#lost,

    setImage: async ({ picture }, { signal }) => {
      const model = this.#loaded();
      const { data, width, height } = await toRgba(picture);
      check(signal);
      const start = performance.now();
      const embedding = await model.setImage(bytesOf(data), width, height);
      const encodeMs = performance.now() - start;
      return this.#hold({ embedding, picture }, encodeMs);
    },

    saveImage: async ({ image }) => {
      const { embedding } = this.#image(image);
      const { width, height } = embedding;
      const features = await embedding.features();
      return writeEmbedding({ features, model: this.#fingerprint, width, height });
    },

    restoreImage: async ({ file, picture }) => {
      const { features, model, width, height } = await readEmbedding(file);
      if (model !== this.#fingerprint) {
        throw new Sam2Error(
          "UNSUPPORTED_INPUT",
          "The saved image was encoded by another model, or at another imageSize. Encode the picture by setImage.",
        );
      }
      const embedding = await this.#loaded().restoreImage(...features, width, height);
      return this.#hold({ embedding, ...(picture && { picture }) }, 0);
    },

    predict: async ({ image, prompts, maxHoleArea, maxSprinkleArea }) => {
      const { embedding } = this.#image(image);
      const start = performance.now();
      const predictions = await embedding.predictBatch(prompts, maxHoleArea, maxSprinkleArea);
      return { predictions, decodeMs: performance.now() - start };
    },

    refine: async ({ image, bits, box }, { signal }) => {
      const model = this.#loaded();
      const picture = await this.#pixels(image);
      check(signal);
      const start = performance.now();
      const part = partAround(box, picture, model.imageSize);
      const { data, width, height } = cropPixels(picture, part);
      const embedding = await model.setImage(bytesOf(data), width, height);
      try {
        const { left, top } = part;
        const prompt: WasmPrompt = {
          box: [box[0] - left, box[1] - top, box[2] + 1 - left, box[3] + 1 - top],
          mask: toLogits(cropBits(bits, picture, part), width, height, model.imageSize / 4),
          multimask: false,
        };
        const [prediction] = await embedding.predictBatch([prompt], 0, 0);
        if (!prediction) throw new Sam2Error("INTERNAL", "The engine gave no prediction for the prompt.");
        return { prediction, part, refineMs: performance.now() - start };
      } finally {
        embedding.free();
      }
    },

    cutout: async ({ cut, ...of }) => {
      if ("image" in of) return cutOut(await this.#pixels(of.image), cut);
      const rgba = await toRgba(of.picture);
      closePicture(of.picture);
      return cutOut(rgba, cut);
    },

    generate: async ({ image, options }) => {
      const { embedding } = this.#image(image);
      const rgba = options.cropNLayers ? bytesOf((await this.#pixels(image)).data) : undefined;
      const search = this.#nextId++;
      this.#searches.set(search, { image, batches: new BatchSearch(embedding, options, rgba) });
      return { search };
    },

    nextFound: async ({ search }) => {
      const held = this.#searches.get(search);
      if (!held) throw new Sam2Error("DISPOSED", "The image has been disposed of. Call setImage again.");
      try {
        const found = await held.batches.next();
        if ("records" in found) this.#searches.delete(search);
        return found;
      } catch (error) {
        this.#searches.delete(search);
        throw error;
      }
    },

    endSearch: async ({ search }) => this.#endSearch(search),

    release: async ({ image }) => this.#release(image),

    openVideo: async ({ width, height, frameCount, options }) => {
      const video = this.#nextId++;
      this.#videos.set(video, this.#loaded().openVideo(width, height, frameCount, options));
      return { video };
    },

    promptVideo: async (args, { signal }) => {
      const video = await this.#showFrame(args, signal);
      return "mask" in args
        ? video.promptMask(args.frame, args.object, args.mask)
        : video.prompt(args.frame, args.object, args.prompt, args.keepPoints);
    },

    track: async (args, { signal }) => {
      const video = await this.#showFrame(args, signal);
      return video.track(args.frame, args.backward);
    },

    clearPrompts: async ({ video, frame, object }) => this.#video(video).clearPrompts(frame, object),

    firstFrame: async ({ video }) => this.#video(video).firstFrame(),

    masksAt: async ({ video, frame }) => this.#video(video).masksAt(frame),

    removeObject: async ({ video, object }) => this.#video(video).removeObject(object),

    resetVideo: async ({ video }) => {
      await this.#video(video).reset();
      return undefined;
    },

    memoryUse: async ({ video }) => this.#video(video).memoryUse(),

    closeVideo: async ({ video }) => {
      const held = this.#videos.get(video);
      this.#videos.delete(video);
      held?.free();
      return undefined;
    },
  };

  #takeWeights(): ArrayBuffer | undefined {
    const bytes = this.#weights;
    this.#weights = undefined;
    if (!bytes) return undefined;
    const { buffer, byteOffset, byteLength } = bytes;
    // What is handed over is the whole buffer, and this one may be longer than the file.
    return byteOffset === 0 && byteLength === buffer.byteLength
      ? buffer
      : buffer.slice(byteOffset, byteOffset + byteLength);
  }

  async #open(f16Products: boolean, wasmUrl: string | undefined): Promise<WasmDevice> {
    await this.#start(wasmUrl);
    const device = await this.#wasm.Device.open(f16Products);
    this.#device = device;
    // A GPU may go while nobody asks anything of it.
    void device.fault().then((fault) => fault && this.#stop(toSam2Error(fault)));
    return device;
  }

  async #start(wasmUrl: string | undefined): Promise<void> {
    try {
      const file = wasmUrl?.startsWith("file:") ? await readFileUrl(wasmUrl) : wasmUrl;
      this.#memory = (await this.#wasm.init(file ? { module_or_path: file } : undefined)).memory;
      this.#wasm.setPanicHandler((message) => this.#die(new Error(message)));
    } catch (cause) {
      if (cause instanceof Error && isOutOfMemory(cause)) throw toSam2Error(cause);
      if (cause instanceof Sam2Error) throw cause;
      throw (
        ifOpenedFromDisk() ??
        new Sam2Error(
          "NETWORK",
          "The wasm module could not be started. Check that sam2_web_bg.wasm is served beside its script, or say by " +
            "wasmUrl where it is, and that the page's script-src policy has 'wasm-unsafe-eval'.",
          { cause },
        )
      );
    }
  }

  #loaded(): WasmModel {
    if (!this.#model) throw new Sam2Error("INTERNAL", "No model is loaded. Call Sam2.load again.");
    return this.#model;
  }

  #image(id: number) {
    const held = this.#images.get(id);
    if (!held) throw new Sam2Error("DISPOSED", "The image has been disposed of. Call setImage again.");
    return held;
  }

  #hold(held: HeldImage, encodeMs: number): MadeImage {
    const image = this.#nextId++;
    this.#images.set(image, held);
    const { width, height } = held.embedding;
    const { imageSize, encodes } = this.#loaded();
    // Of the network's square, a quarter (the prompt encoder's `mask_input_size`).
    return { image, width, height, logitsSide: imageSize / 4, encodeMs, encodes };
  }

  /** An image's picture once more. */
  async #pixels(image: number): Promise<RawPicture> {
    const { embedding, picture } = this.#image(image);
    if (!picture) {
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        "This needs the picture's pixels, and the image was restored without its picture: " +
          "sam.restoreImage(file, { picture }).",
      );
    }
    const pixels = await toRgba(picture);
    if (pixels.width === embedding.width && pixels.height === embedding.height) return pixels;
    throw new Sam2Error(
      "INVALID_IMAGE",
      `The picture is ${pixels.width} x ${pixels.height} pixels, but the saved image is of one of ` +
        `${embedding.width} x ${embedding.height}: restore it with its own picture.`,
    );
  }

  #video(id: number): WasmVideo {
    const held = this.#videos.get(id);
    if (!held) throw new Sam2Error("DISPOSED", "The video has been disposed of. Call openVideo again.");
    return held;
  }

  /** Encodes a call's frame if it has come with its picture. */
  async #showFrame(
    { video: id, frame, picture }: OnFrame,
    signal: AbortSignal | undefined,
  ): Promise<WasmVideo> {
    const video = this.#video(id);
    if (picture) {
      const { data, width, height } = await toRgba(picture);
      closePicture(picture);
      check(signal);
      await video.setFrame(frame, bytesOf(data), width, height);
    }
    return video;
  }

  #endSearch(id: number): undefined {
    this.#searches.get(id)?.batches.stop();
    this.#searches.delete(id);
  }

  #release(id: number): undefined {
    for (const [search, { image }] of this.#searches) if (image === id) this.#endSearch(search);
    const held = this.#images.get(id);
    this.#images.delete(id);
    held?.embedding.free();
    if (held?.picture) closePicture(held.picture);
  }

  #onGlobalError = (event: Event) => {
    const thrown = (event as ErrorEvent).error ?? (event as PromiseRejectionEvent).reason;
    // A trap of some other module while we are idle is not ours.
    if (this.#busy && isTrap(thrown)) this.#die(thrown);
  };

  /** The instance has stopped in the middle of something. */
  #die(cause: Error): Sam2Error {
    this.#trapped = true;
    const full = (this.#memory?.buffer.byteLength ?? 0) > NEARLY_FULL_BYTES;
    return this.#stop(
      full || isOutOfMemory(cause)
        ? new Sam2Error(
            "OUT_OF_MEMORY",
            "The model ran out of memory. Call reload, or load again with a smaller model or picture.",
            { cause },
          )
        : new Sam2Error(
            "INTERNAL",
            `The engine stopped on a fault of its own (${cause.message}). Call reload, or load again.`,
            { cause },
          ),
    );
  }

  /** Nothing can be computed any more. The first reason is the cause; later ones follow from it. */
  #stop(reason: Sam2Error): Sam2Error {
    this.#fatal ??= reason;
    for (const reject of this.#rejects) reject(this.#fatal);
    this.#tellLost(toPlain(this.#fatal));
    return this.#fatal;
  }
}

/** What the wasm tells of its device, which cannot be used any more then; not what the browser tells of a picture. */
function isOfTheDevice(thrown: unknown): boolean {
  if (thrown instanceof Sam2Error) return false;
  const code = (thrown as { code?: unknown } | undefined)?.code;
  return code === "DEVICE_LOST" || code === "OUT_OF_MEMORY";
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint8ClampedArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The picture of a call that failed: nobody else holds it. */
function discard(args: object): void {
  if ("picture" in args && args.picture) closePicture(args.picture);
}
