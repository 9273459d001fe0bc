import { serveDetector } from "./serve-detector.js";
import { newWasm } from "./wasm-detector-webgpu.js";

serveDetector(newWasm());
