// One object followed through a video with ONNX Runtime Web: what a page has to keep around export_onnx.py's graphs.
import type { InferenceSession, Tensor, TypedTensor } from "onnxruntime-web";
import type { ModelFiles } from "./side.js";

type Runtime = typeof import("onnxruntime-web");
type Tensors = Record<string, Tensor>;

/**
 * Which frames are recalled is as the official predictor chooses them: the prompted frame's memory and the latest ones',
 * and likewise the object pointers. Their order does not matter, as each comes with its place in time.
 */
export class FollowedObject {
  readonly #ort: Runtime;
  readonly #tracker: InferenceSession;
  readonly #memories: Slots;
  readonly #pointers: Slots;
  /** The last frame that was remembered. */
  #frame = -1;
  #answer: InferenceSession.ReturnType | undefined;

  constructor(ort: Runtime, { memories, pointers }: ModelFiles, tracker: InferenceSession) {
    this.#ort = ort;
    this.#tracker = tracker;
    this.#memories = new Slots(ort, memories);
    this.#pointers = new Slots(ort, pointers);
  }

  /** Frame 0, which is prompted. */
  async begin(prompter: InferenceSession, feeds: Tensors): Promise<Float32Array> {
    this.#answer = await prompter.run(feeds);
    return logitsOf(this.#answer);
  }

  /** Makes the latest answer one of those that the next frame recalls. */
  async remember(): Promise<void> {
    const { memory, pointer } = this.#answer ?? {};
    if (!memory || !pointer) throw new Error("no frame has been looked at yet");
    this.#frame++;
    await this.#memories.keep(this.#frame, memory);
    await this.#pointers.keep(this.#frame, pointer);
    this.#answer = undefined;
  }

  /** Finds the object on a frame by its features. Again without {@link remember}, it is the same frame. */
  async find(features: Tensors): Promise<Float32Array> {
    this.#answer?.memory?.dispose();
    const now = this.#frame + 1;
    const { frames: remembered, tensor: memories } = this.#memories.kept();
    const { frames: pointed, tensor: pointers } = this.#pointers.kept();
    // The prompted frame has place 0, the one before this the last.
    const times = remembered.map((frame) => (frame === 0 ? 0 : this.#memories.count - (now - frame)));
    const distances = pointed.map((frame) => now - frame);
    const feeds: Tensors = {
      ...features,
      memories,
      times: new this.#ort.Tensor("int64", BigInt64Array.from(times.map(BigInt)), [times.length]),
      pointers,
    };
    // EdgeTAM's pointers have no ages.
    if (this.#tracker.inputNames.includes("distances")) {
      feeds.distances = new this.#ort.Tensor("float32", Float32Array.from(distances), [distances.length]);
    }
    this.#answer = await this.#tracker.run(feeds);
    return logitsOf(this.#answer);
  }
}

function logitsOf({ mask }: InferenceSession.ReturnType): Float32Array {
  return (mask as TypedTensor<"float32">).data;
}

/** Frame 0's tensor and those of the latest frames, one behind the other where they were made: on the CPU or the GPU. */
class Slots {
  readonly #ort: Runtime;
  readonly count: number;
  readonly #frames: number[] = [];
  #shape: readonly number[] = [];
  #bytes = 0;
  #values: Float32Array | undefined;
  #buffer: GPUBuffer | undefined;

  constructor(ort: Runtime, count: number) {
    this.#ort = ort;
    this.count = count;
  }

  /** Takes `[1, ...]` over: it is disposed of. */
  async keep(frame: number, tensor: Tensor): Promise<void> {
    this.#shape = tensor.dims.slice(1);
    this.#bytes = tensor.size * Float32Array.BYTES_PER_ELEMENT;
    const slot = frame === 0 ? 0 : 1 + ((frame - 1) % (this.count - 1));
    this.#frames[slot] = frame;
    if (tensor.location === "gpu-buffer") {
      const device = (await this.#ort.env.webgpu.device) as GPUDevice;
      const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
      const usage = STORAGE | COPY_SRC | COPY_DST;
      this.#buffer ??= device.createBuffer({ size: this.count * this.#bytes, usage });
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(
        tensor.gpuBuffer as GPUBuffer,
        0,
        this.#buffer,
        slot * this.#bytes,
        this.#bytes,
      );
      device.queue.submit([encoder.finish()]);
    } else {
      this.#values ??= new Float32Array(this.count * tensor.size);
      this.#values.set(tensor.data as Float32Array, slot * tensor.size);
    }
    tensor.dispose();
  }

  /** Which frames' tensors there are, and they as one: `[frames, ...]`. */
  kept(): { frames: readonly number[]; tensor: Tensor } {
    const dims = [this.#frames.length, ...this.#shape];
    if (this.#buffer) {
      return {
        frames: this.#frames,
        tensor: this.#ort.Tensor.fromGpuBuffer(this.#buffer, { dataType: "float32", dims }),
      };
    }
    const size = dims.reduce((product, dim) => product * dim, 1);
    const values = this.#values?.subarray(0, size) ?? new Float32Array();
    return { frames: this.#frames, tensor: new this.#ort.Tensor("float32", values, dims) };
  }
}
