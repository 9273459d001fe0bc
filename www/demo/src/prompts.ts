import type { Box, Point, Prompt } from "sam2-web";

/** What the visitor has asked for so far. */
export interface Step {
  readonly points: readonly Point[];
  readonly box?: Box;
  /** Logits of the mask that this step refines. */
  readonly mask?: Float32Array;
}

const NOTHING: Step = { points: [] };

/** The prompts and their history. Every change is a new step, so undo is going one back. */
export class Prompts {
  #steps: Step[] = [NOTHING];

  get now(): Step {
    return this.#steps.at(-1) ?? NOTHING;
  }

  get isEmpty(): boolean {
    return this.now.points.length === 0 && !this.now.box;
  }

  get canUndo(): boolean {
    return this.#steps.length > 1;
  }

  /** @param refined - logits of the mask on show, which the new prompt corrects. */
  addPoint(point: Point, refined?: Float32Array): void {
    this.#push({ ...this.now, points: [...this.now.points, point] }, refined);
  }

  /** A box starts over: it says where the object is, so older points may be about another one. */
  setBox(box: Box): void {
    this.#push({ points: [], box });
  }

  clear(): void {
    if (!this.isEmpty) this.#push(NOTHING);
  }

  undo(): void {
    if (this.canUndo) this.#steps.pop();
  }

  /** For a new picture: nothing to go back to. */
  reset(): void {
    this.#steps = [NOTHING];
  }

  #push({ points, box }: Step, mask?: Float32Array): void {
    this.#steps.push({ points, ...(box && { box }), ...(mask && { mask }) });
  }
}

/** A lone click may mean a part or a whole, so it asks for three candidates; with more said, one answer is better. */
export function toPrompt({ points, box, mask }: Step): Prompt {
  const multimask = points.length === 1 && !box && !mask;
  return { points, multimask, ...(box && { box }), ...(mask && { mask }) };
}
