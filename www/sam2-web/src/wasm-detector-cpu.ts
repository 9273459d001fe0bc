import newInstance from "../wasm/cpu/owlv2_web.js";
import type { WasmDetectorModule } from "./wasm-detector.js";

export const newWasm: () => WasmDetectorModule = newInstance;
