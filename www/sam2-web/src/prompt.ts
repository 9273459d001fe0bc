import { Sam2Error } from "./errors.js";
import { toLogits } from "./mask/to-logits.js";
import { Mask } from "./mask.js";
import type { Prompt } from "./types.js";
import type { WasmPrompt } from "./wasm-module.js";

/** What a mask prompt is for. */
export interface PromptedPicture {
  width: number;
  height: number;
  /** Side of the square of logits. */
  logitsSide: number;
}

/**
 * The prompt as the engine takes it. Checks JavaScript's types only; what the numbers may be (labels, inside the
 * picture) is the engine's to say.
 */
export function toWasmPrompt(prompt: Prompt, picture?: PromptedPicture): WasmPrompt {
  if (typeof prompt !== "object" || prompt === null)
    fail("A prompt is an object with points, a box or a mask.");
  const { points, box, mask, multimask = true } = prompt;
  if (points !== undefined) {
    const valid = Array.isArray(points) && points.every((p) => p && areNumbers([p.x, p.y, p.label]));
    if (!valid) fail("points is an array of { x, y, label }, all numbers.");
  }
  if (box !== undefined && !(Array.isArray(box) && box.length === 4 && areNumbers(box))) {
    fail("box is an array of four numbers, [x0, y0, x1, y1].");
  }
  const logits = mask instanceof Mask && picture ? logitsOf(mask, picture) : mask;
  if (logits !== undefined && !(logits instanceof Float32Array))
    fail("mask is a Mask, or a Float32Array: an earlier mask's logits.");
  if (typeof multimask !== "boolean") fail("multimask is true or false.");
  return {
    ...(prompt.points && { points: [...prompt.points] }),
    ...(prompt.box && { box: [...prompt.box] }),
    ...(logits && { mask: logits }),
    multimask,
  };
}

function logitsOf({ bits, width, height }: Mask, picture: PromptedPicture): Float32Array {
  if (width !== picture.width || height !== picture.height)
    fail(
      `The mask is ${width} x ${height} pixels, and the picture ${picture.width} x ${picture.height}: resize it.`,
    );
  return toLogits(bits, width, height, picture.logitsSide);
}

function areNumbers(values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "number");
}

function fail(message: string): never {
  throw new Sam2Error("INVALID_PROMPT", message);
}
