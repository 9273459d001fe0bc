// Lets the types be checked before the wasm is built; the built module's own declarations win once they exist.
declare module "*/sam2_web.js" {
  type WasmModule = import("./wasm-module.js").WasmModule;
  const init: WasmModule["default"];
  export default init;
  export const Model: WasmModule["Model"];
  export const setPanicHandler: WasmModule["setPanicHandler"];
  export const maskToRle: WasmModule["maskToRle"];
}
