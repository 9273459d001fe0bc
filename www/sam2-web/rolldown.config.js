import { defineConfig } from "rolldown";

// Bundled, because a plain HTML page's worker cannot resolve `import "mediabunny"`. The wasm and its glue stay
// files of their own, and so do the workers: the consumer's bundler, or the browser, follows their relative URLs.
const wasm = /\/wasm\/(cpu|webgpu)\/(sam2|owlv2)_web\.js$/;
/**
 * What only Node has. The readers of pictures look for it, and a bundler that finds a name of Node's wants to install a package
 * that stands in for it, or stops.
 */
const transform = { define: { Buffer: "undefined", process: "undefined", require: "undefined" } };
const output = { dir: "dist", format: "esm", chunkFileNames: "[name].js" };

/**
 * A worker in one file, whatever it loads later: a page without a bundler fetches that instead of nine, Parcel starts no two
 * workers that share parts, and Vite 7 refuses workers in parts.
 */
const worker = (name) => ({
  input: { [name]: `src/${name}.ts` },
  external: wasm,
  transform,
  // The last line marks a file without imports as a module: its readers' code looks like CommonJS to tools.
  output: { ...output, codeSplitting: false, footer: "export {};" },
});

export default defineConfig([
  {
    input: {
      index: "src/index.ts",
      formats: "src/formats/index.ts",
      element: "src/element.ts",
      react: "src/react.ts",
      "worker-video": "src/worker-video.ts",
      "wasm-cpu": "src/wasm-cpu.ts",
      "wasm-webgpu": "src/wasm-webgpu.ts",
      "wasm-detector-cpu": "src/wasm-detector-cpu.ts",
      "wasm-detector-webgpu": "src/wasm-detector-webgpu.ts",
    },
    external: [wasm, "react"],
    transform,
    output: { ...output, cleanDir: true },
  },
  worker("worker-cpu"),
  worker("worker-webgpu"),
  worker("worker-detector-cpu"),
  worker("worker-detector-webgpu"),
  worker("worker-picture"),
]);
