import { Sam2Error } from "./errors.js";
import { forEachRun } from "./mask/runs.js";
import { Mask } from "./mask.js";
import { toWasmPrompt } from "./prompt.js";
import type { ObjectPrompt } from "./protocol.js";
import type { Box, Point } from "./types.js";

/** Which pixels of a frame are an object: points, a box, or a mask of the video's size. */
export interface VideoPrompt {
  /** Number of the frame, from 0. */
  frame: number;
  /** Any whole number of yours, from 0; a new one is a new object. */
  object: number;
  points?: readonly Point[];
  box?: Readonly<Box>;
  /**
   * The object's mask: a {@link Mask}, an `ImageData`, or a byte a pixel. The object is where a value is at least half
   * of the largest: of the alpha if that is not the same everywhere, else of the brightest colour. Neither points nor a
   * box go with it.
   */
  mask?: Mask | ImageData | Uint8Array;
  /** The points join those given earlier for this object on this frame, instead of replacing them. Default false. */
  keepPoints?: boolean;
}

/** The prompt as the engine takes it. What points and boxes may be is the engine's to say. */
export function toObjectPrompt(prompt: VideoPrompt, size: { width: number; height: number }): ObjectPrompt {
  if (typeof prompt !== "object" || prompt === null) {
    fail("A prompt is an object with a frame, an object's number, and points, a box or a mask.");
  }
  const { object, points, box, mask, keepPoints = false } = prompt;
  if (!Number.isInteger(object) || object < 0 || object >= 2 ** 32)
    fail("object is a whole number from 0: yours to choose, one for each object.");
  if (mask === undefined) {
    const asked = { ...(points && { points }), ...(box && { box }), multimask: false };
    return { object, prompt: toWasmPrompt(asked), keepPoints: Boolean(keepPoints) };
  }
  if (points || box) fail("A mask says all of an object: points and a box do not go with it.");
  return { object, mask: toBytes(mask, size) };
}

/** A byte a pixel, or RGBA; the engine finds the object in it. */
function toBytes(
  mask: NonNullable<VideoPrompt["mask"]>,
  { width, height }: { width: number; height: number },
): Uint8Array<ArrayBuffer> {
  const count = width * height;
  if (mask instanceof Uint8Array) {
    if (mask.length !== count)
      fail(
        `The mask has ${mask.length} bytes; the video's frames of ${width} x ${height} pixels need ${count}.`,
      );
    return mask.slice();
  }
  if (typeof mask !== "object" || mask === null || !("width" in mask)) {
    fail("mask is a Mask, an ImageData, or a Uint8Array of a byte a pixel.");
  }
  if (mask.width !== width || mask.height !== height) {
    fail(`The mask is ${mask.width} x ${mask.height} pixels; the video's frames are ${width} x ${height}.`);
  }
  if (!(mask instanceof Mask)) {
    if (mask.data?.length !== count * 4) fail("The mask's ImageData has lost its pixels: pass it anew.");
    return new Uint8Array(mask.data);
  }
  const bytes = new Uint8Array(count);
  forEachRun(mask.bits, width, height, (y, from, end) => bytes.fill(1, y * width + from, y * width + end));
  return bytes;
}

function fail(message: string): never {
  throw new Sam2Error("INVALID_PROMPT", message);
}
