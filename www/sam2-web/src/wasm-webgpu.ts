import newInstance from "../wasm/webgpu/sam2_web.js";
import type { WasmModule } from "./wasm-module.js";

export const newWasm: () => WasmModule = newInstance;
