import type { Box } from "./mask/types.js";
import type { WasmBase, WasmDevice } from "./wasm-module.js";

/** The detector's wasm (`owlv2-web`). Both builds (cpu, webgpu) are the same crate, so they share this face. */
export interface WasmDetectorModule extends WasmBase {
  Detector: {
    /** Without `merges`, the vocabulary, it takes no words. `config` is transformers' config.json. */
    load(
      device: WasmDevice,
      weights: Uint8Array,
      merges?: Uint8Array,
      config?: string,
      imageSize?: number,
    ): Promise<WasmDetector>;
  };
}

export interface WasmDetector {
  readonly imageSize: number;
  readonly parameters: number;
  /** Whether it takes words. */
  readonly hasText: boolean;
  setImage(rgba: Uint8Array, width: number, height: number): Promise<WasmDetectorImage>;
  free(): void;
}

export interface WasmDetectorImage {
  find(labels: string[], options: WasmFindOptions): Promise<WasmDetection[]>;
  findLike(
    x0: number,
    y0: number,
    x1: number,
    y1: number,
    options: WasmFindOptions,
  ): Promise<WasmDetection[]>;
  free(): void;
}

/** What is left out is as by default. */
export interface WasmFindOptions {
  threshold?: number;
  nmsThreshold?: number;
  perLabel?: number;
  max?: number;
}

export interface WasmDetection {
  /** Index of the label; 0 of an example. */
  label: number;
  score: number;
  box: Box;
}
