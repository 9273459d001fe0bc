import type { Addresses } from "./address.js";
import type { Box } from "./mask/types.js";
import type { Mask } from "./mask.js";

export type { Box, Polygon, Ring, Rle, UncompressedRle } from "./mask/types.js";

/** A picture the model can look at. Pixels are read as sRGB; EXIF orientation is applied; what is transparent lies on grey. */
export type PictureSource =
  | ImageData
  | Pick<ImageData, "data" | "width" | "height">
  | ImageBitmap
  | Blob
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLImageElement
  | HTMLVideoElement
  | VideoFrame;

/**
 * The models known by name. `nano` is the package `sam2-web-nano`, to be imported where it is loaded; the others are Meta's checkpoints,
 * fetched on first use: EdgeTAM (56 MB), and SAM 2.1 (tiny 156 MB, small 184 MB, base-plus 324 MB, large 898 MB).
 */
export type ModelName = "nano" | "edgetam" | "tiny" | "small" | "base-plus" | "large";

/** Where the network runs. `auto` takes WebGPU on a real GPU and the CPU otherwise. */
export type Device = "auto" | "webgpu" | "cpu";

/** What matrices are multiplied in. */
export type Precision = "f32" | "f16";

/** A step of {@link Sam2.load}. `loaded` and `total` are bytes while downloading, and 0 or 1 in the other phases. */
export interface Progress {
  phase: "download" | "verify" | "compile" | "upload" | "ready";
  loaded: number;
  /** 0 when the server does not say. */
  total: number;
}

/** A file of weights, or an index of such files. */
export type ModelFile = Blob | ArrayBuffer;

export interface LoadOptions {
  /**
   * A name, a URL, or the file itself: `.safetensors` (official or transformers names) or Meta's `.pt`.
   * A string that is no model name is a URL, relative to the page. A checkpoint in several `.safetensors` files is an array
   * of them, with its index if there is one. Default `"nano"`.
   */
  model?: ModelName | (string & {}) | URL | ModelFile | readonly ModelFile[];
  /** Default `"auto"`. */
  device?: Device;
  /**
   * `"f16"` multiplies matrices in half precision on a real GPU that can (`shader-f16`): `nano`'s logits are then within a
   * thousandth of the largest, after a memory step within a hundredth. {@link Sam2.precision} tells whether it does.
   * Default `"f32"`: as the official code.
   */
  precision?: Precision;
  /**
   * How the network is built, where the file does not say and its tensors do not show: a variant's name (`"tiny"`, …), or
   * the official configuration: the text of its YAML or JSON, or that as an object.
   */
  config?: string | object;
  /**
   * Side in pixels of the square that pictures are resized to, where it is another than the model's own: such as that of a
   * model fine-tuned at 512, or a smaller one for a slow device.
   */
  imageSize?: number;
  /** Your own copies of the named models: `tiny` is then fetched from `${baseUrl}/tiny.safetensors`. */
  baseUrl?: string | URL;
  /**
   * Where a download is kept for the next visit, once it has loaded: in the origin private file system (`"opfs"`), by the
   * Cache API (`"cache-api"`), in the first of them that the browser has (`"auto"`), or nowhere (`"none"`: only in the
   * browser's HTTP cache). Default: `"auto"` for the models fetched by name; your own URLs, and `nano`, are not kept, but
   * found where {@link Sam2.preload} has kept them. A download that was cut goes on where it ended, also on a later visit
   * if it is kept.
   */
  cache?: "auto" | "opfs" | "cache-api" | "none";
  /**
   * Run in a worker, so that the page never stalls; false runs on the calling thread. Default true, where there are web
   * workers (in Node there are none).
   */
  worker?: boolean;
  /**
   * Where the package's workers are, if the bundler does not know: the folder that has `worker-cpu.js`, `worker-webgpu.js`,
   * `worker-picture.js` and `worker-video.js`, such as the package's `dist`, or the address of each. Default: as the bundler has placed them, or
   * beside this script. Workers of another origin are started by a script of the page's own (a `blob:`, which a policy
   * must allow).
   */
  workerUrl?: Addresses<"cpu" | "webgpu" | "picture" | "video">;
  /**
   * Where the wasm modules are, if not where the worker's script expects them: the folder that has
   * `cpu/sam2_web_bg.wasm` and `webgpu/sam2_web_bg.wasm`, such as the package's `wasm`, or the address of each.
   */
  wasmUrl?: Addresses<"cpu" | "webgpu">;
  /**
   * Fetches the model's file, in place of the global `fetch`. It is called on the calling thread, with an address, and a
   * signal and headers (such as `Range`) to be passed on.
   */
  fetch?: typeof fetch;
  /** What requests for the model's file have besides: `headers`, `credentials` and so on. */
  requestInit?: Omit<RequestInit, "body" | "method" | "signal" | "window">;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

/** How a file is to be loaded. @internal */
export interface ModelConfig {
  /** A variant's name, or JSON. */
  config?: string;
  imageSize?: number;
}

export type PreloadOptions = Pick<
  LoadOptions,
  "model" | "baseUrl" | "cache" | "fetch" | "requestInit" | "onProgress" | "signal"
>;

export interface ReadPictureOptions {
  /**
   * The values that become black and white, of a file of more than 8 bits, such as `[0, 4095]` of a camera of 12 bits.
   * Default: integers of up to 16 bits from 0 to all bits that the largest one uses, others from 0, or the smallest below,
   * to the largest. A picture of 8 bits is as it is.
   */
  range?: readonly [low: number, high: number];
}

export interface SetImageOptions extends ReadPictureOptions {
  signal?: AbortSignal;
  /** Hand over an `ImageBitmap` or `ImageData` instead of copying it; yours is empty afterwards. Default false. */
  transfer?: boolean;
  /**
   * Gives the picture once more, for {@link Sam2.reload}. Needed only for what does not keep its picture: what was handed
   * over, a canvas, a `<video>`, a `VideoFrame`. All else is held on to until the embedding is disposed of.
   */
  again?: () => PictureSource | Promise<PictureSource>;
}

export interface RestoreImageOptions extends ReadPictureOptions {
  signal?: AbortSignal;
  /** The picture, for what needs its pixels: cut-outs, {@link ImageEmbedding.refine}, and `cropNLayers`. */
  picture?: PictureSource;
}

export interface ReloadOptions {
  /** Another device than at first, such as `"cpu"` where the GPU has too little memory. */
  device?: Device;
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

/** Options of {@link Sam2.loadDetector}; those of the same name are as {@link LoadOptions} has them. */
export interface LoadDetectorOptions
  extends Pick<
    LoadOptions,
    | "device"
    | "precision"
    | "imageSize"
    | "cache"
    | "worker"
    | "workerUrl"
    | "wasmUrl"
    | "fetch"
    | "requestInit"
    | "onProgress"
    | "signal"
  > {
  /**
   * OWLv2's file, as a URL (relative to the page) or the file itself: transformers' `model.safetensors` or
   * `pytorch_model.bin`. There is no default.
   */
  model: string | URL | ModelFile;
  /** Its vocabulary, `merges.txt`. Default: the one beside the model's URL. */
  vocabulary?: string | URL | ModelFile;
  /** transformers' config.json, as its text or an object, where neither the file nor its tensors tell. */
  config?: string | object;
}

export interface DetectorInfo {
  /** Side in pixels of the square the network sees a picture as. */
  imageSize: number;
  /** Number of weights. */
  parameters: number;
}

/** Options of {@link ImageEmbedding.find} and {@link ImageEmbedding.findLike}. */
export interface FindOptions {
  /** Objects whose score is not over this are left out; from 0 to 1. Default 0.1. */
  threshold?: number;
  /** Of boxes of one label whose IoU is over this, only the best stays; from 0 to 1. Default 0.5. */
  nmsThreshold?: number;
  /** At most so many of each label. Default 100. */
  perLabel?: number;
  /** At most so many in all. Default 300. */
  max?: number;
  signal?: AbortSignal;
}

export interface FindLikeOptions extends FindOptions {
  /** The label of what is found. Default `""`. */
  label?: string;
}

/** A click, in picture pixels from the top left corner. */
export interface Point {
  x: number;
  y: number;
  /** 1: on the object. 0: not on it. */
  label: 0 | 1;
}

/** What to segment: points, a box, an earlier mask, or any of them together. */
export interface Prompt {
  points?: readonly Point[];
  box?: Readonly<Box>;
  /** An earlier mask's {@link PredictedMask.logits}, to refine it; or any mask of the picture's size, to go on from it. */
  mask?: Float32Array | Mask;
  /** Three candidate masks (true, best for a single click) or one (false, best for several prompts). Default true. */
  multimask?: boolean;
}

export interface PredictOptions {
  signal?: AbortSignal;
}

/** As the official predictor's options of these names. The masks' `logits` stay the network's own. */
export interface MaskOptions extends PredictOptions {
  /** Holes in a mask of at most so many pixels of its `logits` are filled. Default 0: none. */
  maxHoleArea?: number;
  /** Islands of at most so many pixels of its `logits` are taken away. Default 0: none. */
  maxSprinkleArea?: number;
  /**
   * How large the masks are: as the picture (default), or as the network's logits, for a preview that is drawn stretched
   * over the picture.
   */
  size?: "picture" | "logits";
}

/** The soft edge of a cut-out. */
export interface SoftEdge {
  /**
   * How far from the mask's edge the cut-out may be partly transparent, to both sides, in pixels: at least the length of the
   * hair, or how far the mask is off. From 1 to 500; default: a fiftieth of the picture's longer side.
   */
  radius?: number;
  /** How much of the edge the picture's colours draw, 0 to 1; the rest is the mask's own edge. Default 1. */
  strength?: number;
}

export interface CutoutOptions {
  /** Trimmed to what is seen of the object (default), or false for the whole picture's size. */
  crop?: boolean;
  /**
   * A soft edge, for hair and fur: the opacity follows the picture's colours round the mask's edge (a guided filter; He, Sun
   * and Tang 2013), and the background's colours are taken out of what is partly transparent (blur fusion; Forte and Pitié
   * 2021). Well inside and well outside of the mask nothing changes. Default false: the picture's own pixels where the mask
   * is set.
   */
  softEdge?: boolean | SoftEdge;
  /** `"image/png"` (default) or `"image/webp"`, if this browser writes it. */
  type?: string;
  /** Of a type with losses, 0 to 1. */
  quality?: number;
}

/** As of the official `SAM2AutomaticMaskGenerator`, whose names these are but for their spelling. */
export interface GenerateOptions {
  signal?: AbortSignal;
  /** The network is asked at so many points squared; from 1 to 1,024. Default 32. */
  pointsPerSide?: number;
  /** So many points are asked at once; a click is answered between two batches. Default 16. */
  pointsPerBatch?: number;
  /** Masks whose predicted IoU is not over this go; from 0 to 1, 0 keeps all. Default 0.8. */
  predIouThresh?: number;
  /** Masks whose stability score is below this go; from 0 to 1, 0 keeps all. Default 0.95. */
  stabilityScoreThresh?: number;
  /** The stability score compares the masks at thresholds so far above and below. Default 1. */
  stabilityScoreOffset?: number;
  /** A pixel is on the object where its logit is above this. Default 0. */
  maskThreshold?: number;
  /** Of masks whose boxes' IoU is over this, only the best stays; from 0 to 1. Default 0.7. */
  boxNmsThresh?: number;
  /** The network also looks at parts of the picture: 4 in the first layer, 16 in the second, up to 8 layers. Default 0. */
  cropNLayers?: number;
  /** As `boxNmsThresh`, between parts: the mask of the smallest part stays. Default 0.7. */
  cropNmsThresh?: number;
  /** Parts overlap by so much of the picture's short side; from 0 to 1. Default 512 / 1500. */
  cropOverlapRatio?: number;
  /** `pointsPerSide` is divided by this in each layer. Default 1. */
  cropNPointsDownscaleFactor?: number;
  /** Holes are filled and islands taken away up to so many pixels of the network's low resolution. Default 0. */
  minMaskRegionArea?: number;
  /** Each mask is predicted once more, with itself as the prompt's mask. Default false. */
  useM2m?: boolean;
  /** Three masks at each point, or one. Default true. */
  multimaskOutput?: boolean;
  /** Called after each batch with the number of points that were asked, and of all. */
  onProgress?: (progress: { pointsDone: number; points: number }) => void;
}

/** What the official records of {@link ImageEmbedding.generate} say of a mask. */
export interface MaskRecordFields {
  /** Pixels set. */
  area: number;
  /** Left and top, and how far the last column and row are from the first. */
  bbox: [x: number, y: number, width: number, height: number];
  /** The model's own estimate of the mask's IoU with the true one. */
  predictedIou: number;
  /** Where the network was asked. */
  pointCoords: [x: number, y: number];
  /** IoU of the masks at a higher and a lower threshold; not a number where both are empty. */
  stabilityScore: number;
  /** The part of the picture in which it was found. */
  cropBox: [x: number, y: number, width: number, height: number];
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

/**
 * Where a video's frames come from.
 *
 * - A file (`Blob`, or its URL): MP4, MOV or WebM, any frame at any time. A URL is read by range requests.
 * - A stream: frames are taken one at a time as they are needed, are numbered as they are taken, and are gone after
 *   that (see {@link OpenVideoOptions.keepFrames}). A `MediaStream` or `<video>` gives its newest frame, and those it
 *   showed meanwhile are skipped; a paused `<video>` gives the frame it shows, then waits until it plays or is sought.
 *   An async iterable is asked for its next frame when the last one has been worked on; its frames are closed when
 *   they are no longer needed.
 */
export type VideoSource =
  | Blob
  | URL
  | string
  | MediaStream
  | HTMLVideoElement
  | AsyncIterable<VideoFrame | ImageBitmap>;

export interface OpenVideoOptions {
  signal?: AbortSignal;
  /** Where objects overlap, only the likeliest keeps the pixel. Default false. */
  nonOverlapping?: boolean;
  /** Holes in a mask of at most so many low-resolution pixels are filled; 0 for none. Default 8. */
  fillHoles?: number;
  /** Of the frames before the last, only every nth is remembered. Default 1. */
  memoryStride?: number;
  /** A frame looks at no more than so many prompted frames, the closest; at least 2. Default 4. */
  maxConditioningFrames?: number;
  /**
   * `"kept"` (default): a correction on a frame that was tracked before stays as it is. `"official"`: as in Meta's
   * code, tracking overwrites it when it passes the frame again.
   */
  corrections?: "kept" | "official";
  /** How many frames of a stream, besides the newest, stay at hand for prompts. Default 0. */
  keepFrames?: number;
}

export interface PropagateOptions {
  /** Default: a file's first prompted frame, a stream's newest one. */
  from?: number;
  /** How many frames at most, the first included. Default: to the video's end. */
  frames?: number;
  /** Default `"forward"`. */
  direction?: "forward" | "backward";
  /** Whether a file's frame that cannot be read is passed over (default), or ends the run with its error. */
  unreadable?: "skip" | "stop";
  signal?: AbortSignal;
}

export interface FindAgainOptions {
  /** How many frames are followed from one search to the next. */
  every: number;
}

export interface FrameAtOptions {
  signal?: AbortSignal;
  /** Scaled down to this width in pixels, for a thumbnail. */
  width?: number;
}
