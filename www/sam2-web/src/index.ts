export { Sam2Error, type Sam2ErrorCode } from "./errors.js";
export { ImageEmbedding, type Prediction } from "./image-embedding.js";
export { Mask } from "./mask.js";
export { Sam2 } from "./sam2.js";
export type {
  Box,
  Device,
  LoadOptions,
  ModelInfo,
  ModelName,
  PictureSource,
  Point,
  PredictOptions,
  Progress,
  Prompt,
  Rle,
  SetImageOptions,
} from "./types.js";
