import { byId } from "../dom.js";
import type { Effect, EffectName } from "./effects.js";

/** The effect as the panel's buttons say. */
export class EffectChoice {
  readonly #ended = new AbortController();
  readonly #color = byId<HTMLInputElement>("effect-color");
  #name: EffectName = "highlight";

  constructor(changed: (effect: Effect) => void) {
    const { signal } = this.#ended;
    const choose = (name: string) => {
      this.#name = name as EffectName;
      this.#color.hidden = name !== "replace";
      // The others change nothing around the objects.
      byId("untracked-choice").hidden = name === "highlight" || name === "outline";
      byId("stage").dataset.effect = name;
      changed(this.now);
    };
    for (const input of document.querySelectorAll<HTMLInputElement>("[name=effect]")) {
      if (input.checked) choose(input.value);
      input.addEventListener("change", () => choose(input.value), { signal });
    }
    this.#color.addEventListener("input", () => changed(this.now), { signal });
  }

  get now(): Effect {
    return { name: this.#name, color: this.#color.value };
  }

  close(): void {
    this.#ended.abort();
    byId("untracked-choice").hidden = true;
    delete byId("stage").dataset.effect;
  }
}
