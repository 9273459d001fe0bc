/**
 * Label files of other tools.
 *
 * @module sam2-web/formats
 */

export { Sam2Error, type Sam2ErrorCode } from "../errors.js";
export { Mask } from "../mask.js";
export {
  type Category,
  type CocoFile,
  type CocoLabels,
  type ReadCocoOptions,
  readCoco,
  writeCoco,
} from "./coco.js";
export {
  type Affine,
  type GeoJsonFeature,
  type GeoJsonFile,
  readGeoJson,
  writeGeoJson,
} from "./geojson.js";
export { readIndexedPng, writeIndexedPng } from "./indexed-png.js";
export { type LabelmeFile, type LabelmeShape, readLabelme, writeLabelme } from "./labelme.js";
export type { Label, LabeledPicture, ReadPicture, Size } from "./labels.js";
export { readYolo, writeYolo, type YoloClasses } from "./yolo.js";
