import { serveDetector } from "./serve-detector.js";
import { newWasm } from "./wasm-detector-cpu.js";

serveDetector(newWasm());
