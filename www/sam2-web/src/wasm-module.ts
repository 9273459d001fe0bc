/** What a wasm build exports. Both builds (cpu, webgpu) are the same crate, so they share this face. */
export interface WasmModule {
  default(options?: { module_or_path: URL | string }): Promise<{ memory?: WebAssembly.Memory }>;
  Model: { load(weights: Uint8Array, config?: string): Promise<WasmModel> };
  /** Called once if the module panics; nothing under way will settle after that. */
  setPanicHandler(handler: (message: string) => void): void;
  /** COCO's compressed counts of a mask of one bit a pixel. */
  maskToRle(bits: Uint8Array, width: number, height: number): string;
}

export interface WasmModel {
  readonly name: string;
  readonly version: string;
  readonly imageSize: number;
  readonly parameters: number;
  /** "cpu", or the adapter's description. */
  readonly device: string;
  /** How many pictures have been encoded. */
  readonly encodes: number;
  setImage(rgba: Uint8Array, width: number, height: number): Promise<WasmEmbedding>;
  free(): void;
}

export interface WasmEmbedding {
  readonly width: number;
  readonly height: number;
  predictBatch(prompts: WasmPrompt[]): Promise<WasmPrediction[]>;
  free(): void;
}

export interface WasmPrompt {
  points?: { x: number; y: number; label: number }[];
  box?: [number, number, number, number];
  mask?: Float32Array;
  multimask?: boolean;
}

export interface WasmPrediction {
  objectScore: number;
  logitsWidth: number;
  logitsHeight: number;
  masks: {
    score: number;
    area: number;
    box: [number, number, number, number] | null;
    bits: Uint8Array;
    logits: Float32Array;
  }[];
}
