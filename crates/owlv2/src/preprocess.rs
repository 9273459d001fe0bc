//! A picture to the network's input (`Owlv2ImageProcessor`).

use burn::tensor::{Device, Tensor, TensorData};
use sam2_resample::{Line, Read, blurred};

/// CLIP's mean of red, green and blue.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// CLIP's standard deviation of red, green and blue.
const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// The network's input, `[1, 3, side, side]`, of a picture of `[height, width]` pixels: padded to a square with black at
/// the bottom and the right, blurred as much as it shrinks, resized bilinearly and normalised.
///
/// `read` reads a row of the picture: its red values from 0 to 255, then the green, then the blue ones.
///
/// (Black, not grey: transformers before 5.0 padded with grey, as for the first OWL-ViT, and reached 43.4 mAP on LVIS
/// instead of 44.0; github.com/huggingface/transformers/pull/41938.)
pub fn preprocess([height, width]: [usize; 2], side: usize, read: Read<f32>, device: &Device) -> Tensor<4> {
    let square = height.max(width);
    let padded = |line, values: &mut [f32]| {
        values.fill(0.0);
        let Line::Row(y) = line else { return };
        if y >= height {
            return;
        }
        let mut row = vec![0.0; 3 * width];
        read(Line::Row(y), &mut row);
        for (values, row) in values.chunks_exact_mut(square).zip(row.chunks_exact(width)) {
            values[..width].copy_from_slice(row);
        }
    };
    let mut values = blurred(3, [square; 2], [side; 2], &padded);
    for ((plane, mean), std) in values.chunks_exact_mut(side * side).zip(MEAN).zip(STD) {
        for value in plane {
            *value = (*value / 255.0 - mean) / std;
        }
    }
    Tensor::from_data(TensorData::new(values, [1, 3, side, side]), device)
}
