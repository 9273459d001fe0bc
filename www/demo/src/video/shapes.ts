import type { Shape } from "./effects.js";
import type { Masks } from "./masks.js";
import { ofCounts, type Size } from "./rle.js";

/** Silhouettes of the objects, unpacked for one frame at a time. */
export class Shapes {
  readonly #masks: Masks;
  readonly #size: Size;
  readonly #color: (object: number) => string | undefined;
  #last: { frame: number; version: number; shapes: Shape[] | undefined } | undefined;

  constructor(masks: Masks, size: Size, color: (object: number) => string | undefined) {
    this.#masks = masks;
    this.#size = size;
    this.#color = color;
  }

  /** The visible objects of a frame; undefined where none has been looked for. */
  at(frame: number): readonly Shape[] | undefined {
    const { version } = this.#masks;
    if (this.#last?.frame !== frame || this.#last.version !== version)
      this.#last = { frame, version, shapes: this.#unpack(frame) };
    return this.#last.shapes;
  }

  #unpack(frame: number): Shape[] | undefined {
    const known = this.#masks.at(frame);
    if (!known) return undefined;
    const shapes: Shape[] = [];
    for (const [object, { counts, visible }] of known) {
      const color = this.#color(object);
      if (!visible || !color) continue;
      const image = new OffscreenCanvas(this.#size.width, this.#size.height);
      const white = ofCounts(counts, this.#size).toImageData({ color: [255, 255, 255], alpha: 1 });
      image.getContext("2d")?.putImageData(white, 0, 0);
      shapes.push({ image, color });
    }
    return shapes;
  }
}
