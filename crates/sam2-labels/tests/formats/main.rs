//! Every format in and out, with what real files have in them.

mod coco;
mod damaged;
mod drawn;
mod geojson;
mod indexed_png;
mod labelme;
mod masks;
mod yolo;
