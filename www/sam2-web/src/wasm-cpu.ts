import newInstance from "../wasm/cpu/sam2_web.js";
import type { WasmModule } from "./wasm-module.js";

export const newWasm: () => WasmModule = newInstance;
