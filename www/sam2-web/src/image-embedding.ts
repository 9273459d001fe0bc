import { Sam2Error } from "./errors.js";
import type { Link } from "./link.js";
import { type CutOut, PredictedMask } from "./predicted-mask.js";
import { toWasmPrompt } from "./prompt.js";
import type { Calls } from "./protocol.js";
import type { MaskOptions, Prompt } from "./types.js";
import { check, until } from "./until.js";
import type { WasmPrediction } from "./wasm-module.js";

/** The model's answer to one prompt. */
export interface Prediction {
  /** One mask or three candidates, in the network's order; compare their `score`. */
  masks: PredictedMask[];
  /** Logit of whether there is an object at all: below 0, probably not. */
  objectScore: number;
  /** Milliseconds the engine took; in a batch, for the whole batch. */
  decodeMs: number;
}

/**
 * A picture the model has seen. Its features stay on the device, so a prompt costs milliseconds. Made by
 * {@link Sam2.setImage}; call `dispose()` when done, as the device's memory is not garbage-collected.
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
  #id: number;
  readonly #disposed = new AbortController();
  readonly #modelGone: AbortSignal;

  /** @internal */
  constructor(link: Link, modelGone: AbortSignal, made: Calls["setImage"]["result"]) {
    this.#link = link;
    this.#modelGone = modelGone;
    this.#id = made.image;
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
    { signal, maxHoleArea = 0, maxSprinkleArea = 0 }: MaskOptions = {},
  ): Promise<Prediction[]> {
    this.#check(signal);
    for (const [name, area] of Object.entries({ maxHoleArea, maxSprinkleArea })) {
      if (Number.isInteger(area) && area >= 0 && area < 2 ** 32) continue;
      throw new Sam2Error(
        "UNSUPPORTED_INPUT",
        `${name} must be a whole number of pixels from 0, not ${area}.`,
      );
    }
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
    return predictions.map((prediction) => this.#read(prediction, decodeMs));
  }

  /** Frees the features on the device. Calls under way and later ones reject with `DISPOSED`. */
  dispose(): void {
    if (this.#disposed.signal.aborted) return;
    this.#disposed.abort(new Sam2Error("DISPOSED", "The image has been disposed of. Call setImage again."));
    if (!this.#modelGone.aborted) this.#link.call("release", { image: this.#id }).catch(() => {});
  }

  /**
   * The model has seen the picture once more, on another device; or could not, for a reason.
   *
   * @internal
   */
  restored(made: Calls["setImage"]["result"] | Sam2Error): void {
    if (made instanceof Sam2Error) this.#disposed.abort(made);
    else this.#id = made.image;
  }

  /** @internal */
  get isDisposed(): boolean {
    return this.#disposed.signal.aborted;
  }

  get #gone(): readonly AbortSignal[] {
    return [this.#disposed.signal, this.#modelGone];
  }

  #check(signal?: AbortSignal): void {
    check(...this.#gone, signal);
  }

  #read({ masks, objectScore, logitsWidth, logitsHeight }: WasmPrediction, decodeMs: number): Prediction {
    const { width, height } = this;
    const size = { width, height, logitsWidth, logitsHeight };
    return { masks: masks.map((mask) => new PredictedMask(mask, size, this.#cutOut)), objectScore, decodeMs };
  }

  readonly #cutOut: CutOut = async (bits, crop) => {
    this.#check();
    return until(this.#link.call("cutout", { image: this.#id, bits, crop }), this.#gone);
  };
}
