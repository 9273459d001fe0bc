import type { Found } from "./batch-search.js";
import type { Cut } from "./cutout/cut.js";
import type { PlainError } from "./errors.js";
import type { Box } from "./mask/types.js";
import type { Part } from "./mask/upscale.js";
import type { ModelConfig, ModelInfo, Precision, Progress } from "./types.js";
import type {
  WasmFrameMasks,
  WasmGeneratorOptions,
  WasmMemoryUse,
  WasmPrediction,
  WasmPrompt,
  WasmVideoOptions,
} from "./wasm-module.js";
import type { Store } from "./weights-store.js";

/** RGBA bytes, four a pixel, alpha not premultiplied. (Not `ImageData`, so that it can be made anywhere.) */
export interface RawPicture {
  data: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

/** The forms in which a picture reaches the engine. */
export type Picture = RawPicture | ImageBitmap | Blob;

/** The forms in which a video's frame does. */
export type FramePicture = RawPicture | ImageBitmap | VideoFrame;

/** A model's file by its address. */
export interface RemoteWeights {
  url: string;
  /** In hexadecimal, where it is known. */
  sha256?: string;
  store: Store;
  /** Whether a download is kept there. What is there is used in any case. */
  keep: boolean;
  /** What the request for it has besides. */
  request?: RequestInit;
  /** The file, where it has been downloaded already. */
  bytes?: ArrayBuffer;
}

export type WeightsSource = RemoteWeights | Blob | ArrayBuffer;

/** The calls that every engine answers. */
export interface CoreCalls {
  /** Answers once the engine has stopped for good, with the reason. */
  lost: { args: object; result: PlainError };
  /** After a load that failed: the file that was downloaded for it. Answers also when the engine has stopped. */
  takeWeights: { args: object; result: ArrayBuffer | undefined };
}

/** The engine's calls: the same whether it lives in a worker or on this thread. */
export interface Calls extends CoreCalls {
  load: {
    /** `wasmUrl` is of the module itself, where it is not beside its script. */
    args: { weights: WeightsSource; precision: Precision; wasmUrl?: string } & ModelConfig;
    result: ModelInfo & {
      device: string;
      precision: Precision;
      warnings: string[];
      notKept?: PlainError;
    };
  };
  setImage: {
    args: { picture: Picture };
    result: MadeImage;
  };
  /** An image's features as a file. */
  saveImage: { args: { image: number }; result: Blob };
  /** `picture` is what the features are of, for what needs its pixels. */
  restoreImage: { args: { file: Blob; picture?: Picture }; result: MadeImage };
  predict: {
    args: { image: number; prompts: WasmPrompt[]; maxHoleArea: number; maxSprinkleArea: number };
    result: { predictions: WasmPrediction[]; decodeMs: number };
  };
  /** The mask again, on the part of the image's picture around it. */
  refine: {
    args: { image: number; bits: Uint8Array; box: Box };
    result: { prediction: WasmPrediction; part: Part; refineMs: number };
  };
  /** An image's picture. */
  pixels: { args: { image: number }; result: RawPicture };
  /** A mask's pixels of an image's picture, or of another one. */
  cutout: { args: ({ image: number } | { picture: FramePicture }) & { cut: Cut }; result: Blob };
  /** Begins to look for everything in the picture. */
  generate: { args: { image: number; options: WasmGeneratorOptions }; result: { search: number } };
  /** The next batch, or all records where it was the last. */
  nextFound: { args: { search: number }; result: Found };
  endSearch: { args: { search: number }; result: undefined };
  release: { args: { image: number }; result: undefined };
  openVideo: {
    args: { width: number; height: number; frameCount: number | undefined; options: WasmVideoOptions };
    result: { video: number };
  };
  promptVideo: { args: OnFrame & ObjectPrompt; result: WasmFrameMasks };
  track: { args: OnFrame & { backward: boolean }; result: WasmFrameMasks };
  clearPrompts: { args: { video: number; frame: number; object: number }; result: WasmFrameMasks };
  /** Where tracking begins unless it is told. */
  firstFrame: { args: { video: number }; result: number };
  masksAt: { args: { video: number; frame: number }; result: WasmFrameMasks };
  removeObject: { args: { video: number; object: number }; result: WasmFrameMasks[] };
  resetVideo: { args: { video: number }; result: undefined };
  memoryUse: { args: { video: number }; result: WasmMemoryUse };
  closeVideo: { args: { video: number }; result: undefined };
}

/** An image that the engine holds. */
export interface MadeImage {
  image: number;
  width: number;
  height: number;
  /** Side of the square of logits that a mask prompt is. */
  logitsSide: number;
  /** 0 where it was not encoded but restored. */
  encodeMs: number;
  encodes: number;
}

/** A call that works on a frame. Its picture is left out where the engine's last call was on the same frame. */
export interface OnFrame {
  video: number;
  frame: number;
  picture?: FramePicture;
}

/** Points and a box, or a mask of a byte a pixel. */
export type ObjectPrompt = { object: number } & (
  | { prompt: WasmPrompt; keepPoints: boolean }
  | { mask: Uint8Array<ArrayBuffer> }
);

export type Method = keyof Calls;

/** Calls by name: what they take and give. */
export type CallTable<M extends string = string> = Record<M, { args: unknown; result: unknown }>;

export interface CallContext {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** Page to worker. */
export type Request = { id: number; method: string; args: unknown } | { id: number; abort: true };

/** Worker to page. */
export type Reply =
  | { id: number; result: unknown }
  | { id: number; error: PlainError }
  | { id: number; progress: Progress };

/** A way to the engine, or to another answerer of calls. */
export interface Connection<C extends CallTable<keyof C & string> = Calls> {
  call<M extends keyof C & string>(
    method: M,
    args: C[M]["args"],
    context?: CallContext,
    transfer?: Transferable[],
  ): Promise<C[M]["result"]>;
  /** Frees everything. Calls made afterwards, and those still under way, never answer. */
  close(): void;
}
