// One library in a worker: what it is asked to do, and how long it takes over there.
import { type Counts, dryRun, take } from "./counters.js";
import { syntheticPicture } from "./picture.js";

export type Device = "cpu" | "webgpu";

export interface ModelFiles {
  name: string;
  /** Pixels of the square that the network sees. */
  side: number;
  /** Where the files are: absolute, with a slash at the end. */
  base: string;
  /** Of how many frames a frame of video recalls the memory, and of how many the object pointer. */
  memories: number;
  pointers: number;
}

/** A place in the picture, 0 to 1 from the left and from the top. */
export type Click = readonly [x: number, y: number];

/** A library under test. */
export interface Side {
  load(model: ModelFiles, device: Device): Promise<void>;
  /** From the RGBA bytes of a picture of the network's size to features on the device, which are kept. */
  encode(rgba: Uint8ClampedArray<ArrayBuffer>): Promise<void>;
  /** Clicks on the kept features to three masks each; with `mask`, that each refines it. Resolves to their logits. */
  decode(clicks: readonly Click[], mask?: Float32Array): Promise<Float32Array[]>;
  /** Makes ready for timing {@link decode} alone, where a library's decode does more than the network. */
  beforeDecodes?(): Promise<void>;
  /** Begins a video with its first frame and a click on an object there. Resolves to the object's logits. */
  beginVideo(frame: ImageBitmap, click: Click): Promise<Float32Array>;
  /** Follows the object to the next frame or, without one, once more to the same, whose features are at hand. */
  follow(frame?: ImageBitmap): Promise<Float32Array>;
}

export interface Calls {
  load: { args: { model: ModelFiles; device: Device; dry: boolean }; result: undefined };
  encode: { args: undefined; result: undefined };
  decode: { args: { clicks: readonly Click[]; mask?: Float32Array }; result: Float32Array[] };
  beforeDecodes: { args: undefined; result: undefined };
  /** Of a clip that is made up: frame 0 with a click. */
  beginVideo: { args: { click: Click }; result: Float32Array };
  /** The clip's frame of that number; nothing for the one at hand. */
  follow: { args: { frame?: number }; result: Float32Array };
  /** From now on dispatches are counted and not run. */
  countOnly: { args: undefined; result: undefined };
}

export interface Done<T> {
  result: T;
  /** Milliseconds of the call itself, without the way to the worker and back. */
  ms: number;
  counts: Counts;
}

type Request = { [M in keyof Calls]: { method: M; args: Calls[M]["args"] } }[keyof Calls];

/** The worker's end. */
export function serve(side: Side): void {
  let picture: Uint8ClampedArray<ArrayBuffer>;
  let pixels: number;
  // A player's frames are there before they are asked for.
  const frameOf = async ({ method, args }: Request): Promise<ImageBitmap | undefined> => {
    const frame = method === "beginVideo" ? 0 : method === "follow" ? args.frame : undefined;
    if (frame === undefined) return undefined;
    return createImageBitmap(new ImageData(syntheticPicture(pixels, frame * STEP), pixels));
  };
  const handle = async ({ method, args }: Request, frame: ImageBitmap | undefined): Promise<unknown> => {
    switch (method) {
      case "load":
        pixels = args.model.side;
        picture = syntheticPicture(pixels);
        await side.load(args.model, args.device);
        dryRun(args.dry);
        return undefined;
      case "encode":
        return side.encode(picture);
      case "decode":
        return side.decode(args.clicks, args.mask);
      case "beforeDecodes":
        return side.beforeDecodes?.();
      case "beginVideo":
        return side.beginVideo(frame as ImageBitmap, args.click);
      case "follow":
        return side.follow(frame);
      case "countOnly":
        dryRun(true);
        return undefined;
    }
  };
  self.onmessage = async ({ data }: MessageEvent<Request>) => {
    try {
      const frame = await frameOf(data);
      take();
      const start = performance.now();
      const result = await handle(data, frame);
      const ms = performance.now() - start;
      self.postMessage({ result, ms, counts: take() });
    } catch (error) {
      self.postMessage({ error: error instanceof Error ? `${error.message}` : String(error) });
    }
  };
}

/** The page's end; one call at a time. */
export class Remote {
  readonly #worker: Worker;

  constructor(worker: Worker) {
    this.#worker = worker;
  }

  call<M extends keyof Calls>(method: M, args: Calls[M]["args"]): Promise<Done<Calls[M]["result"]>> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) =>
        "error" in data ? reject(new Error(data.error)) : resolve(data);
      this.#worker.onerror = (event) => reject(new Error(event.message || "the worker could not be started"));
      this.#worker.postMessage({ method, args });
    });
  }

  close(): void {
    this.#worker.terminate();
  }
}

/** How far the discs have gone in the next frame of the clip, in parts of the picture's side. */
const STEP = 0.004;
