// From opening the page to the first mask with ONNX Runtime Web; see start-ours.ts.

import { normalise, syntheticPicture } from "./picture.js";

const asked = new URLSearchParams(location.search);
const [model, device] = [asked.get("model") ?? "nano", asked.get("device") ?? "cpu"];

async function load() {
  const ort =
    device === "cpu" ? await import("onnxruntime-web/wasm") : await import("onnxruntime-web/webgpu");
  ort.env.wasm.numThreads = 1;
  const options = { executionProviders: [device === "cpu" ? "wasm" : "webgpu"] };
  const open = (part: string) => ort.InferenceSession.create(`models/${model}.${part}.onnx`, options);
  // On WebGPU it refuses to make two sessions at a time.
  const [encoder, decoder] =
    device === "cpu"
      ? await Promise.all([open("encoder"), open("decoder")])
      : [await open("encoder"), await open("decoder")];
  return { ort, encoder, decoder };
}
const loading = load();

async function firstMask(): Promise<number> {
  const { ort, encoder, decoder } = await loading;
  const input = encoder.inputMetadata[0];
  const side = Number(input?.isTensor && input.shape[3]);
  const pixels = new ort.Tensor("float32", normalise(syntheticPicture(side)), [1, 3, side, side]);
  const features = await encoder.run({ pixels });
  const points = new ort.Tensor("float32", [0.3 * side, 0.45 * side], [1, 1, 2]);
  const labels = new ort.Tensor("float32", [1], [1, 1]);
  const { masks } = await decoder.run({ ...features, points, labels });
  const logits = (await masks?.getData()) as Float32Array | undefined;
  if (!logits?.some((logit) => logit > 0)) throw new Error("no mask came");
  return performance.now();
}

Object.assign(window, { firstMask: firstMask(), loaded: loading.then(() => performance.now()) });
