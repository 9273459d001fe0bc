//! One picture, encoded once, then prompted as often as wanted
//! (`sam2.sam2_image_predictor.SAM2ImagePredictor`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Tensor, TensorData, Transaction};
use sam2::mask_decoder::{DynamicMultimask, ImageFeatures};
use sam2::prompt_encoder::Point;
use sam2::{ImageModel, Sam2Config};

use crate::{Cleanup, Mask, PictureRef, PredictError, Prompt};

/// Encodes pictures and answers prompts on them.
#[derive(Debug)]
pub struct ImagePredictor {
    model: Arc<ImageModel>,
    dynamic_multimask: Option<DynamicMultimask>,
    encodes: AtomicUsize,
}

/// A picture's features. They stay on the device; dropping this frees them.
#[derive(Clone, Debug)]
pub struct ImageEmbedding {
    features: ImageFeatures,
    width: usize,
    height: usize,
}

impl ImageEmbedding {
    /// The picture's, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The picture's, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// What the mask decoder reads.
    pub fn features(&self) -> &ImageFeatures {
        &self.features
    }
}

/// The answer to a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Three candidates, or one mask.
    pub masks: Vec<Mask>,
    /// Logit: positive where the object is visible. The image predictor reports it and hides nothing by it.
    pub object_score: f32,
}

/// A mask as the network gives it.
#[derive(Clone, Debug)]
pub(crate) struct LowResMask {
    /// `side * side`, row-major, as they are.
    pub logits: Vec<f32>,
    /// A quarter of the network's picture size.
    pub side: usize,
    /// The IoU with the true mask that the network expects.
    pub score: f32,
}

/// Masks of a prompt, and the logit of its object's presence.
type Answer = (Vec<LowResMask>, f32);

/// Prompts that can be decoded in one batch: as many points, a mask in all or in none, as many masks out.
type BatchKey = (usize, bool, bool);

/// A prompt ready for the network: which one it was, its points, its mask.
type Prepared<'a> = (usize, Vec<Point>, Option<&'a [f32]>);

impl ImagePredictor {
    /// With the official defaults. The model may be shared, such as a [`sam2::VideoModel`]'s `image`.
    pub fn new(model: impl Into<Arc<ImageModel>>) -> Self {
        Self {
            model: model.into(),
            dynamic_multimask: Some(DynamicMultimask::default()),
            encodes: AtomicUsize::new(0),
        }
    }

    /// Sets when a single mask gives way to the best candidate; none for never.
    #[must_use]
    pub fn with_dynamic_multimask(mut self, dynamic: Option<DynamicMultimask>) -> Self {
        self.dynamic_multimask = dynamic;
        self
    }

    /// The network's shape.
    pub fn config(&self) -> &Sam2Config {
        &self.model.config
    }

    /// The network.
    pub fn model(&self) -> &ImageModel {
        &self.model
    }

    /// How many pictures have been encoded so far.
    pub fn encodes(&self) -> usize {
        self.encodes.load(Ordering::Relaxed)
    }

    /// Encodes a picture: the only heavy step. Returns when the device is done.
    ///
    /// # Errors
    /// The device failed.
    pub async fn set_image(&self, picture: PictureRef<'_>) -> Result<ImageEmbedding, PredictError> {
        let input = picture.to_tensor(self.model.config.image_size, self.model.device());
        let features = self.model.without_memory(self.model.encode(input));
        self.encodes.fetch_add(1, Ordering::Relaxed);
        features.probe().into_data_async().await.map_err(device_error)?;
        Ok(ImageEmbedding {
            features,
            width: picture.width(),
            height: picture.height(),
        })
    }

    /// Answers one prompt.
    ///
    /// # Errors
    /// The prompt is wrong, or the device failed.
    pub async fn predict(&self, image: &ImageEmbedding, prompt: &Prompt) -> Result<Prediction, PredictError> {
        let mut predictions = self.predict_batch(image, std::slice::from_ref(prompt)).await?;
        Ok(predictions.remove(0))
    }

    /// Answers many prompts on the same picture, in their order; quicker than one by one.
    ///
    /// # Errors
    /// A prompt is wrong (then none is answered), or the device failed.
    pub async fn predict_batch(
        &self,
        image: &ImageEmbedding,
        prompts: &[Prompt],
    ) -> Result<Vec<Prediction>, PredictError> {
        self.predict_batch_cleaned(image, prompts, Cleanup::default())
            .await
    }

    /// As [`Self::predict_batch`], small regions of the masks changed.
    ///
    /// # Errors
    /// A prompt is wrong (then none is answered), or the device failed.
    pub async fn predict_batch_cleaned(
        &self,
        image: &ImageEmbedding,
        prompts: &[Prompt],
        cleanup: Cleanup,
    ) -> Result<Vec<Prediction>, PredictError> {
        let size = [image.width, image.height];
        self.answers(image, prompts, |(masks, object_score)| Prediction {
            masks: masks
                .into_iter()
                .map(|mask| Mask::from_logits_cleaned(mask.logits, mask.side, mask.score, size, cleanup))
                .collect(),
            object_score,
        })
        .await
    }

    /// As [`Self::predict_batch`], with nothing of the picture's size made.
    pub(crate) async fn predict_low_res(
        &self,
        image: &ImageEmbedding,
        prompts: &[Prompt],
    ) -> Result<Vec<Vec<LowResMask>>, PredictError> {
        self.answers(image, prompts, |(masks, _)| masks).await
    }

    /// Each prompt's answer, as `make` makes it, in the prompts' order.
    async fn answers<T>(
        &self,
        image: &ImageEmbedding,
        prompts: &[Prompt],
        make: impl Fn(Answer) -> T,
    ) -> Result<Vec<T>, PredictError> {
        let side = self.model.config.mask_side();
        let mut batches: BTreeMap<BatchKey, Vec<Prepared>> = BTreeMap::new();
        for (index, prompt) in prompts.iter().enumerate() {
            let points = prompt.to_points(image.width, image.height, self.model.config.image_size)?;
            let mask = prompt.checked_mask(side)?;
            let key = (points.len(), mask.is_some(), prompt.multimask);
            batches.entry(key).or_default().push((index, points, mask));
        }

        let mut predictions: Vec<Option<T>> = prompts.iter().map(|_| None).collect();
        for ((_, _, multimask), batch) in batches {
            for chunk in batch.chunks(self.model.implementation().prompts_at_once()) {
                let points: Vec<Vec<Point>> = chunk.iter().map(|(_, points, _)| points.clone()).collect();
                let masks: Vec<&[f32]> = chunk.iter().filter_map(|(_, _, mask)| *mask).collect();
                let answers = self.decode(image, &points, &masks, multimask).await?;
                for ((index, ..), answer) in chunk.iter().zip(answers) {
                    predictions[*index] = Some(make(answer));
                }
            }
        }
        Ok(predictions.into_iter().flatten().collect())
    }

    /// One batch of like prompts; `masks` is empty or has one for each.
    async fn decode(
        &self,
        image: &ImageEmbedding,
        points: &[Vec<Point>],
        masks: &[&[f32]],
        multimask: bool,
    ) -> Result<Vec<Answer>, PredictError> {
        let (model, side) = (&self.model, self.model.config.mask_side());
        // Without points and boxes the official predictor gives no sparse tokens, not even the padding.
        let sparse = (!points[0].is_empty()).then(|| model.prompt_encoder.sparse(points));
        let mask = (!masks.is_empty()).then(|| {
            let data = TensorData::new(masks.concat(), [masks.len(), side, side]);
            Tensor::<3>::from_data(data, model.device())
        });
        let prompts_are_empty = sparse.is_none() && mask.is_none();

        let output = model.decode(&image.features, sparse, mask);
        let selected = output.select(multimask, self.dynamic_multimask);
        let [_, count, _, _] = selected.masks.dims();
        let data = Transaction::default()
            .register(selected.masks)
            .register(selected.ious)
            .register(output.object_score_logits)
            .execute_async()
            .await
            .map_err(device_error)?;
        let [masks, ious, object_scores]: [Vec<f32>; 3] = data
            .into_iter()
            .map(|data| {
                data.try_to_vec::<f32>()
                    .map_err(|error| PredictError::Device(format!("{error:?}")))
            })
            .collect::<Result<Vec<_>, _>>()?
            .try_into()
            .expect("three tensors were registered");

        let per_prompt = count * side * side;
        let mut answers: Vec<Answer> = masks
            .chunks_exact(per_prompt)
            .zip(ious.chunks_exact(count))
            .zip(object_scores)
            .map(|((masks, ious), object_score)| {
                let masks = masks.chunks_exact(side * side).zip(ious);
                let masks = masks.map(|(logits, &score)| LowResMask {
                    logits: logits.to_vec(),
                    side,
                    score,
                });
                (masks.collect(), object_score)
            })
            .collect();
        if prompts_are_empty {
            // The network saw a batch of one, whatever the number of empty prompts.
            answers = vec![answers.remove(0); points.len()];
        }
        Ok(answers)
    }
}

fn device_error(error: impl std::fmt::Debug) -> PredictError {
    PredictError::Device(format!("{error:?}"))
}
