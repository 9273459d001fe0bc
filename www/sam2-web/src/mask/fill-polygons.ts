import { Sam2Error } from "../errors.js";
import { byteCount } from "./bits.js";
import { setRow } from "./runs.js";
import type { Polygon, Ring } from "./types.js";

/** Where an outline passes the middle of a row. */
interface Passing {
  x: number;
  ring: number;
  /** 1: downwards. */
  direction: 1 | -1;
}

/** Outlines may lie over one another by so many pixels: a crossing that small is one of rounded numbers. */
const SLACK = 0.01;

/**
 * The pixels whose middle is in a polygon: inside an odd number of its rings. With `refuseCrossings`, a ring that crosses
 * itself, or another of its polygon, is an error: where, along the middle of a row, a ring goes round a stretch twice or
 * both ways, or a hole lies out of its outline.
 */
export function fillPolygons(
  polygons: readonly Polygon[],
  width: number,
  height: number,
  refuseCrossings: boolean,
): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(byteCount(width, height));
  for (const [index, rings] of polygons.entries()) {
    const { top, rows } = passings(rings, height);
    const check = refuseCrossings ? new CrossingCheck(index, rings.length) : undefined;
    for (const [i, row] of rows.entries()) {
      row.sort((a, b) => a.x - b.x);
      for (let at = 0; at + 1 < row.length; at++) {
        const [passing, next] = [row[at], row[at + 1]] as [Passing, Passing];
        check?.pass(passing, next.x, top + i);
        if (at % 2 === 0) setRow(bits, width, top + i, column(passing.x, width), column(next.x, width));
      }
      check?.endRow();
    }
  }
  return bits;
}

/** The first column whose middle is at `x` or right of it. */
function column(x: number, width: number): number {
  return Math.min(Math.max(Math.ceil(x - 0.5), 0), width);
}

/** Of the rows from `top` on. */
function passings(rings: readonly Ring[], height: number): { top: number; rows: Passing[][] } {
  const rowAt = (y: number) => Math.min(Math.max(Math.ceil(y - 0.5), 0), height);
  let [top, bottom] = [height, 0];
  for (const ring of rings) {
    for (const [, y] of ring) {
      top = Math.min(top, rowAt(y));
      bottom = Math.max(bottom, rowAt(y));
    }
  }
  const rows: Passing[][] = Array.from({ length: Math.max(bottom - top, 0) }, () => []);
  for (const [ring, points] of rings.entries()) {
    let from = points.at(-1);
    for (const to of points) {
      if (!from) break;
      const direction = from[1] < to[1] ? 1 : -1;
      // From the upper end in both directions, so that an edge and its way back are at the same place.
      const [[x0, y0], [x1, y1]] = direction === 1 ? [from, to] : [to, from];
      const slope = (x1 - x0) / (y1 - y0);
      const end = rowAt(y1);
      for (let y = rowAt(y0); y < end; y++)
        rows[y - top]?.push({ x: x0 + (y + 0.5 - y0) * slope, ring, direction });
      from = to;
    }
  }
  return { top, rows };
}

/**
 * Whether each ring goes once round what is inside of it, and one way only: that it does not cross itself. And whether
 * the holes, which are all rings but the first, are in the first and apart from one another.
 */
class CrossingCheck {
  readonly #polygon: number;
  /** How often each ring goes round the place where the row is now; its sign is the ring's way round. */
  readonly #around: Int32Array;
  readonly #way: Int32Array;
  #holes = 0;
  /** Rings that were passed since the last stretch wide enough to count. */
  #passed: number[] = [];

  constructor(polygon: number, rings: number) {
    this.#polygon = polygon;
    this.#around = new Int32Array(rings);
    this.#way = new Int32Array(rings);
  }

  /** The stretch from `passing` to `end`, in the middle of row `y`. */
  pass({ x, ring, direction }: Passing, end: number, y: number): void {
    const before = this.#around[ring] ?? 0;
    const after = before + direction;
    this.#around[ring] = after;
    if (ring > 0) this.#holes += Number(after !== 0) - Number(before !== 0);
    this.#passed.push(ring);
    if (end - x <= SLACK) return;
    for (const passed of this.#passed) {
      const around = this.#around[passed] ?? 0;
      if (around === 0) continue;
      this.#way[passed] ||= around;
      if (around !== this.#way[passed] || Math.abs(around) > 1) this.#fail("crosses itself", x, y);
    }
    if (this.#holes > Number(this.#around[0] !== 0)) this.#fail("has a hole that crosses another ring", x, y);
    this.#passed = [];
  }

  endRow(): void {
    this.#around.fill(0);
    this.#passed = [];
    this.#holes = 0;
  }

  #fail(what: string, x: number, y: number): never {
    throw new Sam2Error(
      "INVALID_MASK",
      `Polygon ${this.#polygon} (counted from 0) ${what} near (${Math.round(x)}, ${y}), so that its inside is not clear. ` +
        'Mend it, or pass { crossing: "even-odd" } to have every second overlap left out.',
    );
  }
}
