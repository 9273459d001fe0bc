// What the documents' blocks take for granted.
import type * as sam2 from "sam2-web";

declare global {
  const file: File;
  const files: File[];
  const picture: ImageData;
  const canvas: HTMLCanvasElement;
  /** Of an SVG. */
  const path: SVGPathElement;
  /** Of COCO. */
  const counts: string;

  const sam: sam2.Sam2;
  const image: sam2.ImageEmbedding;
  const masks: sam2.PredictedMask[];
  const best: sam2.PredictedMask;
  const points: sam2.Point[];
  const box: sam2.Box;

  function draw(...what: unknown[]): void;
  function erase(id: number): void;
}
