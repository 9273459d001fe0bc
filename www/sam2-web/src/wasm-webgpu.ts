import init, { Model, maskToRle, setPanicHandler } from "../wasm/webgpu/sam2_web.js";
import type { WasmModule } from "./wasm-module.js";

export const wasm: WasmModule = { default: init, Model, setPanicHandler, maskToRle };
