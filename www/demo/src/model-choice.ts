import { byId } from "./dom.js";

/** An entry of models/models.json: a model's file that lies beside it. */
interface OfferedModel {
  file: string;
  title: string;
  bytes: number;
}

/** The value of the entry that opens a file. */
const OWN_FILE = "own-file";

const NANO: OfferedModel = { file: "", title: "nano", bytes: 10_700_000 };

/** The picker of the models that are served with the page. What a visitor opens from this device joins them. */
export class ModelChoice {
  readonly #select = byId<HTMLSelectElement>("model-choice");
  #used = "";
  #name = "";

  /** @param use - loads the model at this address, or the page's own where there is none. */
  constructor(use: (address: string | undefined) => void, openFile: () => void) {
    this.#select.addEventListener("change", () => {
      const { value } = this.#select;
      // It shows what is used, also where loading fails.
      this.show(this.#used, this.#name);
      if (value === OWN_FILE) openFile();
      else if (value !== this.#used) use(value || undefined);
    });
  }

  /** Asks which models are offered. */
  async fill(): Promise<void> {
    const response = await fetch("models/models.json").catch(() => undefined);
    const offered: OfferedModel[] = response?.ok ? await response.json() : [];
    this.#select.replaceChildren(
      ...[NANO, ...offered].map(({ file, title, bytes }) => {
        const megabytes = (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
        return new Option(`${title}, ${megabytes} MB`, file && `models/${file}`);
      }),
      new Option("Open a file…", OWN_FILE),
    );
    this.show(this.#used, this.#name);
  }

  /** Shows which model is used: an address, none for the page's own, or the name of an opened file. */
  show(used: string, name: string): void {
    this.#used = used;
    this.#name = name;
    const known = [...this.#select.options].some(({ value }) => value === used);
    if (!known) this.#select.add(new Option(name, used), 0);
    this.#select.value = used;
  }
}
