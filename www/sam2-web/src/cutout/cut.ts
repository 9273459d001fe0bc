import type { Box } from "../mask/types.js";
import type { LowRes } from "../mask/upscale.js";

/** How a soft edge is made. */
export interface Edge {
  /** How far from the mask's edge it is soft, to both sides, in pixels. */
  radius: number;
  /** How much of it the picture's colours draw, 0 to 1; the rest is the mask's edge. */
  strength: number;
  /** What the mask is made of. */
  logits: LowRes;
}

/** What is to be cut out of a picture, and how. */
export interface Cut {
  /** The mask, of the picture's size, and its box. */
  bits: Uint8Array;
  box: Box | null;
  /** Whether to trim to what is seen of the object. */
  crop: boolean;
  edge?: Edge | undefined;
  /** The file's. */
  type: string;
  quality?: number | undefined;
}

/** Cuts a mask's object out of its picture. */
export type CutOut = (cut: Cut) => Promise<Blob>;
