import type { GenerateOptions, ImageEmbedding, Mask, Sam2 } from "sam2-web";
import type { Label } from "sam2-web/formats";
import { byId } from "./dom.js";
import { type Thing, ThingMap } from "./thing-map.js";

/** Regions of a mask that are no larger, in pixels of the network's low-resolution masks, are noise. */
const SPECK = 8;

/**
 * What suits the model: a GPU has time for the official 1,024 points, and a CPU for a quarter of them. Nano rates its own
 * masks low: by the official thresholds hardly one would stay.
 */
function optionsFor({ device, model }: Sam2): GenerateOptions {
  return {
    pointsPerSide: device === "webgpu" ? 32 : 16,
    minMaskRegionArea: SPECK,
    ...(model.name === "nano" && { predIouThresh: 0.35, stabilityScoreThresh: 0.7 }),
  };
}

/** Masks to take: all that the model finds in a picture, or those of a file of labels. */
export class Everything {
  /** Whether they are to be seen where nothing else is. */
  isShown = false;
  readonly #changed: () => void;
  readonly #progress = byId<HTMLProgressElement>("everything-progress");
  #map: ThingMap | undefined;
  #layer: OffscreenCanvas | undefined;
  #search: AbortController | undefined;
  #source: "model" | "labels" | undefined;
  #isComplete = false;

  /** @param changed - called when things come or go, and when a search begins or ends. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Whether a search is under way. */
  get isRunning(): boolean {
    return this.#search !== undefined;
  }

  /** Where they are from. */
  get source(): "model" | "labels" | undefined {
    return this.#source;
  }

  /** Whether the model has looked everywhere. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  get things(): Thing[] {
    return this.#map?.things ?? [];
  }

  /** All of them in their colours. */
  get layer(): OffscreenCanvas | undefined {
    return this.#layer;
  }

  /** The smallest one at a point of the picture. */
  at({ x, y }: { x: number; y: number }): Thing | undefined {
    return this.#map?.at(x, y);
  }

  /** Looks for everything, and has each thing when it is found. Resolves also where the search is stopped. */
  async find(image: ImageEmbedding, sam: Sam2): Promise<void> {
    this.#begin("model", image);
    const search = new AbortController();
    this.#search = search;
    this.#progress.value = 0;
    this.#progress.hidden = false;
    this.#changed();
    const generation = image.generate({
      ...optionsFor(sam),
      signal: search.signal,
      onProgress: ({ pointsDone, points }) => {
        if (!search.signal.aborted) this.#progress.value = pointsDone / points;
      },
    });
    const ids = new Map<number, Mask>();
    try {
      for await (const { id, mask, predictedIou, replaces } of generation) {
        const gone = new Set(replaces.map((replaced) => ids.get(replaced)));
        if (gone.size) this.#map?.keep((label) => !gone.has(label.mask));
        ids.set(id, mask);
        this.#map?.add({ mask, category: "object", score: predictedIou });
        this.#draw();
        await nextTask();
        search.signal.throwIfAborted();
      }
      this.#isComplete = true;
    } catch (error) {
      if (!search.signal.aborted) throw error;
    } finally {
      // Unless something else has begun.
      if (this.#search === search) {
        this.#search = undefined;
        this.#progress.hidden = true;
        const stays = new Set(generation.found.map(({ mask }) => mask));
        this.#map?.keep(({ mask }) => stays.has(mask));
        this.#draw();
      }
    }
  }

  /** Ends the search; what was found stays. */
  stop(): void {
    this.#search?.abort();
  }

  /** Has the labels of a file. */
  async take(labels: readonly Label[], picture: { width: number; height: number }): Promise<void> {
    this.#begin("labels", picture);
    const map = this.#map;
    for (const label of labels) {
      if (map !== this.#map) return;
      map?.add(label);
      this.#draw();
      await nextTask();
    }
  }

  /** Shows them no more; what was found is kept for the next time. */
  hide(): void {
    if (this.#source !== "model" || !this.#isComplete) this.reset();
    this.isShown = false;
  }

  /** Nothing is left. */
  reset(): void {
    this.stop();
    this.#search = undefined;
    this.#progress.hidden = true;
    this.#map = undefined;
    this.#layer = undefined;
    this.#source = undefined;
    this.#isComplete = false;
    this.isShown = false;
  }

  #begin(source: "model" | "labels", picture: { width: number; height: number }): void {
    this.reset();
    this.#source = source;
    this.#map = new ThingMap(picture);
    this.#layer = new OffscreenCanvas(this.#map.width, this.#map.height);
    this.isShown = true;
  }

  #draw(): void {
    const map = this.#map;
    if (!map) return;
    this.#layer?.getContext("2d")?.putImageData(new ImageData(map.pixels, map.width, map.height), 0, 0);
    this.#changed();
  }
}

/** So that drawing many things is never one long task. */
const nextTask = () => new Promise<void>((resolve) => setTimeout(resolve));
