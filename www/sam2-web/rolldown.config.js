import { defineConfig } from "rolldown";

// Bundled, because a plain HTML page's worker cannot resolve `import "mediabunny"`. The wasm and its glue stay
// files of their own, and so do the workers: the consumer's bundler, or the browser, follows their relative URLs.
export default defineConfig({
  input: {
    index: "src/index.ts",
    formats: "src/formats/index.ts",
    element: "src/element.ts",
    react: "src/react.ts",
    "worker-cpu": "src/worker-cpu.ts",
    "worker-webgpu": "src/worker-webgpu.ts",
    "worker-video": "src/worker-video.ts",
    "wasm-cpu": "src/wasm-cpu.ts",
    "wasm-webgpu": "src/wasm-webgpu.ts",
  },
  external: [/\/wasm\/(cpu|webgpu)\/sam2_web\.js$/, "react"],
  output: { dir: "dist", format: "esm", chunkFileNames: "[name].js", cleanDir: true },
});
