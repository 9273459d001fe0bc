/** A picture the model can look at. Pixels are read as sRGB; EXIF orientation is applied; alpha is ignored. */
export type PictureSource =
  | ImageData
  | ImageBitmap
  | Blob
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLImageElement
  | HTMLVideoElement
  | VideoFrame;

/**
 * The models known by name. `nano` comes with the package; the others are Meta's SAM 2.1 checkpoints
 * (tiny 156 MB, small 184 MB, base-plus 324 MB, large 898 MB), fetched on first use.
 */
export type ModelName = "nano" | "tiny" | "small" | "base-plus" | "large";

/** Where the network runs. `auto` takes WebGPU on a real GPU and the CPU otherwise. */
export type Device = "auto" | "webgpu" | "cpu";

/** A step of {@link Sam2.load}. `loaded` and `total` are bytes while downloading, and 0 or 1 in the other phases. */
export interface Progress {
  phase: "download" | "verify" | "compile" | "upload" | "ready";
  loaded: number;
  /** 0 when the server does not say. */
  total: number;
}

export interface LoadOptions {
  /**
   * A name, a URL, or the file itself: `.safetensors` (official or transformers names) or Meta's `.pt`.
   * A string that is no model name is a URL, relative to the page. Default `"nano"`.
   */
  model?: ModelName | (string & {}) | URL | Blob | ArrayBuffer;
  /** Default `"auto"`. */
  device?: Device;
  /** Your own copies of the named models: `tiny` is then fetched from `${baseUrl}/tiny.safetensors`. */
  baseUrl?: string | URL;
  /**
   * Whether a download is kept for the next visit. Default: `"cache-api"` for the models fetched by name,
   * `"none"` (so only the browser's HTTP cache) for your own URLs.
   */
  cache?: "cache-api" | "none";
  /** Run in a worker, so that the page never stalls. Default true; false runs on the calling thread. */
  worker?: boolean;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

export interface SetImageOptions {
  signal?: AbortSignal;
  /** Hand over an `ImageBitmap` or `ImageData` instead of copying it; yours is empty afterwards. Default false. */
  transfer?: boolean;
}

/** A click, in picture pixels from the top left corner. */
export interface Point {
  x: number;
  y: number;
  /** 1: on the object. 0: not on it. */
  label: 0 | 1;
}

/** `[x0, y0, x1, y1]` in picture pixels: left, top, right, bottom. */
export type Box = [x0: number, y0: number, x1: number, y1: number];

/** What to segment: points, a box, an earlier mask, or any of them together. */
export interface Prompt {
  points?: readonly Point[];
  box?: Readonly<Box>;
  /** An earlier mask's {@link Mask.logits}, to refine it. */
  mask?: Float32Array;
  /** Three candidate masks (true, best for a single click) or one (false, best for several prompts). Default true. */
  multimask?: boolean;
}

export interface PredictOptions {
  signal?: AbortSignal;
}

/** A mask in COCO's compressed run-length form. */
export interface Rle {
  /** Height, then width, in pixels. */
  size: [height: number, width: number];
  counts: string;
}

export interface ModelInfo {
  /** Variant found in the weights, such as `"tiny"`. */
  name: string;
  /** `"2.1"` or `"2.0"`. */
  version: string;
  /** Side in pixels of the square the network sees a picture as. */
  imageSize: number;
  /** Number of weights. */
  parameters: number;
}
