//! The prompt encoder, which turns clicks, boxes and masks into embeddings
//! (`sam2.modeling.sam.prompt_encoder.PromptEncoder`).

use burn::tensor::{Tensor, TensorData};
use sam2_ops::{Activation, Implementation, LayerNorm, Linear, Parameter, PatchMerge, Weights, WeightsError};

use crate::config::Sam2Config;
use crate::position_encoding::{position_embedding_random, position_embedding_random_grid};

/// Channels of the mask's second convolution, hard-coded in `sam2_base._build_sam_heads`.
const MASK_IN_CHANS: usize = 16;
/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;

/// What a point of a prompt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointLabel {
    /// Not a point: it fills up batches and is appended to every prompt of points.
    Padding,
    /// A click that is not on the object.
    Negative,
    /// A click on the object.
    Positive,
    /// A box's upper left corner.
    BoxTopLeft,
    /// A box's lower right corner.
    BoxBottomRight,
}

impl PointLabel {
    /// Row of [`PromptEncoder`]'s table `labels`.
    fn row(self) -> usize {
        match self {
            Self::Padding => 0,
            Self::Negative => 1,
            Self::Positive => 2,
            Self::BoxTopLeft => 3,
            Self::BoxBottomRight => 4,
        }
    }
}

/// A point of a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Pixels from the left edge of the resized, square picture.
    pub x: f32,
    /// Pixels from the top edge of the resized, square picture.
    pub y: f32,
    /// What the point means.
    pub label: PointLabel,
}

impl Point {
    /// A point without a meaning, for padding.
    pub const PADDING: Self = Self {
        x: 0.0,
        y: 0.0,
        label: PointLabel::Padding,
    };
}

/// Turns prompts into the embeddings that the mask decoder reads.
///
/// Points are embedded on the host: they are only a few numbers, and WGSL allows a GPU's sine an error of 2^-11, which
/// would change logits by thousandths.
#[derive(Debug)]
pub struct PromptEncoder {
    /// `[2, d/2]`, random and fixed: `pe_layer.positional_encoding_gaussian_matrix`.
    gaussian: Vec<f32>,
    /// `[5, d]`: `not_a_point_embed`, then the four `point_embeddings`.
    labels: Vec<f32>,
    mask_downscaling: MaskDownscaling,
    /// `[1, 1, 1, d]`.
    no_mask_embed: Parameter<4>,
    /// `[1, h, w, d]`: the position of each token of the image embedding, computed once.
    dense_pe: Parameter<4>,
    image_size: usize,
    dim: usize,
    implementation: Implementation,
}

impl PromptEncoder {
    /// Takes `pe_layer`, `point_embeddings`, `not_a_point_embed`, `mask_downscaling` and `no_mask_embed`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let dim = config.neck.d_model;
        let gaussian = weights
            .at("pe_layer")
            .values("positional_encoding_gaussian_matrix", &[2, dim / 2])?;
        let mut labels = weights.at("not_a_point_embed").values("weight", &[1, dim])?;
        for i in 0..4 {
            let mut embedding = weights.at(format_args!("point_embeddings.{i}"));
            labels.extend(embedding.values("weight", &[1, dim])?);
        }
        let no_mask_embed = weights.at("no_mask_embed").parameter::<2>("weight", [1, dim])?;
        let side = config.embedding_side();
        Ok(Self {
            mask_downscaling: MaskDownscaling::load(weights.at("mask_downscaling"), dim)?,
            no_mask_embed: no_mask_embed.map(|embed| embed.reshape([1, 1, 1, dim])),
            dense_pe: weights.table([1, side, side, dim], || {
                position_embedding_random_grid(side, &gaussian)
            }),
            image_size: config.image_size,
            gaussian,
            labels,
            dim,
            implementation: weights.implementation().clone(),
        })
    }

    /// The sparse embedding of `points` (`[batch][n]`, with the same n for each prompt): `[batch, n + 1, d]`. A padding
    /// point is appended, as in both official predictors. A prompt without points has no sparse embedding.
    pub fn sparse(&self, points: &[Vec<Point>]) -> Tensor<3> {
        let (batch, n) = (points.len(), points.first().map_or(0, Vec::len) + 1);
        let mut sparse = Vec::with_capacity(batch * n * self.dim);
        for point in points
            .iter()
            .flat_map(|prompt| prompt.iter().chain([&Point::PADDING]))
        {
            let label = &self.labels[point.label.row() * self.dim..][..self.dim];
            if point.label == PointLabel::Padding {
                sparse.extend_from_slice(label);
                continue;
            }
            // Shift to the centre of the pixel, then scale to [0, 1]
            let position = [point.x, point.y].map(|v| (v + 0.5) / self.image_size as f32);
            sparse.extend(
                position_embedding_random(position, &self.gaussian)
                    .into_iter()
                    .zip(label)
                    .map(|(p, l)| p + l),
            );
        }
        let sparse = TensorData::new(sparse, [batch, n, self.dim]);
        Tensor::from_data(sparse, self.implementation.device())
    }

    /// The dense embedding: `[b, h, w, d]` of mask logits `[b, 4h, 4w]`, or `no_mask_embed` `[1, 1, 1, d]` without a
    /// mask.
    pub fn dense(&self, mask: Option<Tensor<3>>) -> Tensor<4> {
        match mask {
            Some(mask) => self.mask_downscaling.forward(mask.unsqueeze_dim(3)),
            None => self.no_mask_embed.value(),
        }
    }

    /// `[1, h, w, d]`: the position of each token of the image embedding (`get_dense_pe`).
    pub fn dense_pe(&self) -> Tensor<4> {
        self.dense_pe.value()
    }
}

/// `mask_downscaling`: a mask of four times the image embedding's resolution to the embedding's grid.
#[derive(Debug)]
struct MaskDownscaling {
    conv1: PatchMerge,
    norm1: LayerNorm,
    conv2: PatchMerge,
    norm2: LayerNorm,
    conv3: Linear,
}

impl MaskDownscaling {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let hidden = MASK_IN_CHANS / 4;
        Ok(Self {
            conv1: PatchMerge::load(weights.at("0"), 1, hidden)?,
            norm1: LayerNorm::load(weights.at("1"), hidden, EPS)?,
            conv2: PatchMerge::load(weights.at("3"), hidden, MASK_IN_CHANS)?,
            norm2: LayerNorm::load(weights.at("4"), MASK_IN_CHANS, EPS)?,
            conv3: Linear::load_conv_1x1(weights.at("6"), MASK_IN_CHANS, dim)?,
        })
    }

    /// `[b, 4h, 4w, 1]` to `[b, h, w, d]`.
    fn forward(&self, mask: Tensor<4>) -> Tensor<4> {
        let x = self
            .norm1
            .forward_activated(self.conv1.forward(mask), Activation::Gelu);
        let x = self
            .norm2
            .forward_activated(self.conv2.forward(x), Activation::Gelu);
        self.conv3.forward(x)
    }
}
