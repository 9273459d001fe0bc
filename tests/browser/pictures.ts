// Pictures that readers treat differently (tests/pictures), and how they are to be seen.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect } from "./support.js";

interface Expected {
  size: [width: number, height: number];
  /** What a pixel may differ by. */
  within: number;
  /** RGBA by "x,y". */
  pixels: Record<string, [number, number, number, number]>;
  only?: "page" | "tool";
}

const folder = new URL("../pictures/", import.meta.url);
export const pathOf = (name: string) => fileURLToPath(new URL(name, folder));
export const expected: Record<string, Expected> = JSON.parse(await readFile(pathOf("expected.json"), "utf8"));

/** The disc that all of them show. */
export const DISC = { x: 60, y: 70, radius: 24 };
const SIZE = { width: 160, height: 120 };
const inDisc = (x: number, y: number) => (x - DISC.x) ** 2 + (y - DISC.y) ** 2 < DISC.radius ** 2;

/** Of a mask given as text of zeros and ones, row by row. */
export function iouWithDisc(mask: string): number {
  let [both, either] = [0, 0];
  for (let i = 0; i < SIZE.width * SIZE.height; i++) {
    const [found, right] = [mask[i] === "1", inDisc(i % SIZE.width, Math.floor(i / SIZE.width))];
    both += Number(found && right);
    either += Number(found || right);
  }
  return both / either;
}

/** Checks pixels by "x,y". Colours that alpha hides are none. */
export function expectPixels(name: string, size: number[], seen: Record<string, readonly number[]>): void {
  const wanted = expected[name];
  if (!wanted) throw new Error(`${name} is not in expected.json`);
  expect.soft(size, name).toEqual(wanted.size);
  for (const [at, right] of Object.entries(wanted.pixels)) {
    const found = seen[at] ?? [];
    const visible = right[3] ? 4 : 0;
    const worst = Math.max(
      Math.abs((found[3] ?? Number.NaN) - right[3]),
      ...right.slice(0, visible).map((value, i) => Math.abs(value - (found[i] ?? Number.NaN))),
    );
    expect.soft(worst, `${name} at ${at}: ${found}, not ${right}`).toBeLessThanOrEqual(wanted.within);
  }
}

/** The pixels that are looked at, as "x,y". */
export const places = Object.keys(Object.values(expected)[0]?.pixels ?? {});
