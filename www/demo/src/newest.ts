/** Runs one job at a time; of those that come meanwhile only the newest runs, the others are dropped. */
export class Newest {
  #running = false;
  #next: (() => Promise<void>) | undefined;

  get busy(): boolean {
    return this.#running;
  }

  async run(job: () => Promise<void>): Promise<void> {
    this.#next = job;
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#next) {
        const now: () => Promise<void> = this.#next;
        this.#next = undefined;
        await now();
      }
    } finally {
      this.#running = false;
    }
  }
}
