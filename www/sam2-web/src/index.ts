export { Sam2Error, type Sam2ErrorCode } from "./errors.js";
export { ImageEmbedding, type Prediction } from "./image-embedding.js";
export { Mask } from "./mask.js";
export { readPicture } from "./pixels.js";
export { Sam2 } from "./sam2.js";
export type {
  Box,
  Device,
  FrameAtOptions,
  LoadOptions,
  MaskOptions,
  ModelInfo,
  ModelName,
  OpenVideoOptions,
  PictureSource,
  Point,
  Precision,
  PredictOptions,
  PreloadOptions,
  Progress,
  Prompt,
  PropagateOptions,
  ReloadOptions,
  Rle,
  SetImageOptions,
  VideoSource,
} from "./types.js";
export { Video, type VideoFrameMasks, type VideoMask } from "./video.js";
export type { VideoPrompt } from "./video-prompt.js";
export type { CachedWeights } from "./weights-store.js";
