import { DetectorEngine } from "./detector-engine.js";
import { type Port, serve } from "./serve.js";
import type { WasmDetectorModule } from "./wasm-detector.js";

/** A detector's engine in a worker. */
export function serveDetector(wasm: WasmDetectorModule, port?: Port): void {
  const engine = new DetectorEngine(wasm);
  serve(
    (method, args, context) => engine.call(method, args, context),
    (result: unknown) => (result instanceof ArrayBuffer ? [result] : []),
    port,
  );
}
