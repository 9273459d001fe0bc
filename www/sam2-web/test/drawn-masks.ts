import { Mask } from "../src/mask.js";

/** A mask drawn as text: `#` is set. */
export function drawn(...rows: string[]): Mask {
  const width = rows[0]?.length ?? 0;
  return maskWhere(width, rows.length, (x, y) => rows[y]?.[x] === "#");
}

export function toText(mask: Mask): string[] {
  return Array.from({ length: mask.height }, (_, y) =>
    Array.from({ length: mask.width }, (_, x) => (mask.has(x, y) ? "#" : ".")).join(""),
  );
}

export function maskWhere(width: number, height: number, inside: (x: number, y: number) => boolean): Mask {
  const bits = new Uint8Array(Math.ceil((width * height) / 8));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++)
      if (inside(x, y)) bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7));
  }
  return new Mask(width, height, bits);
}

/** Numbers from 0 to 1, the same for a seed. */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

export function noise(width: number, height: number, share: number, seed = 1): Mask {
  const next = random(seed);
  return maskWhere(width, height, () => next() < share);
}

/** Sizes whose rows begin at every bit of a byte, and rows shorter than one. */
export const SIZES: readonly (readonly [width: number, height: number])[] = [
  [1, 1],
  [1, 9],
  [9, 1],
  [3, 7],
  [7, 5],
  [8, 8],
  [13, 11],
  [16, 3],
  [37, 29],
];
