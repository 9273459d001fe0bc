import type { ObjectPrompt } from "./protocol.js";

/** What a video has been told of its objects, to tell it once more where its engine was lost. */
export class PromptLog {
  /** By object, in the order in which they were added, then by frame. */
  readonly #objects = new Map<number, Map<number, ObjectPrompt[]>>();

  add(frame: number, prompt: ObjectPrompt): void {
    const frames = this.#objects.get(prompt.object) ?? new Map<number, ObjectPrompt[]>();
    this.#objects.set(prompt.object, frames);
    const joins = "prompt" in prompt && prompt.keepPoints;
    frames.set(frame, [...((joins && frames.get(frame)) || []), prompt]);
  }

  clear(frame: number, object: number): void {
    this.#objects.get(object)?.delete(frame);
  }

  remove(object: number): void {
    this.#objects.delete(object);
  }

  reset(): void {
    this.#objects.clear();
  }

  /** The smallest number that no object has. */
  get unused(): number {
    let object = 0;
    while (this.#objects.has(object)) object++;
    return object;
  }

  /** In an order in which they can be told. */
  get all(): { frame: number; prompt: ObjectPrompt }[] {
    return [...this.#objects.values()].flatMap((frames) =>
      [...frames].flatMap(([frame, prompts]) => prompts.map((prompt) => ({ frame, prompt }))),
    );
  }
}
