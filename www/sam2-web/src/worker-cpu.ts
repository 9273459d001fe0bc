import { serveEngine } from "./serve-engine.js";
import { newWasm } from "./wasm-cpu.js";

serveEngine(newWasm());
