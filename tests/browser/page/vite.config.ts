import { defineConfig } from "vite";

// The package as a project with Vite gets it: nothing is configured for it.
export default defineConfig({
  base: "./",
  build: { outDir: "../dist/page", emptyOutDir: true, target: "es2022" },
});
