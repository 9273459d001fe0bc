//! Boxes for label embeddings, and their masks.

use std::cell::OnceCell;

use owlv2::{DetectOptions, Detection, Detector, DetectorImage, LabelEmbeddings};
use sam2_predict::{BoxPrompt, ImageEmbedding, ImagePredictor, LowResMask, PictureRef, Prompt};

use crate::FindError;

/// A detector and a predictor of masks.
#[derive(Debug)]
pub struct Finder {
    detector: Detector,
    predictor: ImagePredictor,
}

/// A picture with what the detector knows of it, and what the predictor does once something was found.
#[derive(Debug)]
pub struct FinderImage<'a> {
    picture: PictureRef<'a>,
    detected: DetectorImage,
    embedding: OnceCell<ImageEmbedding>,
}

/// An object that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its label, the detector's score and its box.
    pub detection: Detection,
    /// The best mask of the box.
    pub mask: LowResMask,
}

impl FinderImage<'_> {
    /// What the detector knows of the picture.
    pub fn detected(&self) -> &DetectorImage {
        &self.detected
    }
}

impl Finder {
    /// A finder of what the detector knows.
    pub fn new(detector: Detector, predictor: ImagePredictor) -> Self {
        Self { detector, predictor }
    }

    /// The detector, which also makes the embeddings of words ([`Detector::embed`]) and of an example
    /// ([`Detector::embed_example`]).
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// Encodes a picture for the detector. The predictor encodes it too if something is found.
    ///
    /// # Errors
    /// The device failed.
    pub async fn set_image<'a>(&self, picture: PictureRef<'a>) -> Result<FinderImage<'a>, FindError> {
        let read = |line, values: &mut [f32]| picture.read(line, values);
        let size = [picture.height(), picture.width()];
        Ok(FinderImage {
            picture,
            detected: self.detector.set_image(size, &read).await?,
            embedding: OnceCell::new(),
        })
    }

    /// Finds the objects of label embeddings, the best first, each with the best mask of its box.
    ///
    /// # Errors
    /// The embeddings have another width than the detector's, an option is out of range, or the device failed.
    pub async fn find(
        &self,
        image: &FinderImage<'_>,
        labels: &LabelEmbeddings,
        options: DetectOptions,
    ) -> Result<Vec<Found>, FindError> {
        let detections = self
            .detector
            .find_labels(&image.detected, labels, options)
            .await?;
        if detections.is_empty() {
            return Ok(Vec::new());
        }
        let embedding = match image.embedding.get() {
            Some(embedding) => embedding,
            None => {
                let embedding = self.predictor.set_image(image.picture).await?;
                image.embedding.get_or_init(|| embedding)
            }
        };
        let prompts: Vec<Prompt> = detections.iter().map(prompt).collect();
        let predictions = self.predictor.predict_batch(embedding, &prompts).await?;
        let found = detections.into_iter().zip(&predictions);
        let found = found.filter_map(|(detection, prediction)| {
            let mask = prediction.best()?.clone();
            Some(Found { detection, mask })
        });
        Ok(found.collect())
    }
}

/// The prompt for a detection's mask: its box.
fn prompt(detection: &Detection) -> Prompt {
    let [x0, y0, x1, y1] = detection.edges;
    Prompt {
        box_: Some(BoxPrompt { x0, y0, x1, y1 }),
        ..Prompt::default()
    }
}
