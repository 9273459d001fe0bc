//! A picture's features, which stay on the device.

use burn::tensor::{Tensor, TensorData, Transaction};
use sam2::mask_decoder::ImageFeatures;

use super::predictor::{device_error, three};
use crate::{ImagePredictor, PictureRef, PredictError};

/// A picture's features. They stay on the device until this is dropped.
#[derive(Clone, Debug)]
pub struct ImageEmbedding {
    features: ImageFeatures,
    width: usize,
    height: usize,
}

impl ImageEmbedding {
    pub(super) fn new(features: ImageFeatures, [width, height]: [usize; 2]) -> Self {
        Self {
            features,
            width,
            height,
        }
    }

    /// The picture's width, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The picture's height, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The features that the mask decoder reads.
    pub fn features(&self) -> &ImageFeatures {
        &self.features
    }

    /// The values of [`ImageFeatures::high_res_0`], [`ImageFeatures::high_res_1`] and [`ImageFeatures::embedding`], each
    /// row-major, from which [`ImagePredictor::restore_image`] makes the embedding again.
    ///
    /// # Errors
    /// The device failed.
    pub async fn values(&self) -> Result<[Vec<f32>; 3], PredictError> {
        let read = Transaction::default()
            .register(self.features.high_res_0.clone())
            .register(self.features.high_res_1.clone())
            .register(self.features.embedding.clone())
            .execute_async();
        three(read.await.map_err(device_error)?)
    }
}

impl ImagePredictor {
    /// The embedding of a picture of that width and height from its [`ImageEmbedding::values`], without encoding it. They
    /// must be from the same network, on any device.
    ///
    /// # Errors
    /// The picture is empty or too large, or the values are not as many as this network's.
    pub fn restore_image(
        &self,
        values: [Vec<f32>; 3],
        [width, height]: [usize; 2],
    ) -> Result<ImageEmbedding, PredictError> {
        PictureRef::check_size(width, height)?;
        let model = self.model();
        let [first, second, third] = values;
        let features = ImageFeatures {
            high_res_0: self.tensor(first, 4, 8)?,
            high_res_1: self.tensor(second, 8, 4)?,
            embedding: self.tensor(third, 16, 1)?,
            without_mask: None,
        };
        Ok(ImageEmbedding::new(
            model.ready_for_prompts(features),
            [width, height],
        ))
    }

    /// `[1, s/stride, s/stride, d/part]` of the network's size `s` and width `d`.
    fn tensor(&self, values: Vec<f32>, stride: usize, part: usize) -> Result<Tensor<4>, PredictError> {
        let config = self.config();
        let side = config.image_size / stride;
        let shape = [1, side, side, config.neck.d_model / part];
        let expected = shape.iter().product();
        if values.len() != expected {
            return Err(PredictError::EmbeddingSize {
                expected,
                found: values.len(),
            });
        }
        Ok(Tensor::from_data(
            TensorData::new(values, shape),
            self.model().device(),
        ))
    }
}
