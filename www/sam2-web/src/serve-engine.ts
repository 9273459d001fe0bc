import { Engine } from "./engine.js";
import type { Calls, Method } from "./protocol.js";
import { type Port, serve } from "./serve.js";
import type { WasmFrameMasks, WasmModule, WasmPrediction } from "./wasm-module.js";

/** An engine in a worker. */
export function serveEngine(wasm: WasmModule, port?: Port): void {
  const engine = new Engine(wasm);
  serve((method, args, context) => engine.call(method, args, context), masksOf, port);
}

/** Masks are moved to the page, not copied. */
function masksOf(result: Calls[Method]["result"]): Transferable[] {
  if (typeof result !== "object") return [];
  if (result instanceof ArrayBuffer) return [result];
  const holders: Pick<WasmPrediction | WasmFrameMasks, "masks">[] =
    "predictions" in result
      ? result.predictions
      : Array.isArray(result)
        ? result
        : "masks" in result
          ? [result]
          : "prediction" in result
            ? [result.prediction]
            : [];
  return holders.flatMap(({ masks }) =>
    masks.flatMap((mask) =>
      [mask.logits, "bits" in mask ? mask.bits : mask.maskLogits].flatMap((values) =>
        values ? [values.buffer as ArrayBuffer] : [],
      ),
    ),
  );
}
