// sam2-web on the worker's own thread, through its public API.
import "./counters.js";
import { type ImageEmbedding, Sam2, type Video, type VideoFrameMasks } from "sam2-web";
import { syntheticPicture } from "./picture.js";
import { type Click, type ModelFiles, type Side, serve } from "./side.js";

class Ours implements Side {
  #sam!: Sam2;
  #side!: number;
  #image: ImageEmbedding | undefined;
  #video!: Video;
  #frame: ImageBitmap | undefined;

  async load({ name, side, base }: ModelFiles, device: "cpu" | "webgpu"): Promise<void> {
    this.#side = side;
    this.#sam = await Sam2.load({ model: `${base}${name}.safetensors`, device, worker: false });
  }

  async encode(rgba: Uint8ClampedArray<ArrayBuffer>): Promise<void> {
    this.#image?.dispose();
    this.#image = await this.#sam.setImage(new ImageData(rgba, Math.sqrt(rgba.length / 4)));
  }

  /** Our masks come at the picture's size, theirs as logits: a picture of the logits' size makes that the same work. */
  async beforeDecodes(): Promise<void> {
    await this.encode(syntheticPicture(this.#side / 4));
  }

  async decode(clicks: readonly Click[], mask?: Float32Array): Promise<Float32Array[]> {
    const image = this.#image;
    if (!image) throw new Error("nothing is encoded yet");
    const predictions = await image.predictBatch(
      clicks.map(([x, y]) => ({
        points: [{ x: x * image.width, y: y * image.height, label: 1 }],
        ...(mask && { mask }),
      })),
    );
    return predictions.flatMap(({ masks }) => masks.map(({ logits }) => logits));
  }

  async beginVideo(frame: ImageBitmap, [x, y]: Click): Promise<Float32Array> {
    this.#frame = frame;
    // Holes would be filled in the answer, not in the memory: theirs has no such step.
    this.#video = await this.#sam.openVideo(this.#frames(), { fillHoles: 0 });
    const { width, height } = this.#video;
    const points = [{ x: x * width, y: y * height, label: 1 }] as const;
    return logitsOf(await this.#video.prompt({ frame: 0, object: 1, points }));
  }

  async follow(frame?: ImageBitmap): Promise<Float32Array> {
    this.#frame = frame;
    if (frame) await this.#video.nextFrame();
    for await (const masks of this.#video.propagate({ frames: 1 })) return logitsOf(masks);
    throw new Error("the video has ended");
  }

  async *#frames(): AsyncGenerator<ImageBitmap> {
    while (this.#frame) yield this.#frame;
  }
}

function logitsOf({ masks: [only] }: VideoFrameMasks): Float32Array {
  if (!only) throw new Error("the video has no object");
  return only.mask.logits;
}

serve(new Ours());
