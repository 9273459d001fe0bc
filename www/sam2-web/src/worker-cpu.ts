import { serveEngine } from "./serve-engine.js";
import { wasm } from "./wasm-cpu.js";

serveEngine(wasm);
