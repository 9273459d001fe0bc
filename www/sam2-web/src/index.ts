/**
 * The package.
 *
 * @module sam2-web
 */

export type { Addresses } from "./address.js";
export { Detector } from "./detector.js";
export { Sam2Error, type Sam2ErrorCode } from "./errors.js";
export { Finding, type FoundObject } from "./finding.js";
export { type FoundMask, Generation, type MaskRecord } from "./generation.js";
export { ImageEmbedding, type Prediction } from "./image-embedding.js";
export { Mask, type PolygonOptions } from "./mask.js";
export { PredictedMask } from "./predicted-mask.js";
export { readPicture } from "./read-picture.js";
export { RefinedMask } from "./refined-mask.js";
export { Sam2 } from "./sam2.js";
export type {
  Box,
  CutoutOptions,
  DetectorInfo,
  Device,
  FindAgainOptions,
  FindLikeOptions,
  FindOptions,
  FrameAtOptions,
  GenerateOptions,
  LoadDetectorOptions,
  LoadOptions,
  MaskOptions,
  MaskRecordFields,
  ModelFile,
  ModelInfo,
  ModelName,
  OpenVideoOptions,
  PictureSource,
  Point,
  Polygon,
  Precision,
  PredictOptions,
  PreloadOptions,
  Progress,
  Prompt,
  PropagateOptions,
  ReadPictureOptions,
  ReloadOptions,
  RestoreImageOptions,
  Ring,
  Rle,
  SetImageOptions,
  SoftEdge,
  UncompressedRle,
  VideoSource,
} from "./types.js";
export { type FoundVideoObject, Video, type VideoFrameMasks, type VideoMask } from "./video.js";
export type { VideoPrompt } from "./video-prompt.js";
export type { CachedWeights } from "./weights-store.js";
