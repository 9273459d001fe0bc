import type { Box, Mask, Point, Prompt } from "sam2-web";
import type { Label } from "sam2-web/formats";

/** What the visitor has asked for so far. */
export interface Step {
  readonly points: readonly Point[];
  readonly box?: Box;
  /** The mask that this step refines, or its logits. */
  readonly mask?: Float32Array | Mask;
  /** What was taken, of which the points are corrections. */
  readonly taken?: Label;
}

const NOTHING: Step = { points: [] };

/** The prompts and their history. Every change is a new step, so undo is going one back. */
export class Prompts {
  #steps: Step[] = [NOTHING];

  get now(): Step {
    return this.#steps.at(-1) ?? NOTHING;
  }

  get isEmpty(): boolean {
    return this.now.points.length === 0 && !this.now.box && !this.now.taken;
  }

  get canUndo(): boolean {
    return this.#steps.length > 1;
  }

  /** @param refined - the mask on show, which the new prompt corrects, or its logits. */
  addPoint(point: Point, refined?: Float32Array | Mask): void {
    const { points, taken } = this.now;
    this.#push(
      { ...this.now, points: [...points, point] },
      refined ?? (points.length ? undefined : taken?.mask),
    );
  }

  /** A box starts over: it says where the object is, so older points may be about another one. */
  setBox(box: Box): void {
    this.#push({ points: [], box });
  }

  /** A mask that is there already. It starts over, too. */
  take(taken: Label): void {
    this.#push({ points: [], taken });
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

  #push({ points, box, taken }: Step, mask?: Float32Array | Mask): void {
    this.#steps.push({ points, ...(box && { box }), ...(taken && { taken }), ...(mask && { mask }) });
  }
}

/** A lone click may mean a part or a whole, so it asks for three candidates; with more said, one answer is better. */
export function toPrompt({ points, box, mask }: Step): Prompt {
  const multimask = points.length === 1 && !box && !mask;
  return { points, multimask, ...(box && { box }), ...(mask && { mask }) };
}
