//! Conversion of video frames to the network's input. The official video predictor resizes frames by a different filter
//! than pictures: Pillow's bicubic filter, which rounds to bytes after each axis
//! (`sam2.utils.misc._load_img_as_tensor`).

use burn::tensor::{Device, Tensor};
use sam2_resample::pillow_bicubic;

use crate::PictureRef;
use crate::image::normalised;

/// Converts a frame to the network's input `[1, 3, side, side]`: it is resized to a square and normalised.
pub fn frame_to_tensor(frame: PictureRef<'_>, side: usize, device: &Device) -> Tensor<4> {
    let read = |line, values: &mut [u8]| frame.read(line, values);
    let bytes = pillow_bicubic(3, [frame.height(), frame.width()], [side; 2], &read);
    normalised(bytes.into_iter().map(f32::from).collect(), side, device)
}
