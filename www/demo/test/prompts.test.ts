import { Mask } from "sam2-web";
import { describe, expect, it } from "vitest";
import { Prompts, toPrompt } from "../src/prompts.js";

const on = { x: 1, y: 2, label: 1 as const };
const off = { x: 3, y: 4, label: 0 as const };

describe("Prompts", () => {
  it("adds points and goes back one step at a time", () => {
    const prompts = new Prompts();
    prompts.addPoint(on);
    prompts.addPoint(off);
    expect(prompts.now.points).toEqual([on, off]);
    prompts.undo();
    expect(prompts.now.points).toEqual([on]);
    prompts.undo();
    prompts.undo();
    expect(prompts.isEmpty).toBe(true);
    expect(prompts.canUndo).toBe(false);
  });

  it("starts over with a box, and clearing can be undone", () => {
    const prompts = new Prompts();
    prompts.addPoint(on);
    prompts.setBox([1, 2, 3, 4]);
    expect(prompts.now).toEqual({ points: [], box: [1, 2, 3, 4] });
    prompts.addPoint(off);
    expect(prompts.now).toEqual({ points: [off], box: [1, 2, 3, 4] });
    prompts.clear();
    expect(prompts.isEmpty).toBe(true);
    prompts.undo();
    expect(prompts.now.box).toEqual([1, 2, 3, 4]);
  });

  it("asks for candidates only on a lone click, and refines the mask on show after that", () => {
    const prompts = new Prompts();
    prompts.addPoint(on);
    expect(toPrompt(prompts.now)).toEqual({ points: [on], multimask: true });
    const logits = new Float32Array(4);
    prompts.addPoint(off, logits);
    expect(toPrompt(prompts.now)).toEqual({ points: [on, off], mask: logits, multimask: false });
  });

  it("takes a mask that is there already, which points then correct", () => {
    const prompts = new Prompts();
    prompts.addPoint(on);
    const taken = { mask: new Mask(4, 4), category: "cup" };
    prompts.take(taken);
    expect(prompts.isEmpty).toBe(false);
    expect(prompts.now).toEqual({ points: [], taken });
    // Of the first point the mask is the one that was taken, shown yet or not; of the next one the one on show.
    prompts.addPoint(off);
    expect(toPrompt(prompts.now)).toEqual({ points: [off], mask: taken.mask, multimask: false });
    const logits = new Float32Array(4);
    prompts.addPoint(on, logits);
    expect(toPrompt(prompts.now)).toEqual({ points: [off, on], mask: logits, multimask: false });
    expect(prompts.now.taken).toBe(taken);
    prompts.setBox([1, 2, 3, 4]);
    expect(prompts.now).toEqual({ points: [], box: [1, 2, 3, 4] });
    prompts.undo();
    prompts.undo();
    prompts.undo();
    expect(prompts.now).toEqual({ points: [], taken });
    prompts.undo();
    expect(prompts.now.points).toEqual([on]);
  });
});
