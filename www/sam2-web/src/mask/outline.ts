import type { Runs } from "./runs.js";
import type { Polygon, Ring } from "./types.js";

/** Of an end of a run: its upper or lower corner. A corner's number is 2 * end + side. */
const [UPPER, LOWER] = [0, 1];

/**
 * The outlines of a mask along its pixels' edges: corners only, exact, the mask on the left as one looks at the picture
 * (outlines go counterclockwise, holes clockwise). Pixels that touch at a corner only are not joined, and no ring comes to
 * the same place twice.
 *
 * Every end of a run is a vertical edge, one pixel long. Between two rows the corners of these edges follow one another
 * from left to right, and between every second two of them runs a horizontal edge: so all corners are linked in pairs, and
 * the rings are the ways along the links.
 */
export function outlines({ ends, rowStart }: Runs): Polygon[] {
  const { links, twins } = linkCorners(ends, rowStart);
  const polygons: Polygon[] = [];
  /** Of each end, the polygon that it bounds. */
  const polygonOf = new Int32Array(ends.length).fill(-1);
  /** Of each corner that has a twin, its place in the way that came there last. */
  const placeOf = new Int32Array(links.length);

  /** The ring that leaves by the corner, on the line between two rows. */
  const trace = (start: number, startLine: number, polygon: number): Ring[] => {
    const [way, corners, loops]: [Ring, number[], Ring[]] = [[], [], []];
    const visit = (corner: number, line: number) => {
      const twin = twins[corner] ?? -1;
      if (twin !== -1) {
        // A ring that comes to a place twice is two rings there.
        const before = placeOf[twin] ?? 0;
        if (corners[before] === twin) {
          loops.push(way.splice(before));
          corners.length = before;
        }
        placeOf[corner] = way.length;
      }
      way.push([ends[corner >> 1] ?? 0, line]);
      corners.push(corner);
    };
    let [corner, line] = [start, startLine];
    do {
      polygonOf[corner >> 1] = polygon;
      const linked = links[corner] ?? 0;
      if (ends[corner >> 1] !== ends[linked >> 1]) {
        visit(corner, line);
        visit(linked, line);
      }
      corner = linked ^ 1; // along the edge, to its other corner
      line += (corner & 1) === LOWER ? 1 : -1;
    } while (corner !== start);
    return [way, ...loops];
  };

  const rows = rowStart.length - 1;
  for (let y = 0; y < rows; y++) {
    for (let end = 2 * (rowStart[y] ?? 0); end < 2 * (rowStart[y + 1] ?? 0); end++) {
      if (polygonOf[end] !== -1) continue;
      // A ring's first edge in reading order is the left end of a run if it is an outline; if it is a hole, the right
      // end of the run before the hole, whose left end has been seen.
      if (end % 2 === 0) polygons.push(trace(2 * end + LOWER, y + 1, polygons.length));
      else {
        const polygon = polygonOf[end - 1] ?? 0;
        for (const ring of trace(2 * end + UPPER, y, polygon)) polygons[polygon]?.push(ring);
      }
    }
  }
  return polygons;
}

/** Each corner's partner, and where two pixels touch at a corner only, the corner of the other one there; else -1. */
function linkCorners(ends: Int32Array, rowStart: Int32Array): { links: Int32Array; twins: Int32Array } {
  const links = new Int32Array(2 * ends.length);
  const twins = new Int32Array(2 * ends.length).fill(-1);
  let open = -1;
  const add = (corner: number) => {
    if (open === -1) {
      open = corner;
      return;
    }
    links[open] = corner;
    links[corner] = open;
    open = -1;
  };
  const rows = rowStart.length - 1;
  for (let line = 0; line <= rows; line++) {
    // The lower corners of the row above, and the upper ones of the row below, from left to right.
    let above = line > 0 ? 2 * (rowStart[line - 1] ?? 0) : 0;
    const aboveEnd = line > 0 ? 2 * (rowStart[line] ?? 0) : 0;
    let below = aboveEnd;
    const belowEnd = line < rows ? 2 * (rowStart[line + 1] ?? 0) : below;
    while (above < aboveEnd || below < belowEnd) {
      const xAbove = above < aboveEnd ? (ends[above] ?? 0) : Number.POSITIVE_INFINITY;
      const xBelow = below < belowEnd ? (ends[below] ?? 0) : Number.POSITIVE_INFINITY;
      if (xAbove === xBelow && above % 2 !== below % 2) {
        twins[2 * above + LOWER] = 2 * below + UPPER;
        twins[2 * below + UPPER] = 2 * above + LOWER;
      }
      // Where a run ends and another begins, its end comes first: that keeps the two pixels apart.
      if (xAbove < xBelow || (xAbove === xBelow && above % 2 === 1)) add(2 * above++ + LOWER);
      else add(2 * below++ + UPPER);
    }
  }
  return { links, twins };
}
