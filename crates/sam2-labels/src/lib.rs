//! Annotation files: COCO JSON, YOLO segmentation, labelme JSON, indexed PNG and GeoJSON, in and out.
//!
//! The formats mean what the npm package's `sam2-web/formats` has them mean. What a file holds that is not a mask (boxes
//! alone, points, lines) is passed over with a warning; a file that is not what it should be as a whole is an error.

mod coco;
mod coco_polygon;
mod error;
mod geojson;
mod indexed_png;
mod join_rings;
mod json;
mod label;
mod labelme;
mod mask;
mod samples;
mod yolo;

pub use coco::{Annotation, Category, CocoFile, CocoImage, CocoLabels, Segmentation, read_coco, write_coco};
pub use error::LabelsError;
pub use geojson::{Affine, Feature, GeoJsonFile, Geometry, PIXELS, Properties, read_geojson, write_geojson};
pub use indexed_png::{VOC_BORDER, read_indexed_png, write_indexed_png};
pub use json::{Coordinate, parse_json};
pub use label::{Classes, Id, Label, LabeledPicture, ReadPicture, Size};
pub use labelme::{LabelmeFile, LabelmeShape, read_labelme, write_labelme};
pub use mask::{Polygon, Ring, area, bounding_box, fill_even_odd, to_polygons};
pub use yolo::{read_yolo, write_yolo};
