// With ONNX Runtime Web; see start.ts.
import type { Tensor } from "onnxruntime-web";
import { normalise } from "./picture.js";
import { asked, start } from "./start.js";

start(async () => {
  const { model, side, device } = asked;
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
  let features: Record<string, Tensor> = {};
  return {
    async encode(rgba) {
      for (const level of Object.values(features)) level.dispose();
      const pixels = new ort.Tensor("float32", normalise(rgba), [1, 3, side, side]);
      features = await encoder.run({ pixels });
    },
    async click() {
      const points = new ort.Tensor("float32", [0.3 * side, 0.45 * side], [1, 1, 2]);
      const labels = new ort.Tensor("float32", [1], [1, 1]);
      const { masks } = await decoder.run({ ...features, points, labels });
      const logits = (await masks?.getData()) as Float32Array | undefined;
      return logits?.some((logit) => logit > 0) ?? false;
    },
  };
});
