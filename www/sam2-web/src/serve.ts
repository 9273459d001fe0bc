import { Engine } from "./engine.js";
import { toPlain, toSam2Error } from "./errors.js";
import type { Calls, Method, Reply, Request } from "./protocol.js";
import type { WasmModule } from "./wasm-module.js";

/** The worker's side of {@link connectWorker}: an engine that answers messages. */
export function serve(
  wasm: WasmModule,
  port: Pick<Worker, "postMessage" | "onmessage"> = self as never,
): void {
  const engine = new Engine(wasm);
  const running = new Map<number, AbortController>();

  port.onmessage = async ({ data }: MessageEvent<Request>) => {
    const { id } = data;
    if ("abort" in data) {
      running.get(id)?.abort();
      return;
    }
    const controller = new AbortController();
    running.set(id, controller);
    const reply = (message: Reply, transfer: Transferable[] = []) => port.postMessage(message, transfer);
    try {
      const result = await engine.call(data.method, data.args as Calls[Method]["args"], {
        signal: controller.signal,
        onProgress: (progress) => reply({ id, progress }),
      });
      reply({ id, result }, buffersOf(result));
    } catch (thrown) {
      reply({ id, error: toPlain(toSam2Error(thrown)) });
    } finally {
      running.delete(id);
    }
  };
}

/** Masks are moved to the page, not copied. */
function buffersOf(result: Calls[Method]["result"]): Transferable[] {
  if (typeof result !== "object" || !("predictions" in result)) return [];
  return result.predictions.flatMap(({ masks }) =>
    masks.flatMap(({ bits, logits }) => [bits.buffer as ArrayBuffer, logits.buffer as ArrayBuffer]),
  );
}
