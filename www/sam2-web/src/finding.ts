import type { Mask } from "./mask.js";
import type { PredictedMask } from "./predicted-mask.js";
import type { Box } from "./types.js";

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
    while (!this.#ended) await this.#more();
    return this.found;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<FoundObject, void, undefined> {
    try {
      for (let at = 0; ; at++) {
        while (at >= this.#found.length && !this.#ended) await this.#more();
        const found = this.#found[at];
        if (!found) return;
        yield found;
      }
    } finally {
      this.#ended = true;
    }
  }

  #more(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
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
