import { cpSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

// Pictures never leave the page, and this is what holds the page to it.
const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "img-src 'self' blob: data:",
  "style-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** In the built page only: the development server injects inline styles. */
const policyMeta = {
  name: "content-security-policy",
  apply: "build",
  transformIndexHtml: () => [
    {
      tag: "meta",
      attrs: { "http-equiv": "Content-Security-Policy", content: policy },
      injectTo: "head-prepend",
    },
  ],
};

/** `--mode fake` runs the page without a wasm build, on masks that are only discs. */
const fake = {
  find: /^.*\/wasm\/(cpu|webgpu)\/sam2_web\.js$/,
  replacement: fileURLToPath(new URL("../sam2-web/test/fake-wasm.ts", import.meta.url)),
};

/** Offers the model files of a folder on the page: $SAM2_DEMO_MODELS. They are copied to where the page is served from. */
const offeredModels = (folder) => ({
  name: "offered-models",
  apply: "build",
  closeBundle() {
    const to = fileURLToPath(new URL("dist/models/", import.meta.url));
    const files = readdirSync(folder).filter((file) => /\.(pt|safetensors)$/.test(file));
    for (const file of files) cpSync(join(folder, file), join(to, file));
    const list = files.map((file) => ({
      file,
      title: file.replace(/\.[^.]*$/, ""),
      bytes: statSync(join(folder, file)).size,
    }));
    writeFileSync(join(to, "models.json"), JSON.stringify(list));
  },
});

export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [policyMeta, process.env.SAM2_DEMO_MODELS && offeredModels(process.env.SAM2_DEMO_MODELS)],
  resolve: { alias: mode === "fake" ? [fake] : [] },
  // Third parties' licences ask to be passed on with their code.
  build: { target: "es2022", license: { fileName: "third-party.md" } },
  // A worker takes its policy from its own response, not from the page's meta element.
  preview: { headers: { "Content-Security-Policy": policy } },
}));
