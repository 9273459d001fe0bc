import type { WasmEmbedding, WasmModel, WasmModule, WasmPrediction, WasmPrompt } from "../src/wasm-module.js";

// Stands in for the wasm build: discs around the points, ellipses in the boxes. For the unit tests, and for work on the
// demo page without a Rust build (`npm run dev:fake -w demo`).

const LOGITS_SIZE = 64;

function failWith(code: string, message: string): never {
  throw Object.assign(new Error(message), { code });
}

/** Counts of what is alive, so that tests can see leaks. */
export const alive = { models: 0, embeddings: 0 };

/** Settable by tests: what every encode and decode first awaits. `panic` makes the module panic. */
export const hooks: {
  beforeEncode?: () => Promise<void>;
  beforeDecode?: () => Promise<void>;
  panic?: (message: string) => void;
} = {};

export class Model implements WasmModel {
  readonly name = "fake";
  readonly version = "2.1";
  readonly imageSize = 512;
  readonly parameters = 1_234_567;
  readonly device = "cpu";
  encodes = 0;

  static async load(weights: Uint8Array): Promise<Model> {
    if (weights.length < 8) failWith("WEIGHTS_CORRUPT", "The weights file is cut short. Download it again.");
    alive.models++;
    return new Model();
  }

  async setImage(rgba: Uint8Array, width: number, height: number): Promise<WasmEmbedding> {
    await hooks.beforeEncode?.();
    if (rgba.length !== width * height * 4) failWith("INVALID_IMAGE", "The bytes do not fit the size.");
    this.encodes++;
    alive.embeddings++;
    return new Embedding(width, height);
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

  async predictBatch(prompts: WasmPrompt[]): Promise<WasmPrediction[]> {
    await hooks.beforeDecode?.();
    return prompts.map((prompt) => this.#predict(prompt));
  }

  free(): void {
    alive.embeddings--;
  }

  #predict({ points = [], box, mask, multimask = true }: WasmPrompt): WasmPrediction {
    if (!points.length && !box && !mask)
      failWith("INVALID_PROMPT", "The prompt is empty. Give points, a box or a mask.");
    for (const { x, y } of points) {
      if (!(x >= 0 && y >= 0 && x <= this.width && y <= this.height)) {
        failWith(
          "INVALID_PROMPT",
          `The point (${x}, ${y}) is outside the picture (${this.width} x ${this.height}).`,
        );
      }
    }
    const scales = multimask ? [0.12, 0.2, 0.32] : [0.2];
    const masks = scales.map((scale, index) => {
      const radius = Math.min(this.width, this.height) * scale;
      const inDisc = (x: number, y: number, label: number, r: number) =>
        points.some((point) => point.label === label && (x - point.x) ** 2 + (y - point.y) ** 2 < r * r);
      const inBox = (x: number, y: number) => {
        if (!box) return false;
        const [x0, y0, x1, y1] = box;
        return ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 < 1;
      };
      return this.#mask(
        (x, y) => (inDisc(x, y, 1, radius) || inBox(x, y)) && !inDisc(x, y, 0, radius / 2),
        0.93 - index * 0.14,
      );
    });
    return { objectScore: 4.2, logitsWidth: LOGITS_SIZE, logitsHeight: LOGITS_SIZE, masks };
  }

  #mask(inside: (x: number, y: number) => boolean, score: number): WasmPrediction["masks"][number] {
    const { width, height } = this;
    const bits = new Uint8Array(Math.ceil((width * height) / 8));
    let [x0, y0, x1, y1, area] = [width, height, -1, -1, 0];
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!inside(x, y)) continue;
        bits[i >> 3] = (bits[i >> 3] ?? 0) | (1 << (i & 7));
        [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
        area++;
      }
    }
    const logits = new Float32Array(LOGITS_SIZE * LOGITS_SIZE).fill(-4);
    return { score, area, box: area ? [x0, y0, x1, y1] : null, bits, logits };
  }
}

export function maskToRle(bits: Uint8Array, width: number, height: number): string {
  return `${bits.length}:${width}x${height}`;
}

export default async function init(): Promise<{ memory?: WebAssembly.Memory }> {
  return {};
}

export function setPanicHandler(handler: (message: string) => void): void {
  hooks.panic = handler;
}

export const fakeWasm: WasmModule = { default: init, Model, setPanicHandler, maskToRle };
