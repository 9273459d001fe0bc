// What pkg-scripts/glue makes of wasm-bindgen's module.
declare module "*/sam2_web.js" {
  /** A new instance, with memory of its own. */
  export default function newInstance(): import("./wasm-module.js").WasmModule;
}

declare module "*/owlv2_web.js" {
  /** A new instance, with memory of its own. */
  export default function newInstance(): import("./wasm-detector.js").WasmDetectorModule;
}
