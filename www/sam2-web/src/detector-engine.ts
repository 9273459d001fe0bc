import { bytesOf, EngineCore, type Handlers, type Source } from "./engine-core.js";
import { type PlainError, Sam2Error, toPlain } from "./errors.js";
import type { Box } from "./mask/types.js";
import { toRgba } from "./pixels.js";
import type { CoreCalls, FramePicture, WeightsSource } from "./protocol.js";
import { readWeights } from "./read-weights.js";
import type { Precision } from "./types.js";
import { check } from "./until.js";
import type {
  WasmDetection,
  WasmDetector,
  WasmDetectorImage,
  WasmDetectorModule,
  WasmFindOptions,
} from "./wasm-detector.js";

/** What is looked for: words, or what is like the example in a box. */
export type Query = { labels: string[] } | { example: Box };

/** What is looked for, what each of it is called, and which of its boxes are wanted. */
export interface Search {
  query: Query;
  names: readonly string[];
  options: WasmFindOptions;
}

/** The detector's calls: the same whether it lives in a worker or on this thread. */
export interface DetectorCalls extends CoreCalls {
  load: {
    args: Source & { vocabulary: WeightsSource; config?: string; imageSize?: number };
    result: {
      imageSize: number;
      parameters: number;
      device: string;
      precision: Precision;
      notKept?: PlainError;
    };
  };
  /** Encodes a picture, and holds it under the number. */
  setImage: { args: { picture: FramePicture }; result: { image: number; encodeMs: number } };
  find: { args: { image: number; query: Query; options: WasmFindOptions }; result: WasmDetection[] };
  release: { args: { image: number }; result: undefined };
}

/** The detector and the pictures it has seen, behind {@link DetectorCalls}. */
export class DetectorEngine extends EngineCore<DetectorCalls, WasmDetectorModule> {
  #detector: WasmDetector | undefined;
  readonly #images = new Map<number, WasmDetectorImage>();
  #nextId = 1;

  protected free(): void {
    for (const image of this.#images.values()) image.free();
    this.#images.clear();
    this.#detector?.free();
    this.#detector = undefined;
  }

  protected readonly handlers: Omit<Handlers<DetectorCalls>, "lost" | "takeWeights"> = {
    load: async ({ vocabulary, config, imageSize, ...source }, context) => {
      const { signal } = context;
      // Half a megabyte beside the weights: its progress would only confuse theirs.
      const words = readWeights(vocabulary, { signal });
      words.catch(() => {}); // Awaited below.
      const { network, device, notKept } = await this.build(source, context, async (device, bytes) =>
        this.wasm.Detector.load(device, bytes, (await words).bytes, config, imageSize),
      );
      this.#detector = network;
      const vocabularyNotKept = await (await words).keep();
      const why = notKept ?? vocabularyNotKept;
      return {
        imageSize: network.imageSize,
        parameters: network.parameters,
        device: device.name,
        precision: device.f16Products ? "f16" : "f32",
        ...(why && { notKept: toPlain(why) }),
      };
    },

    setImage: async ({ picture }, { signal }) => {
      if (!this.#detector) throw new Sam2Error("INTERNAL", "No detector is loaded. Call loadDetector again.");
      const { data, width, height } = await toRgba(picture);
      check(signal);
      const start = performance.now();
      const seen = await this.#detector.setImage(bytesOf(data), width, height);
      const image = this.#nextId++;
      this.#images.set(image, seen);
      return { image, encodeMs: performance.now() - start };
    },

    find: async ({ image, query, options }) => {
      const held = this.#images.get(image);
      if (!held) throw new Sam2Error("DISPOSED", "The image has been disposed of. Call setImage again.");
      if ("labels" in query) return held.find(query.labels, options);
      return held.findLike(...query.example, options);
    },

    release: async ({ image }) => {
      const held = this.#images.get(image);
      this.#images.delete(image);
      held?.free();
      return undefined;
    },
  };
}
