import type {
  WasmDevice,
  WasmEmbedding,
  WasmFoundMasks,
  WasmFrameMasks,
  WasmGeneratorOptions,
  WasmMaskRecord,
  WasmModel,
  WasmModule,
  WasmPrediction,
  WasmPrompt,
  WasmVideo,
  WasmVideoMask,
  WasmVideoOptions,
} from "../src/wasm-module.js";

// Stands in for the wasm build: discs around the points, ellipses in the boxes. For the unit tests, and for work on the
// demo page without a Rust build (`npm run dev:fake -w demo`).

/** A mask's pixels, a byte each. */
type Drawn = { score: number; pixels: Uint8Array };

function failWith(code: string, message: string): never {
  throw Object.assign(new Error(message), { code });
}

/** Counts of what is alive, so that tests can see leaks. */
export const alive = { devices: 0, models: 0, embeddings: 0, videos: 0 };

/** What configurations models were loaded by. */
export const configs: (string | undefined)[] = [];

/** What areas of holes and islands predictions were asked with. */
export const cleanups: [holes: number, sprinkles: number][] = [];

/** What other options everything was looked for with. */
export const generated: WasmGeneratorOptions[] = [];

/** The lengths of the headers that a device was readied for. */
export const warmedUp: number[] = [];

/** Settable by tests: what every encode and decode first awaits. `panic` makes the module panic. */
export const hooks: {
  beforeEncode?: () => Promise<void>;
  beforeDecode?: () => Promise<void>;
  beforeTrack?: (frame: number) => Promise<void>;
  panic?: (message: string) => void;
  /** Ends the device that was opened last. */
  loseDevice?: (code: string) => void;
} = {};

export class Device implements WasmDevice {
  readonly name = "cpu";
  readonly #fault: Promise<Error | undefined>;
  #free = () => {};

  constructor(readonly f16Products: boolean) {
    alive.devices++;
    this.#fault = new Promise((resolve) => {
      this.#free = () => resolve(undefined);
      hooks.loseDevice = (code) => resolve(Object.assign(new Error("The GPU is gone."), { code }));
    });
  }

  static async open(f16Products: boolean): Promise<Device> {
    return new Device(f16Products);
  }

  fault(): Promise<Error | undefined> {
    return this.#fault;
  }

  free(): void {
    alive.devices--;
    this.#free();
  }
}

export class Model implements WasmModel {
  readonly name = "fake";
  readonly version = "2.1";
  readonly warnings: string[] = [];
  readonly parameters = 1_234_567;
  encodes = 0;

  constructor(readonly imageSize = 512) {}

  static async load(
    _device: WasmDevice,
    weights: Uint8Array,
    config?: string,
    imageSize?: number,
  ): Promise<Model> {
    configs.push(config);
    if (weights.length < 8) failWith("WEIGHTS_CORRUPT", "The weights file is cut short. Download it again.");
    alive.models++;
    return new Model(imageSize);
  }

  async setImage(rgba: Uint8Array, width: number, height: number): Promise<WasmEmbedding> {
    await hooks.beforeEncode?.();
    if (rgba.length !== width * height * 4) failWith("INVALID_IMAGE", "The bytes do not fit the size.");
    this.encodes++;
    alive.embeddings++;
    return new Embedding(width, height);
  }

  async restoreImage(
    highRes0: Float32Array,
    highRes1: Float32Array,
    embedding: Float32Array,
    width: number,
    height: number,
  ): Promise<WasmEmbedding> {
    if (highRes0[0] !== 1 || highRes1[0] !== 2 || embedding[0] !== 3)
      failWith("UNSUPPORTED_INPUT", "These are not the features that were saved.");
    alive.embeddings++;
    return new Embedding(width, height);
  }

  openVideo(width: number, height: number, frameCount: number | undefined, options: WasmVideoOptions) {
    alive.videos++;
    return new Video(width, height, frameCount, options);
  }

  free(): void {
    alive.models--;
  }
}

class Embedding implements WasmEmbedding {
  constructor(
    readonly width: number,
    readonly height: number,
  ) {}

  async features(): Promise<[Float32Array, Float32Array, Float32Array]> {
    return [Float32Array.of(1, 1, 1, 1), Float32Array.of(2, 2), Float32Array.of(3)];
  }

  async predictBatch(prompts: WasmPrompt[], ...cleanup: [number, number]): Promise<WasmPrediction[]> {
    cleanups.push(cleanup);
    await hooks.beforeDecode?.();
    return prompts.map((prompt) => this.#predict(prompt));
  }

  /** A disc at each point. Each batch takes the last one of the batch before away. */
  async generate(
    { pointsPerSide = 32, pointsPerBatch = 64, cropNLayers = 0, ...rest }: WasmGeneratorOptions,
    rgba: Uint8Array | undefined,
    found: (batch: WasmFoundMasks) => Promise<boolean>,
  ): Promise<WasmMaskRecord[]> {
    if (pointsPerSide < 1) failWith("UNSUPPORTED_INPUT", "`pointsPerSide` is 0.");
    if (cropNLayers > 0 !== (rgba?.length === this.width * this.height * 4))
      failWith("UNSUPPORTED_INPUT", "the picture does not fit `cropNLayers`");
    generated.push(rest);
    const kept = new Map<number, WasmMaskRecord>();
    const points = pointsPerSide ** 2;
    for (let done = 0; done < points; ) {
      const batch: WasmFoundMasks = { added: [], removed: [], pointsDone: 0, points };
      if (kept.delete(done - 1)) batch.removed.push(done - 1);
      for (const end = Math.min(points, done + pointsPerBatch); done < end; done++) {
        const record = this.#record(done, pointsPerSide);
        kept.set(done, record);
        batch.added.push({ ...record, id: done });
      }
      await hooks.beforeDecode?.();
      if (!(await found({ ...batch, pointsDone: done }))) break;
    }
    return [...kept.values()];
  }

  #record(i: number, perSide: number): WasmMaskRecord {
    const [x, y] = [0, 1].map((axis) => {
      const at = axis ? Math.floor(i / perSide) : i % perSide;
      return ((at + 0.5) / perSide) * (axis ? this.height : this.width);
    }) as [number, number];
    const { score, pixels } = drawMask(this, { points: [{ x, y, label: 1 }] }, 0.1, 0.9);
    const counts = [0];
    const [columns, rows]: [number[], number[]] = [[], []];
    for (let column = 0; column < this.width; column++) {
      for (let row = 0; row < this.height; row++) {
        const on = pixels[row * this.width + column] ?? 0;
        if (on) {
          columns.push(column);
          rows.push(row);
        }
        if (on !== (counts.length - 1) % 2) counts.push(0);
        counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
      }
    }
    const [left, top] = [Math.min(...columns), Math.min(...rows)];
    return {
      counts: Uint32Array.from(counts),
      area: columns.length,
      bbox: [left, top, Math.max(...columns) - left, Math.max(...rows) - top],
      predictedIou: score,
      pointCoords: [x, y],
      stabilityScore: 1,
      cropBox: [0, 0, this.width, this.height],
    };
  }

  free(): void {
    alive.embeddings--;
  }

  #predict(prompt: WasmPrompt): WasmPrediction {
    if (!prompt.points?.length && !prompt.box && !prompt.mask)
      failWith("INVALID_PROMPT", "The prompt is empty. Give points, a box or a mask.");
    const scales = (prompt.multimask ?? true) ? [0.12, 0.2, 0.32] : [0.2];
    const masks = scales.map((scale, index) => {
      const { score, pixels } = drawMask(this, prompt, scale, 0.93 - index * 0.14);
      return { score, logits: Float32Array.from(pixels, (on) => (on ? 4 : -4)), maskLogits: undefined };
    });
    // A low resolution as high as the picture's, so that masks are exact.
    return { objectScore: 4.2, logitsWidth: this.width, logitsHeight: this.height, masks };
  }
}

/** Every object drifts a pixel to the right from frame to frame. */
class Video implements WasmVideo {
  #frame: number | undefined;
  /** By object, then frame. */
  readonly #prompts = new Map<number, Map<number, WasmPrompt | Uint8Array>>();
  readonly #tracked = new Map<number, Set<number>>();

  constructor(
    readonly width: number,
    readonly height: number,
    readonly frameCount: number | undefined,
    readonly options: WasmVideoOptions,
  ) {}

  async setFrame(frame: number, rgba: Uint8Array, width: number, height: number): Promise<void> {
    await hooks.beforeEncode?.();
    if (width !== this.width || height !== this.height || rgba.length !== width * height * 4)
      failWith("FRAME_SIZE_CHANGED", "The frame has another size than the video.");
    this.#frame = frame;
  }

  async prompt(frame: number, object: number, prompt: WasmPrompt, keepPoints: boolean) {
    this.#check(frame);
    if (!prompt.points?.length && !prompt.box) failWith("INVALID_PROMPT", "The prompt is empty.");
    checkPoints(this, prompt);
    const earlier = keepPoints ? this.#prompts.get(object)?.get(frame) : undefined;
    const points = [...((earlier && "points" in earlier && earlier.points) || []), ...(prompt.points ?? [])];
    return this.#add(frame, object, { ...prompt, points });
  }

  async promptMask(frame: number, object: number, mask: Uint8Array) {
    this.#check(frame);
    const isRgba = mask.length === 4 * this.width * this.height;
    return this.#add(frame, object, isRgba ? mask.filter((_, i) => i % 4 === 3) : mask);
  }

  async clearPrompts(frame: number, object: number) {
    this.#prompts.get(object)?.delete(frame);
    return this.#masks(frame);
  }

  async firstFrame() {
    const frames = [...this.#prompts.values()].flatMap((prompts) => [...prompts.keys()]);
    if (!frames.length) failWith("INVALID_PROMPT", "No object has been prompted.");
    return Math.min(...frames);
  }

  async track(frame: number, _backward: boolean) {
    await hooks.beforeTrack?.(frame);
    this.#check(frame);
    if (!this.#prompts.size) failWith("INVALID_PROMPT", "No object has been prompted.");
    for (const object of this.#prompts.keys()) this.#tracked.get(object)?.add(frame);
    return this.#masks(frame);
  }

  async masksAt(frame: number) {
    return this.#masks(frame);
  }

  async removeObject(object: number) {
    const frames = [...(this.#prompts.get(object)?.keys() ?? [])];
    this.#prompts.delete(object);
    this.#tracked.delete(object);
    return this.#prompts.size ? frames.map((frame) => this.#masks(frame)) : [];
  }

  async reset() {
    this.#prompts.clear();
    this.#tracked.clear();
  }

  async memoryUse() {
    return { tensors: 0, deviceBytes: 0, hostBytes: 0 };
  }

  free(): void {
    alive.videos--;
  }

  #check(frame: number): void {
    if (this.#frame !== frame) failWith("FRAME_GONE", `The frame ${frame} is not at hand.`);
  }

  #add(frame: number, object: number, prompt: WasmPrompt | Uint8Array): WasmFrameMasks {
    if (!this.#prompts.has(object)) {
      this.#prompts.set(object, new Map());
      this.#tracked.set(object, new Set());
    }
    this.#prompts.get(object)?.set(frame, prompt);
    return this.#masks(frame);
  }

  #masks(frame: number): WasmFrameMasks {
    const masks = [...this.#prompts].map(([object, prompts]): WasmVideoMask => {
      const known = prompts.has(frame) || this.#tracked.get(object)?.has(frame);
      const from = [...prompts.keys()].reduce(
        (a, b) => (Math.abs(b - frame) < Math.abs(a - frame) ? b : a),
        Number.POSITIVE_INFINITY,
      );
      const prompt = prompts.get(from);
      const drift = frame - from;
      const mask =
        !known || !prompt
          ? paint(this, () => false, 0)
          : prompt instanceof Uint8Array
            ? paint(this, (x, y) => x >= drift && !!prompt[y * this.width + x - drift], 0.9)
            : drawMask(this, prompt, 0.2, 0.9, drift);
      const bits = new Uint8Array(Math.ceil(mask.pixels.length / 8));
      for (const [i, on] of mask.pixels.entries()) bits[i >> 3] = (bits[i >> 3] ?? 0) | (on << (i & 7));
      const logits = new Float32Array(64 * 64).fill(-4);
      return { object, objectScore: known ? 4.2 : undefined, score: mask.score, bits, logits };
    });
    return { frame, masks };
  }
}

type Size = { width: number; height: number };

function checkPoints({ width, height }: Size, { points = [] }: WasmPrompt): void {
  for (const { x, y } of points) {
    if (!(x >= 0 && y >= 0 && x <= width && y <= height)) {
      failWith("INVALID_PROMPT", `The point (${x}, ${y}) is outside the picture (${width} x ${height}).`);
    }
  }
}

function drawMask(size: Size, prompt: WasmPrompt, scale: number, score: number, drift = 0): Drawn {
  checkPoints(size, prompt);
  const { points = [], box } = prompt;
  const radius = Math.min(size.width, size.height) * scale;
  const inDisc = (x: number, y: number, label: number, r: number) =>
    points.some((point) => point.label === label && (x - point.x) ** 2 + (y - point.y) ** 2 < r * r);
  const inBox = (x: number, y: number) => {
    if (!box) return false;
    const [x0, y0, x1, y1] = box;
    return ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 < 1;
  };
  return paint(
    size,
    (x, y) =>
      (inDisc(x - drift, y, 1, radius) || inBox(x - drift, y)) && !inDisc(x - drift, y, 0, radius / 2),
    score,
  );
}

function paint({ width, height }: Size, inside: (x: number, y: number) => boolean, score: number): Drawn {
  const pixels = Uint8Array.from({ length: width * height }, (_, i) =>
    Number(inside(i % width, Math.floor(i / width))),
  );
  return { score, pixels };
}

async function warmUp(_device: WasmDevice, header: Uint8Array): Promise<boolean> {
  warmedUp.push(header.length);
  return true;
}

async function init(): Promise<{ memory?: WebAssembly.Memory }> {
  return {};
}

export function setPanicHandler(handler: (message: string) => void): void {
  hooks.panic = handler;
}

export const fakeWasm: WasmModule = { init, Device, Model, setPanicHandler, warmUp };

export default function newInstance(): WasmModule {
  return fakeWasm;
}
