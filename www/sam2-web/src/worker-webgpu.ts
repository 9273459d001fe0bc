import { serveEngine } from "./serve-engine.js";
import { newWasm } from "./wasm-webgpu.js";

serveEngine(newWasm());
