import type { Mask } from "sam2-web";
import type { Label } from "sam2-web/formats";

type Color = readonly [red: number, green: number, blue: number];

/** A mask to take. */
export interface Thing {
  readonly label: Label;
  readonly color: Color;
  /** The mask in the map's size. */
  readonly small: Mask;
}

/** The longer side of the map, in pixels, of pictures that are larger. */
const MAX_SIDE = 1024;

/** How much of a thing's colour is seen, of 255: inside it, on its line, and inside the one that is marked. */
const [INSIDE, LINE, MARKED] = [110, 255, 150];

/**
 * Things in their colours, as a picture to lay over the picture: the smallest one on top. A new one costs no more than its
 * own pixels, so hundreds can come one after the other.
 */
export class ThingMap {
  readonly width: number;
  readonly height: number;
  /** RGBA, row by row. */
  readonly pixels: Uint8ClampedArray<ArrayBuffer>;
  /** The same, a pixel each. */
  readonly #words: Uint32Array;
  /** By number, from 1. */
  readonly #things = new Map<number, Thing>();
  /** By number, as all below: how large the masks are, and their colours inside and on their lines. */
  readonly #areas: number[] = [];
  readonly #insides: number[] = [0];
  readonly #lines: number[] = [0];
  readonly #picture: { width: number; height: number };
  /** The number of the thing on top at each pixel; 0 is none. */
  readonly #owners: Uint32Array;
  #last = 0;

  constructor(picture: { width: number; height: number }) {
    this.#picture = picture;
    const scale = Math.min(1, MAX_SIDE / Math.max(picture.width, picture.height));
    this.width = Math.max(1, Math.round(picture.width * scale));
    this.height = Math.max(1, Math.round(picture.height * scale));
    this.pixels = new Uint8ClampedArray(4 * this.width * this.height);
    this.#words = new Uint32Array(this.pixels.buffer);
    this.#owners = new Uint32Array(this.width * this.height);
  }

  get things(): Thing[] {
    return [...this.#things.values()];
  }

  /** The one on top at a point of the picture. */
  at(x: number, y: number): Thing | undefined {
    const { width, height } = this.#picture;
    const [column, row] = [Math.floor((x / width) * this.width), Math.floor((y / height) * this.height)];
    if (!(column >= 0 && row >= 0 && column < this.width && row < this.height)) return undefined;
    return this.#things.get(this.#owners[row * this.width + column] ?? 0);
  }

  add(label: Label): void {
    const number = ++this.#last;
    const { mask } = label;
    const small = this.width < mask.width ? mask.resize(this.width, this.height) : mask;
    const color = colorOf(number);
    this.#things.set(number, { label, small, color });
    this.#areas[number] = mask.area;
    this.#insides[number] = word([...color, INSIDE]);
    this.#lines[number] = word([...color, LINE]);
    this.#claim(number, small);
    this.#paint(small);
  }

  /** Takes away what `stays` is false of. */
  keep(stays: (label: Label) => boolean): void {
    for (const [number, thing] of this.#things) {
      if (stays(thing.label)) continue;
      this.#things.delete(number);
      forEachSet(thing.small, (pixel) => {
        if (this.#owners[pixel] === number) this.#owners[pixel] = 0;
      });
      for (const [other, { small }] of this.#things)
        if (overlap(small, thing.small)) this.#claim(other, small);
      this.#paint(thing.small);
    }
  }

  /** Makes a thing the owner of its pixels where no smaller one is. */
  #claim(number: number, small: Mask): void {
    const area = this.#areas[number] ?? 0;
    forEachSet(small, (pixel) => {
      const owner = this.#owners[pixel] ?? 0;
      if (owner === 0 || (this.#areas[owner] ?? 0) > area) this.#owners[pixel] = number;
    });
  }

  /** Colours the pixels of a mask's box, and of those around it, whose lines may have changed. */
  #paint({ box }: Mask): void {
    if (!box) return;
    const { width, height } = this;
    const [left, top] = [Math.max(box[0] - 1, 0), Math.max(box[1] - 1, 0)];
    const [right, bottom] = [Math.min(box[2] + 1, width - 1), Math.min(box[3] + 1, height - 1)];
    const owners = this.#owners;
    for (let y = top; y <= bottom; y++) {
      for (let x = left, at = y * width + x; x <= right; x++, at++) {
        const own = owners[at] ?? 0;
        const isInside =
          (x === 0 || owners[at - 1] === own) &&
          (x === width - 1 || owners[at + 1] === own) &&
          (y === 0 || owners[at - width] === own) &&
          (y === height - 1 || owners[at + width] === own);
        this.#words[at] = (isInside ? this.#insides : this.#lines)[own] ?? 0;
      }
    }
  }
}

/** A thing's whole mask in its colour with a white line, RGBA in the map's size, to lay over the map. */
export function marked({ small, color }: Thing): Uint8ClampedArray<ArrayBuffer> {
  const { width, height, box } = small;
  const pixels = new Uint8ClampedArray(4 * width * height);
  if (!box) return pixels;
  const words = new Uint32Array(pixels.buffer);
  const set = new Uint8Array(width * height);
  const [inside, line] = [word([...color, MARKED]), word([255, 255, 255, 255])];
  forEachSet(small, (pixel) => {
    set[pixel] = 1;
    words[pixel] = inside;
  });
  // On both sides of the edge. At the picture's own edge there is none.
  for (let y = Math.max(box[1] - 1, 0); y <= box[3]; y++) {
    for (let x = Math.max(box[0] - 1, 0), at = y * width + x; x <= box[2]; x++, at++) {
      if (x < width - 1 && set[at] !== set[at + 1]) words[at] = words[at + 1] = line;
      if (y < height - 1 && set[at] !== set[at + width]) words[at] = words[at + width] = line;
    }
  }
  return pixels;
}

/** Each hue is far from those before it (by the golden angle), and neighbours in number differ in lightness too. */
function colorOf(number: number): Color {
  const hue = (number * 137.508) % 360;
  const [saturation, lightness] = [0.9, [0.55, 0.68, 0.61][number % 3] ?? 0.55];
  const amplitude = saturation * Math.min(lightness, 1 - lightness);
  // HSL to RGB, as CSS Color 4 has it.
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Four bytes as one number, in this machine's order. */
function word(bytes: readonly number[]): number {
  return new Uint32Array(Uint8ClampedArray.from(bytes).buffer)[0] ?? 0;
}

function forEachSet({ bits }: Mask, visit: (pixel: number) => void): void {
  for (let byte = 0; byte < bits.length; byte++) {
    for (let rest = bits[byte] ?? 0; rest; rest &= rest - 1) visit(8 * byte + 31 - Math.clz32(rest & -rest));
  }
}

function overlap({ box: a }: Mask, { box: b }: Mask): boolean {
  return !!a && !!b && a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3];
}
