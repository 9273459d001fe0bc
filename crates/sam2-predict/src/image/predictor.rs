//! Prediction on a picture, which is encoded once and can then be prompted many times
//! (`sam2.sam2_image_predictor.SAM2ImagePredictor`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Tensor, TensorData, Transaction};
use sam2::mask_decoder::DynamicMultimask;
use sam2::prompt_encoder::Point;
use sam2::{ImageModel, Sam2Config};

use super::ImageEmbedding;
use crate::{Cleanup, LowResMask, PictureRef, PredictError, Prompt};

/// Encodes pictures and predicts masks for prompts on them.
#[derive(Debug)]
pub struct ImagePredictor {
    model: Arc<ImageModel>,
    dynamic_multimask: Option<DynamicMultimask>,
    encodes: AtomicUsize,
}

/// The masks that are predicted for a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Three candidates, or a single mask.
    pub masks: Vec<LowResMask>,
    /// A logit that is positive if the object is visible. The image predictor returns the masks even if it is not.
    pub object_score: f32,
}

impl Prediction {
    /// The mask with the highest score, the first of equal ones.
    pub fn best(&self) -> Option<&LowResMask> {
        self.masks
            .iter()
            .rev()
            .max_by(|a, b| a.score().total_cmp(&b.score()))
    }
}

/// The number of points, whether there is a mask, and whether candidates are asked for. Prompts for which these are
/// equal can be decoded in one batch.
type BatchKey = (usize, bool, bool);

/// A prompt for the network: its index, its points and its mask.
type Prepared<'a> = (usize, Vec<Point>, Option<&'a [f32]>);

impl ImagePredictor {
    /// A predictor with the official defaults. The model may be shared, for example with a [`sam2::VideoModel`].
    pub fn new(model: impl Into<Arc<ImageModel>>) -> Self {
        Self {
            model: model.into(),
            dynamic_multimask: Some(DynamicMultimask::default()),
            encodes: AtomicUsize::new(0),
        }
    }

    /// Sets when the best candidate replaces a single mask; `None` for never.
    #[must_use]
    pub fn with_dynamic_multimask(mut self, dynamic: Option<DynamicMultimask>) -> Self {
        self.dynamic_multimask = dynamic;
        self
    }

    /// The network's configuration.
    pub fn config(&self) -> &Sam2Config {
        &self.model.config
    }

    /// The network.
    pub fn model(&self) -> &ImageModel {
        &self.model
    }

    /// The number of pictures that have been encoded so far.
    pub fn encodes(&self) -> usize {
        self.encodes.load(Ordering::Relaxed)
    }

    /// Encodes a picture, which takes most of the time. Returns when the device has finished.
    ///
    /// # Errors
    /// The device failed.
    pub async fn set_image(&self, picture: PictureRef<'_>) -> Result<ImageEmbedding, PredictError> {
        let input = picture.to_tensor(self.model.config.image_size, self.model.device());
        let features = self.model.without_memory(self.model.encode(input));
        self.encodes.fetch_add(1, Ordering::Relaxed);
        features.probe().into_data_async().await.map_err(device_error)?;
        Ok(ImageEmbedding::new(features, [picture.width(), picture.height()]))
    }

    /// Predicts the masks of one prompt.
    ///
    /// # Errors
    /// The prompt is wrong, or the device failed.
    pub async fn predict(&self, image: &ImageEmbedding, prompt: &Prompt) -> Result<Prediction, PredictError> {
        let mut predictions = self.predict_batch(image, std::slice::from_ref(prompt)).await?;
        Ok(predictions.remove(0))
    }

    /// Predicts the masks of many prompts on the same picture, in their order. This is faster than one prompt at a time.
    ///
    /// # Errors
    /// A prompt is wrong (then nothing is predicted), or the device failed.
    pub async fn predict_batch(
        &self,
        image: &ImageEmbedding,
        prompts: &[Prompt],
    ) -> Result<Vec<Prediction>, PredictError> {
        self.predict_batch_cleaned(image, prompts, Cleanup::default())
            .await
    }

    /// The same as [`Self::predict_batch`], with small regions of the masks removed or filled by `cleanup`.
    ///
    /// # Errors
    /// A prompt is wrong (then nothing is predicted), or the device failed.
    pub async fn predict_batch_cleaned(
        &self,
        image: &ImageEmbedding,
        prompts: &[Prompt],
        cleanup: Cleanup,
    ) -> Result<Vec<Prediction>, PredictError> {
        let side = self.model.config.mask_side();
        let mut batches: BTreeMap<BatchKey, Vec<Prepared>> = BTreeMap::new();
        for (index, prompt) in prompts.iter().enumerate() {
            let points = prompt.to_points(image.width(), image.height(), self.model.config.image_size)?;
            check_count(&self.model, points.len())?;
            let mask = prompt.checked_mask(side)?;
            let key = (points.len(), mask.is_some(), prompt.multimask);
            batches.entry(key).or_default().push((index, points, mask));
        }

        let mut predictions: Vec<Option<Prediction>> = prompts.iter().map(|_| None).collect();
        for ((points, _, multimask), batch) in batches {
            for chunk in batch.chunks(self.model.prompts_at_once(points)) {
                let points: Vec<Vec<Point>> = chunk.iter().map(|(_, points, _)| points.clone()).collect();
                let masks: Vec<&[f32]> = chunk.iter().filter_map(|(_, _, mask)| *mask).collect();
                let answers = self.decode(image, &points, &masks, multimask, cleanup).await?;
                for ((index, ..), answer) in chunk.iter().zip(answers) {
                    predictions[*index] = Some(answer);
                }
            }
        }
        Ok(predictions.into_iter().flatten().collect())
    }

    /// Decodes one batch of prompts of the same [`BatchKey`]. `masks` is empty or has one mask for each prompt.
    async fn decode(
        &self,
        image: &ImageEmbedding,
        points: &[Vec<Point>],
        masks: &[&[f32]],
        multimask: bool,
        cleanup: Cleanup,
    ) -> Result<Vec<Prediction>, PredictError> {
        let (model, side) = (&self.model, self.model.config.mask_side());
        // Without points and boxes, the official predictor has no sparse tokens, not even the padding.
        let sparse = (!points[0].is_empty()).then(|| model.prompt_encoder.sparse(points));
        let mask = (!masks.is_empty()).then(|| {
            let data = TensorData::new(masks.concat(), [masks.len(), side, side]);
            Tensor::<3>::from_data(data, model.device())
        });
        let prompts_are_empty = sparse.is_none() && mask.is_none();

        let output = model.decode(image.features(), sparse, mask);
        let selected = output.select(multimask, self.dynamic_multimask);
        let [_, count, _, _] = selected.masks.dims();
        let data = Transaction::default()
            .register(selected.masks)
            .register(selected.ious)
            .register(output.object_score_logits)
            .execute_async()
            .await
            .map_err(device_error)?;
        let [masks, ious, object_scores] = three(data)?;

        let per_prompt = count * side * side;
        let picture = [image.width(), image.height()];
        let mut answers: Vec<Prediction> = masks
            .chunks_exact(per_prompt)
            .zip(ious.chunks_exact(count))
            .zip(object_scores)
            .map(|((masks, ious), object_score)| {
                let masks = masks.chunks_exact(side * side).zip(ious);
                let masks = masks.map(|(logits, &score)| {
                    LowResMask::new(logits.to_vec(), side, score, picture).with_cleanup(cleanup)
                });
                Prediction {
                    masks: masks.collect(),
                    object_score,
                }
            })
            .collect();
        if prompts_are_empty {
            // The network decoded a single prompt, which stands for all of the empty ones.
            answers = vec![answers.remove(0); points.len()];
        }
        Ok(answers)
    }
}

/// # Errors
/// There are more points in a prompt than the device takes.
pub(crate) fn check_count(model: &ImageModel, points: usize) -> Result<(), PredictError> {
    let most = model.most_points();
    match points <= most {
        true => Ok(()),
        false => Err(PredictError::TooManyPoints { points, most }),
    }
}

/// The values of three tensors that were read together.
pub(super) fn three(data: Vec<TensorData>) -> Result<[Vec<f32>; 3], PredictError> {
    let values = data
        .into_iter()
        .map(|data| data.try_to_vec::<f32>().map_err(device_error));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    Ok(values.try_into().expect("three tensors were read"))
}

pub(super) fn device_error(error: impl std::fmt::Debug) -> PredictError {
    PredictError::Device(format!("{error:?}"))
}
