import resolve from "@rollup/plugin-node-resolve";

const workers = ["cpu", "webgpu", "picture", "video"].map((name) => `worker-${name}`);

export default {
  input: { main: "main.js", ...Object.fromEntries(workers.map((name) => [name, `sam2-web/${name}`])) },
  output: { dir: "public", format: "es" },
  plugins: [resolve({ browser: true })],
};
