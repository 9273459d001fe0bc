import type { Features } from "./embedding-file.js";
import type { GenerateOptions, MaskRecordFields } from "./types.js";

/** What every wasm module has (`sam2-wasm`): an instance of it, with memory of its own. */
export interface WasmBase {
  /** Comes before all else. */
  init(options?: {
    module_or_path: string | Uint8Array<ArrayBuffer>;
  }): Promise<{ memory?: WebAssembly.Memory }>;
  Device: {
    /** @param f16Products - whether matrices are to be multiplied in f16 where the device can. */
    open(f16Products: boolean): Promise<WasmDevice>;
  };
  /** Called once if the module panics; nothing under way will settle after that. */
  setPanicHandler(handler: (message: string) => void): void;
}

/** SAM 2's. Both builds (cpu, webgpu) are the same crate, so they share this face. */
export interface WasmModule extends WasmBase {
  /** Makes a GPU's pipelines for the safetensors file that begins so. */
  warmUp(device: WasmDevice, header: Uint8Array): Promise<boolean>;
  Model: {
    /** `config` is a variant's name or JSON; `imageSize` is the side of the network's square, where it is another. */
    load(device: WasmDevice, weights: Uint8Array, config?: string, imageSize?: number): Promise<WasmModel>;
  };
}

export interface WasmDevice {
  /** "cpu", or the adapter's description. */
  readonly name: string;
  /** Whether matrices are multiplied in f16. */
  readonly f16Products: boolean;
  /** Resolves when nothing can be computed on it any more, or to nothing when it is freed before. */
  fault(): Promise<Error | undefined>;
  free(): void;
}

export interface WasmModel {
  readonly name: string;
  readonly version: string;
  readonly imageSize: number;
  readonly parameters: number;
  /** What was passed over in the file, or chosen of it. */
  readonly warnings?: string[];
  /** How many pictures have been encoded. */
  readonly encodes: number;
  setImage(rgba: Uint8Array, width: number, height: number): Promise<WasmEmbedding>;
  /** From the features that another embedding of the same network gave. */
  restoreImage(
    highRes0: Float32Array,
    highRes1: Float32Array,
    embedding: Float32Array,
    width: number,
    height: number,
  ): Promise<WasmEmbedding>;
  /** `frameCount` is of a file; a stream has none. */
  openVideo(
    width: number,
    height: number,
    frameCount: number | undefined,
    options: WasmVideoOptions,
  ): WasmVideo;
  free(): void;
}

/** Calls work on the frame set last, and only one at a time. */
export interface WasmVideo {
  /** Encodes a frame, unless it is the one at hand. */
  setFrame(frame: number, rgba: Uint8Array, width: number, height: number): Promise<void>;
  prompt(frame: number, object: number, prompt: WasmPrompt, keepPoints: boolean): Promise<WasmFrameMasks>;
  /** A byte a pixel, or RGBA; the object is where a value is at least half of the largest. */
  promptMask(frame: number, object: number, mask: Uint8Array): Promise<WasmFrameMasks>;
  clearPrompts(frame: number, object: number): Promise<WasmFrameMasks>;
  /** Where tracking begins unless it is told: the first prompted frame. */
  firstFrame(): Promise<number>;
  track(frame: number, backward: boolean): Promise<WasmFrameMasks>;
  masksAt(frame: number): Promise<WasmFrameMasks>;
  removeObject(object: number): Promise<WasmFrameMasks[]>;
  reset(): Promise<void>;
  memoryUse(): Promise<WasmMemoryUse>;
  free(): void;
}

export interface WasmVideoOptions {
  nonOverlapping: boolean;
  fillHoles: number;
  memoryStride: number;
  maxConditioningFrames: number;
  officialCorrections: boolean;
  /** What compressed masks of past frames may take. */
  pastMaskBytes: number;
}

/** Masks of all objects on a frame, in the order in which the objects were added. */
export interface WasmFrameMasks {
  frame: number;
  masks: WasmVideoMask[];
}

/** What a video holds besides the network. */
export interface WasmMemoryUse {
  /** On the device. */
  tensors: number;
  deviceBytes: number;
  /** In the wasm's own memory. */
  hostBytes: number;
}

export interface WasmVideoMask {
  object: number;
  /** None where the object has no answer on the frame. */
  objectScore: number | undefined;
  score: number;
  /** One a pixel, row by row, the first in the lowest bit of the first byte. */
  bits: Uint8Array;
  /** Within ±32; empty where only the mask is left. */
  logits: Float32Array;
}

export interface WasmEmbedding {
  readonly width: number;
  readonly height: number;
  /** What prompts read, at strides of 4, 8 and 16. */
  features(): Promise<Features>;
  /** The areas are of the mask's regions that are changed, in low-resolution pixels. */
  predictBatch(
    prompts: WasmPrompt[],
    maxHoleArea: number,
    maxSprinkleArea: number,
  ): Promise<WasmPrediction[]>;
  /**
   * The masks of everything in the picture, whose pixels are needed only for `cropNLayers`. `found` is called after each
   * batch of points and waited for; with false it ends the search.
   */
  generate(
    options: WasmGeneratorOptions,
    rgba: Uint8Array | undefined,
    found: (batch: WasmFoundMasks) => Promise<boolean>,
  ): Promise<WasmMaskRecord[]>;
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
  masks: WasmLowResMask[];
}

/** A mask at low resolution. */
export interface WasmLowResMask {
  score: number;
  /** Within ±32. */
  logits: Float32Array;
  /** What masks are made of, where it differs from `logits`. */
  maskLogits: Float32Array | undefined;
}

/** As of the official `SAM2AutomaticMaskGenerator`; what is left out is as there by default. */
export type WasmGeneratorOptions = Omit<GenerateOptions, "signal" | "onProgress">;

export interface WasmMaskRecord extends MaskRecordFields {
  /** COCO's run lengths of the picture's size. */
  counts: Uint32Array;
}

export interface WasmFoundMasks {
  added: (WasmMaskRecord & { id: number })[];
  /** Ids of earlier ones that went. */
  removed: number[];
  pointsDone: number;
  points: number;
}
