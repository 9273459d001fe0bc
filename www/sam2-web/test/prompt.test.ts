import { describe, expect, it } from "vitest";
import { toWasmPrompt } from "../src/prompt.js";
import { drawn, noise, SIZES } from "./drawn-masks.js";

const refusal = expect.objectContaining({ code: "INVALID_PROMPT" });

describe("a mask as a prompt", () => {
  const picture = { width: 4, height: 2, logitsSide: 2 };

  it("becomes logits, by how much of each of their pixels is set", () => {
    const mask = drawn("##.#", "#..#");
    expect(toWasmPrompt({ mask }, picture).mask).toEqual(Float32Array.of(10, 0, 0, 0));
    // A square of more pixels than the picture has.
    const { mask: fine } = toWasmPrompt({ mask }, { ...picture, logitsSide: 8 });
    expect(Array.from(fine?.subarray(0, 8) ?? [])).toEqual([10, 10, 10, 10, -10, -10, 10, 10]);
    for (const [width, height] of SIZES) {
      for (const logitsSide of [1, 5, 16]) {
        const some = noise(width, height, 0.4);
        const { mask: logits = [] } = toWasmPrompt({ mask: some }, { width, height, logitsSide });
        const mean = Array.from(logits).reduce((sum, logit) => sum + logit, 0) / logitsSide ** 2;
        expect(mean).toBeCloseTo((20 * some.area) / (width * height) - 10, 4);
      }
    }
  });

  it("must be of the picture's size, and logits stay as they are", () => {
    expect(() => toWasmPrompt({ mask: drawn("##") }, picture)).toThrow(refusal);
    expect(() => toWasmPrompt({ mask: [1, 2] as never }, picture)).toThrow(refusal);
    const logits = new Float32Array(4);
    expect(toWasmPrompt({ mask: logits }, picture).mask).toBe(logits);
  });
});
