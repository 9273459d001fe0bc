import type { CutOut } from "./cutout/cut.js";
import { cutOutOf } from "./cutout/of-mask.js";
import type { Detected, Detector } from "./detector.js";
import type { Search } from "./detector-engine.js";
import { DISPOSE } from "./dispose.js";
import { Sam2Error } from "./errors.js";
import { edgesOf, Finding, type FoundObject, searchFor, toFindOptions } from "./finding.js";
import { Generation, type MaskRecord } from "./generation.js";
import { type Link, reloaded } from "./link.js";
import { Mask } from "./mask.js";
import { PredictedMask } from "./predicted-mask.js";
import { toWasmPrompt } from "./prompt.js";
import type { Calls } from "./protocol.js";
import { RefinedMask } from "./refined-mask.js";
import type {
  Box,
  CutoutOptions,
  FindLikeOptions,
  FindOptions,
  GenerateOptions,
  MaskOptions,
  PredictOptions,
  Prompt,
} from "./types.js";
import { check, until } from "./until.js";
import type { WasmLowResMask, WasmPrediction } from "./wasm-module.js";

/** The model's answer to one prompt. */
export interface Prediction {
  /** One mask or three candidates, in the network's order; compare their `score`. */
  masks: PredictedMask[];
  /** Logit of whether there is an object at all: below 0, probably not. */
  objectScore: number;
  /** Milliseconds the engine took; in a batch, for the whole batch. */
  decodeMs: number;
}

/** Where an image is in the engine. */
interface Place {
  link: Link;
  id: number;
}

/** So many masks are predicted at once for objects that were found; a click is answered between two batches. */
const FOUND_AT_ONCE = 8;

/** Frees the features of images that were dropped without `dispose`. */
const dropped = new FinalizationRegistry<Place>(({ link, id }) => {
  link.call("release", { image: id }).catch(() => {});
});

/**
 * A picture the model has seen. Its features stay on the device, so a prompt costs milliseconds. Made by
 * {@link Sam2.setImage}; call `dispose()` when done, or declare it by `using`: until garbage is collected the device's memory
 * stays taken.
 */
export class ImageEmbedding {
  /** Picture width in pixels. */
  readonly width: number;
  /** Picture height in pixels. */
  readonly height: number;
  /** Milliseconds the encoder took. */
  readonly encodeMs: number;
  readonly #logitsSide: number;
  readonly #link: Link;
  readonly #place: Place;
  /** How many times it went to another engine. */
  #restores = 0;
  /** The newest one. */
  #generation: Generation | undefined;
  /** How many previews were asked for, and the end of the one under way. */
  #previews = 0;
  #previewing: Promise<void> | undefined;
  readonly #disposed = new AbortController();
  readonly #modelGone: AbortSignal;
  readonly #detector: () => Detector;
  #lastDetector: Detector | undefined;

  /** @internal */
  constructor(
    link: Link,
    modelGone: AbortSignal,
    made: Calls["setImage"]["result"],
    detector: () => Detector,
  ) {
    this.#link = link;
    this.#modelGone = modelGone;
    this.#detector = detector;
    this.#place = { link, id: made.image };
    dropped.register(this, this.#place, this);
    this.width = made.width;
    this.height = made.height;
    this.#logitsSide = made.logitsSide;
    this.encodeMs = made.encodeMs;
  }

  /**
   * Masks for one prompt. Calls are answered in order; abort one that is no longer wanted and it costs nothing if it
   * has not begun.
   *
   * @throws {@link Sam2Error} `INVALID_PROMPT`, `ABORTED`, `DISPOSED`, or the failure of the device.
   */
  async predict(prompt: Prompt, options?: MaskOptions): Promise<Prediction> {
    const [prediction] = await this.predictBatch([prompt], options);
    if (!prediction) throw new Sam2Error("INTERNAL", "The engine gave no prediction for the prompt.");
    return prediction;
  }

  /** Masks for several independent prompts, in their order. */
  async predictBatch(
    prompts: readonly Prompt[],
    { signal, maxHoleArea = 0, maxSprinkleArea = 0, size = "picture" }: MaskOptions = {},
  ): Promise<Prediction[]> {
    this.#check(signal);
    for (const [name, area] of Object.entries({ maxHoleArea, maxSprinkleArea })) {
      if (Number.isInteger(area) && area >= 0 && area < 2 ** 32) continue;
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `${name} must be a whole number of pixels from 0, not ${area}.`,
      );
    }
    if (size !== "picture" && size !== "logits")
      throw new Sam2Error("UNSUPPORTED_INPUT", `size must be "picture" or "logits", not "${size}".`);
    if (!Array.isArray(prompts))
      throw new Sam2Error("INVALID_PROMPT", "predictBatch takes an array of prompts.");
    const { width, height } = this;
    const picture = { width, height, logitsSide: this.#logitsSide };
    const asked = prompts.map((prompt) => toWasmPrompt(prompt, picture));
    const call = this.#link.call(
      "predict",
      { image: this.#id, prompts: asked, maxHoleArea, maxSprinkleArea },
      { signal },
    );
    const { predictions, decodeMs } = await until(call, [signal, ...this.#gone]);
    return predictions.map((prediction) => this.#read(prediction, decodeMs, size));
  }

  /**
   * What is under the pointer, for each of its moves: of {@link ImageEmbedding.generate}'s masks the smallest one there, or
   * else the model's best mask for a click. Only one is computed at a time, and of those that wait the latest wins: the
   * others give undefined.
   *
   * @throws {@link Sam2Error} As {@link ImageEmbedding.predict}.
   */
  async preview({ x, y }: { x: number; y: number }, options?: MaskOptions): Promise<Mask | undefined> {
    this.#check(options?.signal);
    // By their boxes first, and the smallest first: a mask's pixels are made when they are asked for.
    const smallest = this.#generation?.found
      .filter(({ bbox }) => isIn(bbox, x, y))
      .sort((a, b) => a.area - b.area)
      .find(({ mask }) => mask.has(x, y));
    // What was asked before is answered by this.
    const turn = ++this.#previews;
    if (smallest) return smallest.mask;
    while (this.#previewing) {
      await this.#previewing;
      if (turn !== this.#previews) return undefined;
    }
    const predicting = this.predict({ points: [{ x, y, label: 1 }] }, options);
    const ended = () => {
      this.#previewing = undefined;
    };
    this.#previewing = predicting.then(ended, ended);
    const { masks } = await predicting;
    return masks.reduce((a, b) => (b.score > a.score ? b : a));
  }

  /**
   * Looks for everything in the picture, by asking the model at a grid of points: the official automatic mask generator.
   * Iterate over it for masks as they are found, or await its `all()` for those that stay. Prompts are answered meanwhile.
   *
   * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for an option out of its bounds, when the first mask is asked for, and as
   * {@link ImageEmbedding.predict}. A search does not outlive {@link Sam2.reload}: `DEVICE_LOST`; begin another one.
   */
  generate({ signal, onProgress, pointsPerBatch = 16, ...rest }: GenerateOptions = {}): Generation {
    this.#check(signal);
    const given = Object.entries(rest).filter(([, value]) => value !== undefined);
    const options = { pointsPerBatch, ...Object.fromEntries(given) };
    const restores = this.#restores;
    let search: Promise<{ search: number }> | undefined;
    const end = () => {
      // Another engine may have a search of its own by this number.
      if (restores !== this.#restores) return;
      search?.then((begun) => this.#link.call("endSearch", begun)).catch(() => {});
    };
    const generation = new Generation(this, onProgress, {
      next: async () => {
        this.#check(signal);
        if (restores !== this.#restores) throw reloaded();
        const calls = async () => {
          search ??= this.#link.call("generate", { image: this.#id, options }, { signal });
          return this.#link.call("nextFound", await search, { signal });
        };
        try {
          return await until(calls(), [signal, ...this.#gone]);
        } catch (error) {
          end();
          throw error;
        }
      },
      end,
    });
    this.#generation = generation;
    return generation;
  }

  /**
   * Finds the objects that words name, by the detector of {@link Sam2.loadDetector}: `find(["person", "a red car"])`. Each
   * place of the picture has the label that fits it best. Iterate over it for objects as their masks come, the best first,
   * or await its `all()`. Prompts are answered meanwhile. The detector looks at a picture once, at the first search.
   *
   * @throws {@link Sam2Error} when the first object is asked for: `INVALID_PROMPT` for labels that are empty or longer than
   * 1,000 letters, `UNSUPPORTED_INPUT` for an option out of its bounds, where no detector is loaded, or where the image was
   * restored without its picture; and as {@link ImageEmbedding.predict}.
   */
  find(labels: string | readonly string[], options: FindOptions = {}): Finding {
    this.#check(options.signal);
    const wanted = toFindOptions(options);
    return this.#find(() => searchFor(labels, wanted), options.signal);
  }

  /**
   * Finds the objects that are like one in the picture, which is among them: `findLike(mask)`, or a box as prompts have it.
   * As {@link ImageEmbedding.find} else.
   *
   * @throws {@link Sam2Error} as {@link ImageEmbedding.find}; `INVALID_PROMPT` for a box outside the picture, `INVALID_MASK`
   * for an empty mask or one of another size.
   */
  findLike(example: Mask | Readonly<Box>, { label = "", ...options }: FindLikeOptions = {}): Finding {
    this.#check(options.signal);
    const wanted = toFindOptions(options);
    const search = () => ({ query: { example: this.#exampleBox(example) }, names: [label], options: wanted });
    return this.#find(search, options.signal);
  }

  #find(ask: () => Search, signal: AbortSignal | undefined): Finding {
    let left: Detected[] | undefined;
    return new Finding(async () => {
      this.#check(signal);
      if (!left) {
        const search = ask();
        const detector = this.#detector();
        if (this.#lastDetector !== detector) this.#lastDetector?.forget(this);
        this.#lastDetector = detector;
        const picture = () => this.#link.call("pixels", { image: this.#id });
        left = await detector.find(this, picture, search, [signal, ...this.#gone]);
      }
      const batch = left.splice(0, FOUND_AT_ONCE);
      if (!batch.length) return undefined;
      const prompts = batch.map(({ box }) => ({ box, multimask: false }));
      const predictions = await this.predictBatch(prompts, { ...(signal && { signal }) });
      return batch.flatMap(({ label, score, box }, i): FoundObject[] => {
        const mask = predictions[i]?.masks[0];
        return mask ? [{ label, score, box, mask }] : [];
      });
    });
  }

  #exampleBox(example: unknown): Box {
    const { width, height } = this;
    if (example instanceof Mask) {
      if (example.width !== width || example.height !== height) {
        throw new Sam2Error(
          "INVALID_MASK",
          `findLike takes a Mask of the picture's ${width} x ${height} pixels, not one of ${example.width} x ${example.height}.`,
        );
      }
      const edges = edgesOf(example);
      if (edges) return edges;
      throw new Sam2Error("INVALID_MASK", "The mask is empty, so there is nothing to find the like of.");
    }
    if (Array.isArray(example) && example.length === 4 && example.every((edge) => typeof edge === "number"))
      return [...example] as Box;
    throw new Sam2Error(
      "INVALID_PROMPT",
      "findLike takes a Mask or a box of four numbers, [x0, y0, x1, y1].",
    );
  }

  /**
   * Predicts a mask again on the part of the picture around it, at the picture's own resolution: a finer outline for what is
   * small in a large picture. The part is encoded for it, so that it takes as long as {@link Sam2.setImage}.
   *
   * @param mask - Any mask of the picture's size: predicted, found, drawn or read.
   * @throws {@link Sam2Error} `INVALID_MASK` for an empty mask or one of another size, and as
   * {@link ImageEmbedding.predict}.
   */
  async refine(mask: Mask, { signal }: PredictOptions = {}): Promise<RefinedMask> {
    this.#check(signal);
    const { width, height } = this;
    if (!(mask instanceof Mask) || mask.width !== width || mask.height !== height) {
      const what = mask instanceof Mask ? `one of ${mask.width} x ${mask.height}` : typeof mask;
      throw new Sam2Error(
        "INVALID_MASK",
        `refine takes a Mask of the picture's ${width} x ${height} pixels, not ${what}.`,
      );
    }
    const { bits, box } = mask;
    if (!box) throw new Sam2Error("INVALID_MASK", "The mask is empty, so there is nothing to refine.");
    const call = this.#link.call("refine", { image: this.#id, bits, box }, { signal });
    const { prediction, part, refineMs } = await until(call, [signal, ...this.#gone]);
    return new RefinedMask(prediction, { part, refineMs }, { width, height }, this.#cutOut);
  }

  /**
   * As {@link PredictedMask.cutout}, of any mask of the picture's size, such as one that was found, drawn or read.
   *
   * @throws {@link Sam2Error} `UNSUPPORTED_INPUT` for a mask of another size, and as {@link PredictedMask.cutout}.
   */
  async cutout(mask: Mask, options: CutoutOptions = {}): Promise<Blob> {
    const isPredicted = mask instanceof PredictedMask || mask instanceof RefinedMask;
    const lowRes = isPredicted ? mask.lowRes : undefined;
    return cutOutOf(mask, lowRes, this, options, this.#cutOut);
  }

  /**
   * The features as a file, for {@link Sam2.restoreImage} on a later visit or another device: 4 MB of nano, 17 MB of Meta's
   * models. It has no pixels, but what it has of the picture is as private as the picture.
   */
  async save({ signal }: PredictOptions = {}): Promise<Blob> {
    this.#check(signal);
    return until(this.#link.call("saveImage", { image: this.#id }, { signal }), [signal, ...this.#gone]);
  }

  /** Frees the features on the device. Calls under way and later ones reject with `DISPOSED`. */
  dispose(): void {
    if (this.#disposed.signal.aborted) return;
    this.#disposed.abort(new Sam2Error("DISPOSED", "The image has been disposed of. Call setImage again."));
    dropped.unregister(this);
    this.#lastDetector?.forget(this);
    if (!this.#modelGone.aborted) this.#link.call("release", { image: this.#id }).catch(() => {});
  }

  [DISPOSE](): void {
    this.dispose();
  }

  /**
   * The model has seen the picture once more, on another device; or could not, for a reason.
   *
   * @internal
   */
  restored(made: Calls["setImage"]["result"] | Sam2Error): void {
    this.#restores++;
    if (made instanceof Sam2Error) {
      dropped.unregister(this);
      this.#disposed.abort(made);
    } else this.#place.id = made.image;
  }

  /** @internal */
  get isDisposed(): boolean {
    return this.#disposed.signal.aborted;
  }

  get #id(): number {
    return this.#place.id;
  }

  get #gone(): readonly AbortSignal[] {
    return [this.#disposed.signal, this.#modelGone];
  }

  #check(signal?: AbortSignal): void {
    check(...this.#gone, signal);
  }

  #read(
    { masks, objectScore, logitsWidth, logitsHeight }: WasmPrediction,
    decodeMs: number,
    asked: "picture" | "logits",
  ): Prediction {
    const logits = { logitsWidth, logitsHeight };
    const picture = { width: this.width, height: this.height };
    const size = asked === "picture" ? picture : { width: logitsWidth, height: logitsHeight };
    const read = (mask: WasmLowResMask) => new PredictedMask(mask, logits, picture, size, this.#cutOut);
    return { masks: masks.map(read), objectScore, decodeMs };
  }

  readonly #cutOut: CutOut = async (cut) => {
    this.#check();
    return until(this.#link.call("cutout", { image: this.#id, cut }), this.#gone);
  };
}

/** Whether the pixel at column `x`, row `y` is in a record's box. */
function isIn([left, top, width, height]: MaskRecord["bbox"], x: number, y: number): boolean {
  return x >= left && y >= top && x < left + width + 1 && y < top + height + 1;
}
