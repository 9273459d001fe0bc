import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "./",
  worker: { format: "es" },
  build: {
    target: "es2022",
    // Each page loads only what it needs, so that downloads can be counted page by page.
    rollupOptions: { input: ["index.html", "start-ours.html", "start-theirs.html"].map(here) },
    // ONNX Runtime's 27 MB of wasm are no surprise.
    chunkSizeWarningLimit: 1e6,
  },
});
