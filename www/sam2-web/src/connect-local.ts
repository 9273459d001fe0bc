import { Engine } from "./engine.js";
import type { Connection } from "./protocol.js";
import type { WasmModule } from "./wasm-module.js";

/** An engine on the calling thread. */
export function connectLocal(wasm: WasmModule): Connection {
  const engine = new Engine(wasm);
  return {
    call: (method, args, context) => engine.call(method, args, context),
    close: () => engine.close(),
  };
}
