import { BatchSearch } from "./batch-search.js";
import { cutOut } from "./cutout/cut-out.js";
import { fingerprint, readEmbedding, writeEmbedding } from "./embedding-file.js";
import { bytesOf, EngineCore, type Handlers } from "./engine-core.js";
import { Sam2Error, toPlain } from "./errors.js";
import { closePicture } from "./frame-source.js";
import { toLogits } from "./mask/to-logits.js";
import { cropBits, cropPixels, partAround } from "./part.js";
import { toRgba } from "./pixels.js";
import type { Calls, MadeImage, OnFrame, Picture, RawPicture } from "./protocol.js";
import { check } from "./until.js";
import type { WasmEmbedding, WasmModel, WasmModule, WasmPrompt, WasmVideo } from "./wasm-module.js";

/** An image, and what its picture can be read from again; unknown where it was restored without it. */
interface HeldImage {
  embedding: WasmEmbedding;
  picture?: Picture;
}

/** The model, its embeddings and its videos, behind the calls of {@link Calls}. */
export class Engine extends EngineCore<Calls, WasmModule> {
  #model: WasmModel | undefined;
  /** Of the weights and the image size. */
  #fingerprint = "";
  readonly #images = new Map<number, HeldImage>();
  readonly #searches = new Map<number, { image: number; batches: BatchSearch }>();
  readonly #videos = new Map<number, WasmVideo>();
  #nextId = 1;

  protected free(): void {
    for (const id of [...this.#images.keys()]) this.#release(id);
    for (const video of this.#videos.values()) video.free();
    this.#videos.clear();
    this.#model?.free();
    this.#model = undefined;
  }

  protected readonly handlers: Omit<Handlers<Calls>, "lost" | "takeWeights"> = {
    load: async ({ config, imageSize, ...source }, context) => {
      const load = this.wasm.Model.load;
      const { network, device, bytes, notKept } = await this.build(
        source,
        context,
        (device, bytes) => load(device, bytes, config, imageSize),
        // The header tells of the file's own configuration only.
        config === undefined && imageSize === undefined ? this.wasm.warmUp : undefined,
      );
      const configured = config === undefined ? "" : ` by ${fingerprint(new TextEncoder().encode(config))}`;
      this.#fingerprint = `${fingerprint(bytes)} at ${network.imageSize}${configured}`;
      this.#model = network;
      const { name, version, parameters, warnings = [] } = network;
      if (imageSize !== undefined && network.imageSize !== imageSize) {
        network.free();
        throw new Sam2Error(
          "WEIGHTS_UNSUPPORTED",
          `The model sees pictures at a side of ${network.imageSize} pixels only, not at ${imageSize}: leave imageSize out.`,
        );
      }
      return {
        name,
        version,
        imageSize: network.imageSize,
        parameters,
        warnings,
        device: device.name,
        precision: device.f16Products ? "f16" : "f32",
        ...(notKept && { notKept: toPlain(notKept) }),
      };
    },

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

    pixels: async ({ image }) => this.#pixels(image),

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
}
