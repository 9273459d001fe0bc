#!/usr/bin/env node
// The processor time of the cpu wasm and of onnxruntime-web's, one thread each, by turns, in Node: unlike time by the
// clock it does not depend on who else is busy. Other builds of ours may be measured beside it.
// usage: node [--experimental-wasm-relaxed-simd] cpu-time.js --models DIR [--model nano] [--turns N] [--only WORK]
//   [WASM_DIR...]     DIR: what ./pkg-scripts/bench exported; WASM_DIR: sam2-web/wasm/cpu unless given
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { normalise, syntheticPicture } from "./src/picture.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    models: { type: "string" },
    model: { type: "string", default: "nano" },
    turns: { type: "string", default: "9" },
    only: { type: "string", default: "" },
    "no-theirs": { type: "boolean", default: false },
  },
});
const builds = positionals.length
  ? positionals
  : [fileURLToPath(new URL("../sam2-web/wasm/cpu", import.meta.url))];
const file = (name) => readFileSync(join(options.models, `${options.model}.${name}`));
const { side } = JSON.parse(readFileSync(join(options.models, "manifest.json")))[options.model];
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

const pictures = new Map([side, side / 4].map((side) => [side, syntheticPicture(side)]));

async function ours(directory) {
  const glue = await import(pathToFileURL(resolve(directory, "sam2_web.js")));
  const wasm = glue.default();
  await wasm.init({ module_or_path: readFileSync(join(directory, "sam2_web_bg.wasm")) });
  const model = await wasm.Model.load(await wasm.Device.open(false), file("safetensors"), undefined);
  let image;
  const encode = async (side) => {
    image?.free();
    image = await model.setImage(pictures.get(side), side, side);
  };
  return {
    name: directory.split("/").at(-1),
    encode: () => encode(side),
    // Its masks come at the picture's size, theirs as logits: a picture of that size makes it the same work.
    beforeDecodes: () => encode(side / 4),
    async decode(clicks) {
      const prompts = clicks.map(([x, y]) => ({
        points: [{ x: (x * side) / 4, y: (y * side) / 4, label: 1 }],
        multimask: true,
      }));
      const predictions = await image.predictBatch(prompts);
      return predictions.flatMap(({ masks }) => masks.map(({ logits }) => logits));
    },
  };
}

async function theirs() {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const session = (part) =>
    ort.InferenceSession.create(file(`${part}.onnx`), { executionProviders: ["wasm"] });
  const [encoder, decoder] = [await session("encoder"), await session("decoder")];
  let features;
  const encode = async () => {
    const pixels = normalise(pictures.get(side));
    features = await encoder.run({ pixels: new ort.Tensor("float32", pixels, [1, 3, side, side]) });
  };
  return {
    name: "onnxruntime-web",
    encode,
    beforeDecodes: encode,
    async decode(clicks) {
      const places = new Float32Array(clicks.flat().map((place) => place * side));
      const { masks } = await decoder.run({
        ...features,
        points: new ort.Tensor("float32", places, [clicks.length, 1, 2]),
        labels: new ort.Tensor("float32", new Float32Array(clicks.length).fill(1), [clicks.length, 1]),
      });
      return masks.data;
    },
  };
}

if (!options.models || !existsSync(options.models))
  throw new Error("--models must name the exported models' folder");
const sides = await Promise.all(builds.map(ours));
if (!options["no-theirs"]) sides.push(await theirs());
const clicks = Array.from({ length: 64 }, (_, i) => [((i % 8) + 0.5) / 8, (Math.floor(i / 8) + 0.5) / 8]);
const works = {
  encode: [(side) => side.encode(), 1],
  click: [(side) => side.decode([[0.3, 0.45]]), 8],
  clicks64: [(side) => side.decode(clicks), 1],
};
for (const [work, [run, times]] of Object.entries(works)) {
  if (options.only && options.only !== work) continue;
  if (work !== "encode") for (const side of sides) await side.beforeDecodes();
  const spent = sides.map(() => []);
  for (let turn = -3; turn < Number(options.turns); turn++) {
    for (const [i, side] of sides.entries()) {
      const start = process.cpuUsage();
      for (let time = 0; time < times; time++) await run(side);
      const { user, system } = process.cpuUsage(start);
      // The first turns are still being compiled.
      if (turn >= 0) spent[i].push((user + system) / 1e3 / times);
    }
  }
  const medians = spent.map(median);
  const last = medians.at(-1);
  console.log(
    `${work}: ${sides.map(({ name }, i) => `${name} ${medians[i].toFixed(1)} ms (${(medians[i] / last).toFixed(2)}), least ${Math.min(...spent[i]).toFixed(1)}`).join("; ")}`,
  );
}
