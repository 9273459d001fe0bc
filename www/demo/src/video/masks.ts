/** What is known of an object on a frame. */
export interface Known {
  /** COCO's compressed run lengths: some hundred bytes, where a bitmap would be megabytes. */
  counts: string;
  /** False while it is hidden or out of the picture. */
  visible: boolean;
}

/** Every mask found so far, compressed. */
export class Masks {
  /** Grows with every change. */
  version = 0;
  readonly #frames = new Map<number, Map<number, Known>>();

  /** Replaces what was known of this frame. */
  set(frame: number, masks: ReadonlyMap<number, Known>): void {
    this.version++;
    if (masks.size) this.#frames.set(frame, new Map(masks));
    else this.#frames.delete(frame);
  }

  /** Objects and their masks on this frame; undefined where nothing has been looked for. */
  at(frame: number): ReadonlyMap<number, Known> | undefined {
    return this.#frames.get(frame);
  }

  /** First and last frame with masks. */
  get stretch(): [first: number, last: number] | undefined {
    if (!this.#frames.size) return undefined;
    let [first, last] = [Number.POSITIVE_INFINITY, -1];
    for (const frame of this.#frames.keys()) {
      first = Math.min(first, frame);
      last = Math.max(last, frame);
    }
    return [first, last];
  }

  /** How many frames have masks. */
  get count(): number {
    return this.#frames.size;
  }

  remove(object: number): void {
    this.version++;
    for (const [frame, known] of this.#frames) {
      known.delete(object);
      if (!known.size) this.#frames.delete(frame);
    }
  }
}
