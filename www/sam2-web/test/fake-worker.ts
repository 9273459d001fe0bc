import { vi } from "vitest";
import type { Port } from "../src/serve.js";
import { serveEngine } from "../src/serve-engine.js";
import type { WasmModule } from "../src/wasm-module.js";

/** A `Worker` whose other side runs here, over a real message channel, so that cloning and transfer are real too. */
export class FakeWorker extends EventTarget {
  readonly #channel = new MessageChannel();
  terminated = false;

  /** `other` is what answers instead of an engine. */
  constructor(wasm: WasmModule | undefined, other?: (port: Port) => void) {
    super();
    const { port1, port2 } = this.#channel;
    port1.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data }));
    if (wasm) serveEngine(wasm, port2 as never);
    other?.(port2 as never);
  }

  postMessage(message: unknown, transfer: Transferable[] = []): void {
    this.#channel.port1.postMessage(message, transfer as never);
  }

  terminate(): void {
    this.terminated = true;
    this.#channel.port1.close();
  }

  /** As the browser does when the script cannot be fetched or throws at top level. */
  fail(message: string): void {
    this.dispatchEvent(Object.assign(new Event("error"), { message }));
  }
}

/** From now on a `new Worker` is what `make` makes of its address. Answers with those that are made. */
export function stubWorkers(make: (url: URL) => FakeWorker): FakeWorker[] {
  const workers: FakeWorker[] = [];
  vi.stubGlobal(
    "Worker",
    class {
      constructor(url: URL) {
        const worker = make(url);
        workers.push(worker);
        // biome-ignore lint/correctness/noConstructorReturn: stands in for the browser's class
        return worker;
      }
    },
  );
  return workers;
}
