//! The prompt encoder (`sam2.modeling.sam.prompt_encoder.PromptEncoder`): clicks, boxes and masks to embeddings.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

use crate::config::Sam2Config;
use crate::layers::{Activation, LayerNorm, Linear, PatchMerge};
use crate::weights::{Weights, WeightsError};

/// Width of the mask's hidden convolutions, hard-coded in `sam2_base`.
const MASK_IN_CHANS: usize = 16;
/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;

/// What a point of a prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointLabel {
    /// No point: fills up batches, and marks the end of every point prompt.
    Padding,
    /// Not on the object.
    Negative,
    /// On the object.
    Positive,
    /// A box's upper left corner.
    BoxTopLeft,
    /// A box's lower right corner.
    BoxBottomRight,
}

impl PointLabel {
    /// Row of the embedding table.
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
    /// In pixels of the resized, square picture.
    pub x: f32,
    /// In pixels of the resized, square picture.
    pub y: f32,
    /// What it says.
    pub label: PointLabel,
}

impl Point {
    /// A point that says nothing.
    pub const PADDING: Self = Self {
        x: 0.0,
        y: 0.0,
        label: PointLabel::Padding,
    };
}

/// Turns prompts into what the mask decoder reads.
#[derive(Debug)]
pub struct PromptEncoder {
    /// `[2, d/2]`, random and fixed: `pe_layer.positional_encoding_gaussian_matrix`.
    gaussian: Tensor<2>,
    /// `[5, d]`: `not_a_point_embed`, then the four `point_embeddings`.
    labels: Tensor<2>,
    mask_downscaling: MaskDownscaling,
    /// `[1, 1, 1, d]`.
    no_mask_embed: Tensor<4>,
    /// `[1, h, w, d]`: the position of each place of the image embedding, computed once.
    dense_pe: Tensor<4>,
    image_size: usize,
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
            .tensor::<2>("positional_encoding_gaussian_matrix", [2, dim / 2])?;
        let mut labels = vec![weights.at("not_a_point_embed").tensor::<2>("weight", [1, dim])?];
        for i in 0..4 {
            labels.push(
                weights
                    .at(format_args!("point_embeddings.{i}"))
                    .tensor("weight", [1, dim])?,
            );
        }
        let no_mask_embed = weights.at("no_mask_embed").tensor::<2>("weight", [1, dim])?;
        let side = config.embedding_side();
        let dense_pe = encode_positions(grid_centres(side, weights.device()), gaussian.clone());
        Ok(Self {
            gaussian,
            labels: Tensor::cat(labels, 0),
            mask_downscaling: MaskDownscaling::load(weights.at("mask_downscaling"), dim)?,
            no_mask_embed: no_mask_embed.reshape([1, 1, 1, dim]),
            dense_pe: dense_pe.reshape([1, side, side, dim]),
            image_size: config.image_size,
        })
    }

    /// The sparse embedding of `points` (`[batch][n]`, as many in each): `[batch, n + 1, d]`.
    /// A padding point is appended, as both official predictors do; no points at all give `[batch, 0, d]`
    /// by not calling this.
    pub fn sparse(&self, points: &[Vec<Point>]) -> Tensor<3> {
        let device = self.gaussian.device();
        let (batch, n) = (points.len(), points.first().map_or(0, Vec::len) + 1);
        let (mut coords, mut is_point, mut one_hot) = (Vec::new(), Vec::new(), Vec::new());
        for prompt in points {
            for point in prompt.iter().chain([&Point::PADDING]) {
                // To the pixel's centre, then to [0, 1].
                coords.extend([point.x, point.y].map(|v| (v + 0.5) / self.image_size as f32));
                is_point.push(if point.label == PointLabel::Padding {
                    0f32
                } else {
                    1.0
                });
                let mut row = [0f32; 5];
                row[point.label.row()] = 1.0;
                one_hot.extend(row);
            }
        }
        let rows = batch * n;
        let coords = Tensor::<2>::from_data(TensorData::new(coords, [rows, 2]), &device);
        let is_point = Tensor::<2>::from_data(TensorData::new(is_point, [rows, 1]), &device);
        let one_hot = Tensor::<2>::from_data(TensorData::new(one_hot, [rows, 5]), &device);

        let positions = encode_positions(coords, self.gaussian.clone());
        let sparse = positions * is_point + one_hot.matmul(self.labels.clone());
        let dim = sparse.dims()[1];
        sparse.reshape([batch, n, dim])
    }

    /// The dense embedding of mask logits `[b, 4h, 4w]`: `[b, h, w, d]`; without a mask `[1, 1, 1, d]`.
    pub fn dense(&self, mask: Option<Tensor<3>>) -> Tensor<4> {
        match mask {
            Some(mask) => self.mask_downscaling.forward(mask.unsqueeze_dim(3)),
            None => self.no_mask_embed.clone(),
        }
    }

    /// `[1, h, w, d]`: where each place of the image embedding is.
    pub fn dense_pe(&self) -> Tensor<4> {
        self.dense_pe.clone()
    }
}

/// `mask_downscaling`: a mask four times as fine as the image embedding to that embedding's grid.
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
        let x = Activation::Gelu.forward(self.norm1.forward(self.conv1.forward(mask)));
        let x = Activation::Gelu.forward(self.norm2.forward(self.conv2.forward(x)));
        self.conv3.forward(x)
    }
}

/// `PositionEmbeddingRandom`: x, y in [0, 1] `[n, 2]` to `[n, d]`, sines then cosines.
fn encode_positions(coords: Tensor<2>, gaussian: Tensor<2>) -> Tensor<2> {
    let angles = (coords * 2.0 - 1.0).matmul(gaussian) * TAU;
    Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
}

/// The centres of a square grid's cells, row by row: `[side * side, 2]`.
fn grid_centres(side: usize, device: &Device) -> Tensor<2> {
    let centre = |i: usize| (i as f32 + 0.5) / side as f32;
    let coords: Vec<f32> = (0..side * side)
        .flat_map(|i| [centre(i % side), centre(i / side)])
        .collect();
    Tensor::from_data(TensorData::new(coords, [side * side, 2]), device)
}
