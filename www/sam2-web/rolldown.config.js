import { defineConfig } from "rolldown";

// Bundled, because a plain HTML page's worker cannot resolve `import "mediabunny"`. The wasm and its glue stay
// files of their own, and so do the workers: the consumer's bundler, or the browser, follows their relative URLs.
const wasm = /\/wasm\/(cpu|webgpu)\/sam2_web\.js$/;
const output = { dir: "dist", format: "esm", chunkFileNames: "[name].js" };

/** In one file, whatever it loads later. */
const whole = (name, external) => ({
  input: { [name]: `src/${name}.ts` },
  external,
  output: { ...output, codeSplitting: false },
});

export default defineConfig([
  {
    input: {
      index: "src/index.ts",
      errors: "src/errors.ts",
      formats: "src/formats/index.ts",
      "worker-picture": "src/worker-picture.ts",
      "worker-video": "src/worker-video.ts",
      "wasm-cpu": "src/wasm-cpu.ts",
      "wasm-webgpu": "src/wasm-webgpu.ts",
    },
    external: [wasm, /\/deep-picture\.js$/],
    output: { ...output, cleanDir: true },
  },
  // A page without a bundler fetches one file instead of nine, and Parcel starts no two workers that share parts.
  whole("worker-cpu", wasm),
  whole("worker-webgpu", wasm),
  // The readers load parts of themselves as they need them, which Vite 7 refuses in a worker. Errors are those of the rest,
  // for `instanceof`.
  whole("deep-picture", /\/errors\.js$/),
]);
