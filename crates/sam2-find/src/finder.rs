//! Boxes for words or an example, and their masks.

use burn::tensor::{Tensor, TensorData};
use owlv2::{Detector, Features, PatchBox, TextEncoder, Tokenizer};
use sam2_predict::{
    BoxPrompt, ImageEmbedding, ImagePredictor, PictureRef, PredictError, Prediction, Prompt, nms,
};

use crate::FindError;

/// A detector that is ready for pictures.
#[derive(Debug)]
pub struct Finder {
    detector: Detector,
    text: TextEncoder,
    tokenizer: Tokenizer,
}

/// What a detector knows of a picture. It stays on the device until this is dropped, so that a second query costs only the
/// text tower and a product.
#[derive(Clone, Debug)]
pub struct FinderImage {
    features: Features,
    /// `[n, 4]`, on the host.
    boxes: Vec<f32>,
    width: usize,
    height: usize,
}

/// What is kept of the detector's boxes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FindOptions {
    /// The lowest score that is kept, exclusive. (transformers' `post_process_object_detection` has the same default.)
    pub threshold: f32,
    /// Of boxes of one label whose IoU is above this, only the best is kept.
    pub nms_threshold: f64,
    /// The most objects of a label.
    pub per_label: usize,
    /// The most objects of a picture.
    pub max: usize,
}

impl Default for FindOptions {
    fn default() -> Self {
        Self {
            threshold: 0.1,
            nms_threshold: 0.5,
            per_label: 100,
            max: 300,
        }
    }
}

/// An object that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The index of the label; 0 for an example.
    pub label: usize,
    /// From 0 to 1.
    pub score: f32,
    /// The part of the object's box that is inside the picture.
    pub edges: BoxPrompt,
}

impl Finder {
    /// A detector with its vocabulary.
    ///
    /// # Errors
    /// The vocabulary has another number of tokens than the network.
    pub fn new(
        detector: Detector,
        text: TextEncoder,
        tokenizer: Tokenizer,
    ) -> Result<Self, owlv2::TokenizerError> {
        tokenizer.check(text.vocab_size())?;
        Ok(Self {
            detector,
            text,
            tokenizer,
        })
    }

    /// Encodes a picture, which takes most of the time. Returns when the device has finished.
    ///
    /// # Errors
    /// The device failed.
    pub async fn set_image(&self, picture: PictureRef<'_>) -> Result<FinderImage, FindError> {
        let (width, height) = (picture.width(), picture.height());
        let read = |line, values: &mut [f32]| picture.read(line, values);
        let device = self.detector.implementation().device();
        let input = owlv2::preprocess([height, width], self.detector.side(), &read, device);
        let features = self.detector.encode(input);
        let boxes = values(features.boxes.clone()).await?;
        Ok(FinderImage {
            features,
            boxes,
            width,
            height,
        })
    }

    /// Finds the objects that `labels` name, the best first. Each place of the picture has the label that fits it best.
    ///
    /// # Errors
    /// There is no label, or one of them is empty, or the device failed.
    pub async fn find(
        &self,
        image: &FinderImage,
        labels: &[impl AsRef<str>],
        options: FindOptions,
    ) -> Result<Vec<Found>, FindError> {
        if labels.is_empty() {
            return Err(FindError::NoLabels);
        }
        if let Some(index) = labels.iter().position(|label| label.as_ref().trim().is_empty()) {
            return Err(FindError::EmptyLabel { index });
        }
        let context = self.text.context();
        let tokens: Vec<Vec<u32>> = labels
            .iter()
            .map(|label| self.tokenizer.encode(label.as_ref(), context))
            .collect();
        self.matching(image, self.text.encode(&tokens), options).await
    }

    /// Finds the objects that are like the one in a box, the best first. The one in the box is among them.
    ///
    /// # Errors
    /// The box is empty or outside the picture, or the device failed.
    pub async fn find_like(
        &self,
        image: &FinderImage,
        example: BoxPrompt,
        options: FindOptions,
    ) -> Result<Vec<Found>, FindError> {
        let (width, height) = (image.width, image.height);
        let BoxPrompt { x0, y0, x1, y1 } = example;
        let edges = [x0, y0, x1, y1];
        // Written so that NaN is refused.
        let inside = x0 < x1 && y0 < y1 && x0 < width as f32 && y0 < height as f32 && x1 > 0.0 && y1 > 0.0;
        let wrong = FindError::Example {
            x0,
            y0,
            x1,
            y1,
            width,
            height,
        };
        if !inside || edges.iter().any(|edge| !edge.is_finite()) {
            return Err(wrong);
        }
        let embeds = values(image.features.classes.embeds.clone()).await?;
        let square = width.max(height) as f32;
        let patch = owlv2::like_box(&image.boxes, &embeds, edges.map(|edge| edge / square)).ok_or(wrong)?;
        let d = embeds.len() / (image.boxes.len() / 4);
        let query = TensorData::new(embeds[patch * d..(patch + 1) * d].to_vec(), [1, d]);
        let query = Tensor::from_data(query, self.detector.implementation().device());
        self.matching(image, query, options).await
    }

    /// The objects that match one of the queries `[q, d]`.
    async fn matching(
        &self,
        image: &FinderImage,
        queries: Tensor<2>,
        options: FindOptions,
    ) -> Result<Vec<Found>, FindError> {
        let count = queries.dims()[0];
        let logits = values(self.detector.logits(&image.features, queries)).await?;
        let size = [image.height, image.width];
        let boxes = owlv2::decode(&logits, count, &image.boxes, size, options.threshold);
        Ok(choose(&boxes, size, options))
    }
}

/// The best of the boxes, cut at the picture's edges. Those that are only in the padding are left out.
fn choose(boxes: &[PatchBox], [height, width]: [usize; 2], options: FindOptions) -> Vec<Found> {
    let (width, height) = (width as f32, height as f32);
    let cut = |found: &PatchBox| {
        let [x0, y0, x1, y1] = found.edges;
        let edges = BoxPrompt {
            x0: x0.clamp(0.0, width),
            y0: y0.clamp(0.0, height),
            x1: x1.clamp(0.0, width),
            y1: y1.clamp(0.0, height),
        };
        (edges.x0 < edges.x1 && edges.y0 < edges.y1).then_some(Found {
            label: found.label,
            score: found.score,
            edges,
        })
    };
    let mut found: Vec<Found> = boxes.iter().filter_map(cut).collect();
    found.sort_by_key(|found| found.label);
    let mut chosen: Vec<Found> = found
        .chunk_by(|a, b| a.label == b.label)
        .flat_map(|found| {
            let edges: Vec<[f32; 4]> = found
                .iter()
                .map(|found| [found.edges.x0, found.edges.y0, found.edges.x1, found.edges.y1])
                .collect();
            let scores: Vec<f32> = found.iter().map(|found| found.score).collect();
            let kept = nms(&edges, &scores, options.nms_threshold);
            kept.into_iter().take(options.per_label).map(|at| found[at])
        })
        .collect();
    chosen.sort_by(|a, b| b.score.total_cmp(&a.score));
    chosen.truncate(options.max);
    chosen
}

/// The masks of objects that were found, in their order, on the same picture as SAM 2 knows it.
///
/// # Errors
/// The pictures have different sizes, or the device failed.
pub async fn find_masks(
    predictor: &ImagePredictor,
    image: &ImageEmbedding,
    found: &[Found],
) -> Result<Vec<Prediction>, FindError> {
    let prompts: Vec<Prompt> = found
        .iter()
        .map(|found| Prompt {
            box_: Some(found.edges),
            ..Prompt::default()
        })
        .collect();
    match prompts.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(predictor.predict_batch(image, &prompts).await?),
    }
}

/// The values of a tensor, on the host.
async fn values(x: Tensor<2>) -> Result<Vec<f32>, FindError> {
    let data = x.into_data_async().await;
    let data = data.map_err(|error| PredictError::Device(format!("{error:?}")))?;
    Ok(data.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch_box(label: usize, score: f32, edges: [f32; 4]) -> PatchBox {
        PatchBox {
            patch: 0,
            label,
            score,
            edges,
        }
    }

    #[test]
    fn the_best_of_each_label_stay_inside_the_picture() {
        let boxes = [
            patch_box(1, 0.5, [10.0, 10.0, 20.0, 20.0]),
            patch_box(0, 0.6, [10.0, 10.0, 20.0, 20.0]),
            patch_box(1, 0.7, [10.0, 10.0, 20.0, 21.0]),
            patch_box(0, 0.9, [-5.0, 30.0, 8.0, 60.0]),
            // In the padding below a picture of 50 x 80.
            patch_box(0, 0.8, [10.0, 55.0, 20.0, 70.0]),
        ];
        let found = choose(&boxes, [50, 80], FindOptions::default());
        let labels: Vec<(usize, f32)> = found.iter().map(|found| (found.label, found.score)).collect();
        assert_eq!(labels, [(0, 0.9), (1, 0.7), (0, 0.6)]);
        let BoxPrompt { x0, y0, x1, y1 } = found[0].edges;
        assert_eq!([x0, y0, x1, y1], [0.0, 30.0, 8.0, 50.0]);
        let few = FindOptions {
            per_label: 1,
            max: 1,
            ..FindOptions::default()
        };
        assert_eq!(choose(&boxes, [50, 80], few).len(), 1);
        assert!(choose(&[], [50, 80], few).is_empty());
    }
}
