import { asTheyCome } from "./as-they-come.js";
import type { Search } from "./detector-engine.js";
import { Sam2Error } from "./errors.js";
import type { Mask } from "./mask.js";
import type { PredictedMask } from "./predicted-mask.js";
import type { Box, FindOptions } from "./types.js";
import type { WasmFindOptions } from "./wasm-detector.js";

/** A label has no more letters. (A detector reads the first sixteen tokens.) */
const LONGEST_LABEL = 1000;

/** An object that was found by {@link ImageEmbedding.find} or {@link ImageEmbedding.findLike}. */
export interface FoundObject {
  /** The words that it was found by, as they were given. */
  label: string;
  /** The detector's, 0 to 1. */
  score: number;
  /** Left, top, right and bottom in pixels. */
  box: Box;
  mask: PredictedMask;
}

/** What is found, a few at a time: undefined when that was all. @internal */
export type NextFound = () => Promise<FoundObject[] | undefined>;

/**
 * A search for objects. Iterate over it for those found, the best first, as their masks come; it waits while you work.
 * `all()` gives all of them. Leaving the loop ends the search.
 */
export class Finding implements AsyncIterable<FoundObject> {
  readonly #next: NextFound;
  readonly #found: FoundObject[] = [];
  /** The batch under way, for which all who ask wait. */
  #asking: Promise<void> | undefined;
  #ended = false;

  /** @internal */
  constructor(next: NextFound) {
    this.#next = next;
  }

  /** What was found so far. */
  get found(): FoundObject[] {
    return [...this.#found];
  }

  /** All objects, once the search is through. */
  async all(): Promise<FoundObject[]> {
    while (await this.#more()) {}
    return this.found;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FoundObject, void, undefined> {
    try {
      yield* asTheyCome(this.#found, () => this.#more());
    } finally {
      this.#ended = true;
    }
  }

  /** Asks for a batch; false once the search is through. */
  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    await this.#asking;
    return true;
  }

  async #ask(): Promise<void> {
    try {
      const found = await this.#next();
      this.#found.push(...(found ?? []));
      this.#ended ||= found === undefined;
    } catch (error) {
      this.#ended = true;
      throw error;
    }
  }
}

/** The box of a mask's object as prompts have it: to the far edges of its last pixels. @internal */
export function edgesOf(mask: Mask): Box | undefined {
  const { box } = mask;
  return box ? [box[0], box[1], box[2] + 1, box[3] + 1] : undefined;
}

/** A search for what words name. What else is wrong with them the detector says. @internal */
export function searchFor(labels: string | readonly string[], options: WasmFindOptions): Search {
  const words: unknown = typeof labels === "string" ? [labels] : labels;
  if (!Array.isArray(words) || !words.every((label) => typeof label === "string"))
    throw new Sam2Error("INVALID_PROMPT", 'find takes words, such as ["person", "a red car"].');
  for (const [index, { length }] of words.entries()) {
    if (length <= LONGEST_LABEL) continue;
    throw new Sam2Error(
      "INVALID_PROMPT",
      `Label ${index} has ${length} letters, of which at most ${LONGEST_LABEL} are read: say it in a few words.`,
    );
  }
  const names = [...words];
  return { query: { labels: names }, names, options };
}

/** What of the options the detector takes. @internal */
export function toFindOptions({ threshold, nmsThreshold, perLabel, max }: FindOptions): WasmFindOptions {
  const given = Object.entries({ threshold, nmsThreshold, perLabel, max });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
