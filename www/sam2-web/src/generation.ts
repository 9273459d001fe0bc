import { asTheyCome } from "./as-they-come.js";
import type { Found } from "./batch-search.js";
import { fromCounts } from "./mask/rle.js";
import { Mask } from "./mask.js";
import type { GenerateOptions, MaskRecordFields } from "./types.js";
import type { WasmMaskRecord } from "./wasm-module.js";

/** A mask that was found by {@link ImageEmbedding.generate}, with what the official records say of it. */
export interface MaskRecord extends MaskRecordFields {
  mask: Mask;
}

/** As it is found. */
export interface FoundMask extends MaskRecord {
  id: number;
  /** Ids of earlier ones that go: this one, or another found lately, is better and has nearly the same box. */
  replaces: number[];
}

/** How batches are asked for. @internal */
export interface Batches {
  next(): Promise<Found>;
  end(): void;
}

/**
 * A search for everything in a picture. Iterate over it for masks as they are found; it waits while you work. `all()` gives
 * those that stay, as the official generator orders them. Leaving the loop ends the search.
 */
export class Generation implements AsyncIterable<FoundMask> {
  readonly #size: { width: number; height: number };
  readonly #onProgress: GenerateOptions["onProgress"];
  readonly #batches: Batches;
  readonly #found: FoundMask[] = [];
  readonly #kept = new Map<number, FoundMask>();
  /** Ids that went, and have not been told yet. */
  readonly #replaced: number[] = [];
  #records: MaskRecord[] | undefined;
  #ended = false;

  /** @internal */
  constructor(
    size: { width: number; height: number },
    onProgress: GenerateOptions["onProgress"],
    batches: Batches,
  ) {
    this.#size = size;
    this.#onProgress = onProgress;
    this.#batches = batches;
  }

  /** What was found so far and stays as far as is known. */
  get found(): MaskRecord[] {
    return this.#records ?? [...this.#kept.values()];
  }

  /** All masks, once the search is through. A {@link MaskRecord.mask} that was told before is the same object. */
  async all(): Promise<MaskRecord[]> {
    while (await this.#more()) {}
    return this.found;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FoundMask, void, undefined> {
    try {
      yield* asTheyCome(this.#found, () => this.#more());
    } finally {
      if (!this.#ended) this.#batches.end();
      this.#ended = true;
    }
  }

  /** Asks for a batch; false once the search is through. */
  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    let found: Found;
    try {
      found = await this.#batches.next();
    } catch (error) {
      this.#ended = true;
      throw error;
    }
    if ("records" in found) {
      const told = new Map([...this.#kept.values()].map((record) => [identity(record), record.mask]));
      this.#records = found.records.map((record) => this.#read(record, told.get(identity(record))));
      this.#ended = true;
      return true;
    }
    const { added, removed, pointsDone, points } = found.batch;
    for (const id of removed) this.#kept.delete(id);
    this.#replaced.push(...removed);
    for (const { id, ...record } of added) {
      const mask = { ...this.#read(record), id, replaces: this.#replaced.splice(0) };
      this.#kept.set(id, mask);
      this.#found.push(mask);
    }
    try {
      this.#onProgress?.({ pointsDone, points });
    } catch (error) {
      globalThis.reportError?.(error);
    }
    return true;
  }

  #read({ counts, ...record }: WasmMaskRecord, known?: Mask): MaskRecord {
    const { width, height } = this.#size;
    return { ...record, mask: known ?? new Mask(width, height, () => fromCounts(counts, width, height)) };
  }
}

/** Tells the masks that stay from each other: of those with nearly the same box only one does. */
function identity({ bbox, cropBox, pointCoords, predictedIou, area }: MaskRecordFields): string {
  return [...bbox, ...cropBox, ...pointCoords, predictedIou, area].join();
}
