import type { WasmEmbedding, WasmFoundMasks, WasmGeneratorOptions, WasmMaskRecord } from "./wasm-module.js";

/** What a search for everything has found: a batch more, or at its end all that stays. */
export type Found = { batch: WasmFoundMasks } | { records: WasmMaskRecord[] };

/**
 * A search for everything, in batches that are asked for one by one: between them the engine answers other calls, such as
 * a click.
 */
export class BatchSearch {
  readonly #begin: () => Promise<WasmMaskRecord[]>;
  #records: Promise<WasmMaskRecord[]> | undefined;
  #handOver: (batch: WasmFoundMasks) => void = () => {};
  #goOn: (goOn: boolean) => void = () => {};

  constructor(embedding: WasmEmbedding, options: WasmGeneratorOptions, rgba: Uint8Array | undefined) {
    this.#begin = () =>
      embedding.generate(options, rgba, (batch) => {
        const goOn = new Promise<boolean>((resolve) => {
          this.#goOn = resolve;
        });
        this.#handOver(batch);
        return goOn;
      });
  }

  async next(): Promise<Found> {
    const batch = new Promise<Found>((resolve) => {
      this.#handOver = (found) => resolve({ batch: found });
    });
    this.#goOn(true);
    this.#records ??= this.#begin();
    return Promise.race([batch, this.#records.then((records) => ({ records }))]);
  }

  /** Nothing more is wanted. */
  stop(): void {
    this.#goOn(false);
    this.#records?.catch(() => {});
  }
}
