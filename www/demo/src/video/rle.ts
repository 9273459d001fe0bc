import { Mask } from "sam2-web";

/** Width and height in pixels. */
export interface Size {
  width: number;
  height: number;
}

/** The mask whose `Mask.toRle` has these counts. */
export function ofCounts(counts: string, { width, height }: Size): Mask {
  return Mask.fromRle({ size: [height, width], counts });
}
