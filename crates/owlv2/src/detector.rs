//! A detector that is ready for pictures: boxes for words, for ready-made label embeddings, or for an example.

use std::sync::OnceLock;

use burn::tensor::{Tensor, TensorData};
use sam2_ops::{Implementation, TensorSource};
use sam2_resample::Read;

use crate::choose::choose;
use crate::decode::best_labels;
use crate::words::Words;
use crate::{
    Checkpoint, DetectError, DetectOptions, Detection, Features, LabelEmbeddings, LoadError, ObjectDetection,
    Owlv2Config, TextEncoder, Tokenizer, decode, like_box, preprocess,
};

/// The number of labels that are compared with a picture at once: 4 MB of logits for a picture of 960 pixels.
const LABELS_AT_ONCE: usize = 256;

/// The network with what is needed around it: pictures and words in, boxes in pixels out.
///
/// All methods take `&self`, so that calls may overlap, and read results from the device asynchronously, since WebGPU knows
/// no other way.
#[derive(Debug)]
pub struct Detector {
    network: ObjectDetection,
    words: Option<Words>,
    width: usize,
}

/// What a detector knows of a picture. It stays on the device until this is dropped. A second query costs only the text
/// tower, for words that are new, and a product.
#[derive(Clone, Debug)]
pub struct DetectorImage {
    features: Features,
    /// `[n, 4]` of [`Features::boxes`], on the host.
    boxes: Vec<f32>,
    /// `[n, d]` of the patches' embeddings, on the host once an example was asked for.
    embeds: OnceLock<Vec<f32>>,
    size: [usize; 2],
}

impl DetectorImage {
    /// The picture's height and width in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }
}

impl Detector {
    /// Builds the vision tower and the heads for pictures of `side` pixels (see [`Owlv2Config::side_within`]). It finds
    /// ready-made labels and examples; [`Self::with_text`] adds words.
    ///
    /// # Errors
    /// The configuration or the side cannot be run, or a tensor is missing or has another shape.
    pub fn load(
        config: &Owlv2Config,
        side: usize,
        source: &mut dyn TensorSource,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            network: ObjectDetection::load(config, side, source, implementation)?,
            words: None,
            width: config.text_config.hidden_size,
        })
    }

    /// Adds the text tower and its vocabulary, both of the same model.
    ///
    /// # Errors
    /// The vocabulary has another number of tokens than the text tower.
    pub fn with_text(mut self, text: TextEncoder, tokenizer: Tokenizer) -> Result<Self, LoadError> {
        self.words = Some(Words::new(text, tokenizer)?);
        Ok(self)
    }

    /// Builds all that a file has: the vision tower, and the text tower if the file has one and `merges` is its vocabulary
    /// (`merges.txt`).
    ///
    /// # Errors
    /// A tensor is missing or does not match the configuration, the side cannot be run, or the vocabulary is not one or has
    /// another number of tokens.
    pub fn from_checkpoint(
        checkpoint: &mut Checkpoint,
        config: &Owlv2Config,
        side: usize,
        merges: Option<&[u8]>,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        // What takes least time is checked first.
        config.check_side(side)?;
        checkpoint.check(config)?;
        let tokenizer = merges.map(Tokenizer::from_merges).transpose()?;
        if let Some(tokenizer) = &tokenizer {
            tokenizer.check(config.text_config.vocab_size)?;
        }
        let detector = Self::load(config, side, checkpoint, implementation)?;
        match tokenizer.filter(|_| checkpoint.has_text()) {
            Some(tokenizer) => {
                detector.with_text(TextEncoder::load(config, checkpoint, implementation)?, tokenizer)
            }
            None => Ok(detector),
        }
    }

    /// The side in pixels of the square to which pictures are resized.
    pub fn side(&self) -> usize {
        self.network.side()
    }

    /// The width of an embedding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether words can be looked for.
    pub fn has_text(&self) -> bool {
        self.words.is_some()
    }

    /// The network.
    pub fn network(&self) -> &ObjectDetection {
        &self.network
    }

    /// Encodes a picture of `[height, width]` pixels, which takes most of the time. Returns when the device has finished.
    /// `read` reads a row: its red values from 0 to 255, then the green, then the blue ones.
    ///
    /// # Errors
    /// The picture is empty, or the device failed.
    pub async fn set_image(
        &self,
        [height, width]: [usize; 2],
        read: Read<'_, f32>,
    ) -> Result<DetectorImage, DetectError> {
        if height == 0 || width == 0 {
            return Err(DetectError::EmptyPicture { width, height });
        }
        let device = self.network.implementation().device();
        let features = self
            .network
            .encode(preprocess([height, width], self.side(), read, device));
        let boxes = values(features.boxes.clone()).await?;
        Ok(DetectorImage {
            features,
            boxes,
            embeds: OnceLock::new(),
            size: [height, width],
        })
    }

    /// Finds the objects that words name, the best first. Each place of the picture has the label that fits it best. The
    /// words' embeddings are kept, so that they are computed once.
    ///
    /// # Errors
    /// The errors of [`Self::embed`] and [`Self::find_labels`].
    pub async fn find(
        &self,
        image: &DetectorImage,
        labels: &[impl AsRef<str>],
        options: DetectOptions,
    ) -> Result<Vec<Detection>, DetectError> {
        options.check()?;
        let labels = self.embed(labels).await?;
        self.find_labels(image, &labels, options).await
    }

    /// Finds the objects that are like the one in a box of the picture, the best first. The one in the box is among them.
    ///
    /// # Errors
    /// The errors of [`Self::embed_example`] and [`Self::find_labels`].
    pub async fn find_like(
        &self,
        image: &DetectorImage,
        example: [f32; 4],
        options: DetectOptions,
    ) -> Result<Vec<Detection>, DetectError> {
        options.check()?;
        let example = self.embed_example(image, example, "").await?;
        self.find_labels(image, &example, options).await
    }

    /// Finds the objects of label embeddings, the best first. Each place of the picture has the label that fits it best.
    ///
    /// # Errors
    /// The embeddings have another width than the detector's, an option is out of range, or the device failed.
    pub async fn find_labels(
        &self,
        image: &DetectorImage,
        labels: &LabelEmbeddings,
        options: DetectOptions,
    ) -> Result<Vec<Detection>, DetectError> {
        options.check()?;
        if labels.width() != self.width {
            return Err(DetectError::Width {
                expected: self.width,
                found: labels.width(),
            });
        }
        let device = self.network.implementation().device();
        let mut best = vec![(0, f32::NEG_INFINITY); image.boxes.len() / 4];
        for (part, rows) in labels.values().chunks(LABELS_AT_ONCE * self.width).enumerate() {
            let count = rows.len() / self.width;
            let queries = TensorData::new(rows.to_vec(), [count, self.width]);
            let queries = Tensor::from_data(queries, device);
            let logits = values(self.network.logits(&image.features, queries)).await?;
            for (best, (label, logit)) in best.iter_mut().zip(best_labels(&logits, count)) {
                if logit > best.1 {
                    *best = (part * LABELS_AT_ONCE + label, logit);
                }
            }
        }
        let boxes = decode(best, &image.boxes, image.size, options.threshold);
        Ok(choose(&boxes, image.size, options))
    }

    /// The embeddings of words, in their order. Those that were asked for before are not computed again.
    ///
    /// # Errors
    /// There is no label, one of them is empty, the detector has no text tower, or the device failed.
    pub async fn embed(&self, labels: &[impl AsRef<str>]) -> Result<LabelEmbeddings, DetectError> {
        let labels: Vec<&str> = labels.iter().map(|label| label.as_ref().trim()).collect();
        if labels.is_empty() {
            return Err(DetectError::NoLabels);
        }
        if let Some(index) = labels.iter().position(|label| label.is_empty()) {
            return Err(DetectError::EmptyLabel { index });
        }
        let words = self.words.as_ref().ok_or(DetectError::NoText)?;
        words.embed(&labels).await
    }

    /// The embedding of the object in a box of the picture: left, top, right and bottom in pixels. It finds objects like it
    /// in any picture, by [`Self::find_labels`]. `name` is what they are called.
    ///
    /// # Errors
    /// The box is empty or outside the picture, or the device failed.
    pub async fn embed_example(
        &self,
        image: &DetectorImage,
        example: [f32; 4],
        name: &str,
    ) -> Result<LabelEmbeddings, DetectError> {
        let ([height, width], [x0, y0, x1, y1]) = (image.size, example);
        let wrong = DetectError::Example {
            edges: example,
            width,
            height,
        };
        // Written so that NaN is refused.
        let inside = x0 < x1 && y0 < y1 && x0 < width as f32 && y0 < height as f32 && x1 > 0.0 && y1 > 0.0;
        if !inside || example.iter().any(|edge| !edge.is_finite()) {
            return Err(wrong);
        }
        let embeds = match image.embeds.get() {
            Some(embeds) => embeds,
            None => {
                let embeds = values(image.features.classes.embeds.clone()).await?;
                image.embeds.get_or_init(|| embeds)
            }
        };
        let square = width.max(height) as f32;
        let patch = like_box(&image.boxes, embeds, example.map(|edge| edge / square)).ok_or(wrong)?;
        let embed = &embeds[patch * self.width..(patch + 1) * self.width];
        LabelEmbeddings::new(vec![name.to_owned()], embed.to_vec())
    }
}

/// The values of a tensor, on the host.
pub(crate) async fn values(x: Tensor<2>) -> Result<Vec<f32>, DetectError> {
    let data = x.into_data_async().await;
    let data = data.map_err(|error| DetectError::Device(format!("{error:?}")))?;
    Ok(data.iter().collect())
}
