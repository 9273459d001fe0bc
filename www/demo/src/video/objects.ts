import { byId } from "../dom.js";

/** Well apart in hue and lightness, on light and dark pictures; after the last the first comes again. */
const COLORS = ["#4f7cff", "#ff8a1f", "#1fbf75", "#e0408c", "#a46bff", "#f2c218", "#16b8c9", "#c4502b"];

export interface TrackedObject {
  readonly id: number;
  readonly color: string;
  name: string;
}

export interface ObjectEvents {
  /** Another object is the one that clicks are about. */
  selected(object: TrackedObject): void;
  removed(object: TrackedObject): void;
  renamed(): void;
}

/** The objects that are followed: a radio group, each with its colour, a name to edit and a way out. */
export class Objects {
  readonly #list = byId("objects");
  readonly #events: ObjectEvents;
  #objects: TrackedObject[] = [];
  #selected: TrackedObject | undefined;
  #nextId = 1;

  constructor(events: ObjectEvents) {
    this.#events = events;
    this.#show();
  }

  get all(): readonly TrackedObject[] {
    return this.#objects;
  }

  get selected(): TrackedObject | undefined {
    return this.#selected;
  }

  get(id: number): TrackedObject | undefined {
    return this.#objects.find((object) => object.id === id);
  }

  add(): TrackedObject {
    const id = this.#nextId++;
    const color = COLORS[(id - 1) % COLORS.length] as string;
    const object = { id, color, name: `Object ${id}` };
    this.#objects.push(object);
    this.#selected = object;
    this.#show();
    this.#events.selected(object);
    return object;
  }

  select(object: TrackedObject): void {
    if (object === this.#selected) return;
    this.#selected = object;
    this.#show();
    this.#events.selected(object);
  }

  remove(object: TrackedObject): void {
    this.#objects = this.#objects.filter((other) => other !== object);
    if (this.#selected === object) this.#selected = this.#objects.at(-1);
    this.#show();
    this.#events.removed(object);
  }

  close(): void {
    this.#objects = [];
    this.#list.replaceChildren();
  }

  #show(): void {
    this.#list.replaceChildren(...this.#objects.map((object) => this.#row(object)));
  }

  #row(object: TrackedObject): HTMLElement {
    const row = document.createElement("div");
    row.className = "object";
    row.style.setProperty("--color", object.color);

    const choice = document.createElement("input");
    choice.type = "radio";
    choice.name = "object";
    choice.checked = object === this.#selected;
    choice.ariaLabel = `Clicks are about ${object.name}`;
    choice.addEventListener("change", () => {
      this.#selected = object;
      this.#events.selected(object);
    });

    const name = document.createElement("input");
    name.className = "name";
    name.value = object.name;
    name.maxLength = 40;
    name.spellcheck = false;
    name.ariaLabel = `Name of ${object.name}`;
    name.addEventListener("focus", () => choice.click());
    name.addEventListener("change", () => {
      object.name = name.value.trim() || object.name;
      this.#show();
      this.#events.renamed();
    });

    const remove = document.createElement("button");
    remove.type = "button";
    remove.ariaLabel = `Remove ${object.name}`;
    remove.textContent = "×";
    remove.addEventListener("click", () => this.remove(object));

    row.append(choice, name, remove);
    return row;
  }
}
