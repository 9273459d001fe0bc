/** `[x0, y0, x1, y1]` in picture pixels: left, top, right, bottom. */
export type Box = [x0: number, y0: number, x1: number, y1: number];

/** A mask in COCO's compressed run-length form. */
export interface Rle {
  /** Height, then width, in pixels. */
  size: [height: number, width: number];
  counts: string;
}

/** A mask in COCO's run-length form as it is not compressed. */
export interface UncompressedRle {
  /** Height, then width, in pixels. */
  size: [height: number, width: number];
  /** Lengths of runs down the columns, from left to right: of pixels that are not set, of set ones, and so on. */
  counts: number[];
}

/**
 * A closed outline; the last point joins the first, which is not repeated. In pixels: the pixel of column `x` and row `y`
 * reaches from `x` to `x + 1` and from `y` to `y + 1`.
 */
export type Ring = [x: number, y: number][];

/** An outline, and after it the outlines of its holes, as in GeoJSON. */
export type Polygon = Ring[];
