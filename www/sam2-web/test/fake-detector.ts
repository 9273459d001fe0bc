import type {
  WasmDetection,
  WasmDetector,
  WasmDetectorImage,
  WasmDetectorModule,
  WasmFindOptions,
} from "../src/wasm-detector.js";
import { Device } from "./fake-wasm.js";

// Stands in for the detector's wasm: of each label, boxes in a row, as many as it has letters, with falling scores.

function failWith(code: string, message: string): never {
  throw Object.assign(new Error(message), { code });
}

/** What the detector was asked, and what of it is alive. */
export const detector = {
  detectors: 0,
  images: 0,
  encodes: 0,
  asked: [] as { query: string[] | number[]; options: WasmFindOptions }[],
  loaded: [] as {
    bytes: number;
    merges: number;
    config: string | undefined;
    imageSize: number | undefined;
  }[],
  panic: (_message: string) => {},
};

class FakeDetector implements WasmDetector {
  readonly parameters = 1234;
  readonly hasText = true;

  constructor(readonly imageSize: number) {
    detector.detectors++;
  }

  async setImage(rgba: Uint8Array, width: number, height: number): Promise<WasmDetectorImage> {
    if (rgba.length !== width * height * 4) failWith("INVALID_IMAGE", "The bytes do not fit the size.");
    detector.encodes++;
    detector.images++;
    return new Image();
  }

  free(): void {
    detector.detectors--;
  }
}

class Image implements WasmDetectorImage {
  async find(labels: string[], options: WasmFindOptions): Promise<WasmDetection[]> {
    detector.asked.push({ query: labels, options });
    const empty = labels.findIndex((label) => !label.trim());
    if (!labels.length || empty >= 0) failWith("INVALID_PROMPT", `label ${empty} is empty`);
    return labels
      .flatMap((label, index) =>
        Array.from(
          label,
          (_, i): WasmDetection => ({ label: index, score: 0.9 - i / 50, box: [i, 0, i + 8, 8] }),
        ),
      )
      .slice(0, options.max);
  }

  async findLike(x0: number, y0: number, x1: number, y1: number, options: WasmFindOptions) {
    detector.asked.push({ query: [x0, y0, x1, y1], options });
    if (x1 <= x0) failWith("INVALID_PROMPT", "the example's box is empty");
    return [{ label: 0, score: 0.8, box: [x0, y0, x1, y1] } as WasmDetection];
  }

  free(): void {
    detector.images--;
  }
}

export const fakeDetector: WasmDetectorModule = {
  init: async () => ({}),
  Device,
  Detector: {
    async load(_device, weights, merges, config, imageSize) {
      detector.loaded.push({ bytes: weights.length, merges: merges?.length ?? 0, config, imageSize });
      if (weights.length < 8) failWith("WEIGHTS_UNSUPPORTED", "this is not a detector");
      return new FakeDetector(imageSize ?? 480);
    },
  },
  setPanicHandler(handler) {
    detector.panic = handler;
  },
};
