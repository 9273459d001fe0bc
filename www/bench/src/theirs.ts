// ONNX Runtime Web on the worker's own thread. The build (wasm or WebGPU) is handed in, as each worker has its own.
import type { InferenceSession, Tensor, TypedTensor } from "onnxruntime-web";
import { gpuIdle } from "./counters.js";
import { normalise } from "./picture.js";
import type { Click, Device, ModelFiles, Side } from "./side.js";
import { FollowedObject } from "./theirs-video.js";

type Runtime = typeof import("onnxruntime-web");

export class Theirs implements Side {
  readonly #ort: Runtime;
  #model!: ModelFiles;
  #options!: InferenceSession.SessionOptions;
  #device!: Device;
  #encoder!: InferenceSession;
  #decoder!: InferenceSession;
  #refiner: InferenceSession | undefined;
  #features: Record<string, Tensor> | undefined;
  #object!: FollowedObject;

  constructor(ort: Runtime) {
    this.#ort = ort;
    ort.env.wasm.numThreads = 1;
  }

  async load(model: ModelFiles, device: Device): Promise<void> {
    this.#model = model;
    this.#device = device;
    this.#options = { executionProviders: [device === "cpu" ? "wasm" : "webgpu"] };
    // The features stay on the GPU, as ours do.
    this.#encoder = await this.#session("encoder", ["fine", "middle", "coarse"]);
    this.#decoder = await this.#session("decoder");
  }

  /** `kept` are the outputs that stay on the device. */
  #session(part: string, kept: readonly string[] = []): Promise<InferenceSession> {
    const { base, name } = this.#model;
    const locations = kept.map((output) => [output, "gpu-buffer"] as const);
    return this.#ort.InferenceSession.create(`${base}${name}.${part}.onnx`, {
      ...this.#options,
      ...(this.#device === "webgpu" && { preferredOutputLocation: Object.fromEntries(locations) }),
    });
  }

  async encode(rgba: Uint8ClampedArray<ArrayBuffer>): Promise<void> {
    const { side } = this.#model;
    for (const level of Object.values(this.#features ?? {})) level.dispose();
    const pixels = new this.#ort.Tensor("float32", normalise(rgba), [1, 3, side, side]);
    this.#features = await this.#encoder.run({ pixels });
    if (this.#device === "webgpu") await gpuIdle();
  }

  async decode(clicks: readonly Click[], mask?: Float32Array): Promise<Float32Array[]> {
    const { side } = this.#model;
    const tensor = (values: Float32Array, dims: number[]) => new this.#ort.Tensor("float32", values, dims);
    const places = new Float32Array(clicks.flat().map((place) => place * side));
    const prompts = clicks.length;
    const feeds: Record<string, Tensor> = {
      ...this.#features,
      points: tensor(places, [prompts, 1, 2]),
      labels: tensor(new Float32Array(prompts).fill(1), [prompts, 1]),
    };
    let session = this.#decoder;
    if (mask) {
      this.#refiner ??= await this.#session("refiner");
      session = this.#refiner;
      const repeated = new Float32Array(mask.length * prompts);
      for (let i = 0; i < prompts; i++) repeated.set(mask, i * mask.length);
      feeds.mask = tensor(repeated, [prompts, 1, side / 4, side / 4]);
    }
    const answer = await session.run(feeds);
    const { data } = answer.masks as TypedTensor<"float32">;
    const pixels = (side / 4) ** 2;
    return Array.from({ length: 3 * prompts }, (_, i) => data.slice(i * pixels, (i + 1) * pixels));
  }

  async beginVideo(frame: ImageBitmap, [x, y]: Click): Promise<Float32Array> {
    const { side } = this.#model;
    await this.encode(pixelsOf(frame));
    const prompter = await this.#session("prompter", ["memory"]);
    this.#object = new FollowedObject(this.#ort, this.#model, await this.#session("tracker", ["memory"]));
    const logits = await this.#object.begin(prompter, {
      ...this.#features,
      points: new this.#ort.Tensor("float32", [x * side, y * side], [1, 1, 2]),
      labels: new this.#ort.Tensor("float32", [1], [1, 1]),
    });
    await prompter.release();
    return logits;
  }

  async follow(frame?: ImageBitmap): Promise<Float32Array> {
    if (frame) {
      await this.#object.remember();
      await this.encode(pixelsOf(frame));
    }
    return this.#object.find(this.#features ?? {});
  }
}

/** A frame's RGBA bytes. */
function pixelsOf(frame: ImageBitmap): Uint8ClampedArray<ArrayBuffer> {
  const { width, height } = frame;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser has no 2D canvas in workers");
  context.drawImage(frame, 0, 0);
  frame.close();
  return context.getImageData(0, 0, width, height).data as Uint8ClampedArray<ArrayBuffer>;
}
