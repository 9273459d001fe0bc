import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const fake = fileURLToPath(new URL("test/fake-wasm.ts", import.meta.url));

export default defineConfig({
  resolve: { alias: [{ find: /^.*\/wasm\/(cpu|webgpu)\/sam2_web\.js$/, replacement: fake }] },
  test: { setupFiles: ["test/polyfill.ts"], fileParallelism: false, testTimeout: 60_000 },
});
