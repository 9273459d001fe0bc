import { serveEngine } from "./serve-engine.js";
import { wasm } from "./wasm-webgpu.js";

serveEngine(wasm);
