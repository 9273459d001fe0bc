import { defineConfig } from "vite";

export default defineConfig({ optimizeDeps: { exclude: ["sam2-web", "sam2-web-nano"] } });
