//! The prompt encoder (`sam2.modeling.sam.prompt_encoder.PromptEncoder`): clicks, boxes and masks to embeddings.

use std::f32::consts::TAU;

use burn::tensor::{Tensor, TensorData};
use sam2_ops::{Activation, Implementation, LayerNorm, Linear, Parameter, PatchMerge, Weights, WeightsError};

use crate::config::Sam2Config;

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
///
/// Points are embedded on the host: they are a few numbers, and a GPU's sine may be wrong by 2^-11 (WGSL allows it),
/// which would move logits by thousandths.
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
            dense_pe: weights.table([1, side, side, dim], || encode_grid(side, &gaussian)),
            image_size: config.image_size,
            gaussian,
            labels,
            dim,
            implementation: weights.implementation().clone(),
        })
    }

    /// The sparse embedding of `points` (`[batch][n]`, as many in each): `[batch, n + 1, d]`.
    /// A padding point is appended, as both official predictors do; no points at all give `[batch, 0, d]`
    /// by not calling this.
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
            // To the pixel's centre, then to [0, 1].
            let position = [point.x, point.y].map(|v| (v + 0.5) / self.image_size as f32);
            sparse.extend(
                encode_position(position, &self.gaussian)
                    .into_iter()
                    .zip(label)
                    .map(|(p, l)| p + l),
            );
        }
        let sparse = TensorData::new(sparse, [batch, n, self.dim]);
        Tensor::from_data(sparse, self.implementation.device())
    }

    /// The dense embedding of mask logits `[b, 4h, 4w]`: `[b, h, w, d]`; without a mask `[1, 1, 1, d]`.
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
        let x = self
            .norm1
            .forward_activated(self.conv1.forward(mask), Activation::Gelu);
        let x = self
            .norm2
            .forward_activated(self.conv2.forward(x), Activation::Gelu);
        self.conv3.forward(x)
    }
}

/// `PositionEmbeddingRandom`: x and y in [0, 1] to `d` values, sines then cosines; `gaussian` is `[2, d/2]`.
fn encode_position([x, y]: [f32; 2], gaussian: &[f32]) -> Vec<f32> {
    let (of_x, of_y) = gaussian.split_at(gaussian.len() / 2);
    let (x, y) = (2.0 * x - 1.0, 2.0 * y - 1.0);
    let angles = || of_x.iter().zip(of_y).map(|(gx, gy)| (x * gx + y * gy) * TAU);
    angles().map(f32::sin).chain(angles().map(f32::cos)).collect()
}

/// The same of the centres of a grid's `side` x `side` cells, row by row: `[side, side, d]`. Sine and cosine of a sum
/// follow from those of x and of y alone, which are a hundred times fewer.
fn encode_grid(side: usize, gaussian: &[f32]) -> Vec<f32> {
    let (of_x, of_y) = gaussian.split_at(gaussian.len() / 2);
    let rotations = |of_axis: &[f32]| -> Vec<(f64, f64)> {
        let centres = (0..side).map(|i| 2.0 * ((i as f64 + 0.5) / side as f64) - 1.0);
        centres
            .flat_map(|centre| {
                of_axis
                    .iter()
                    .map(move |g| (centre * f64::from(*g) * f64::from(TAU)).sin_cos())
            })
            .collect()
    };
    let (columns, rows) = (rotations(of_x), rotations(of_y));
    let mut values = Vec::with_capacity(side * side * gaussian.len());
    for row in rows.chunks_exact(of_y.len()) {
        for column in columns.chunks_exact(of_x.len()) {
            let pairs = || row.iter().zip(column);
            values.extend(pairs().map(|((sin, cos), (sin_x, cos_x))| (sin_x * cos + cos_x * sin) as f32));
            values.extend(pairs().map(|((sin, cos), (sin_x, cos_x))| (cos_x * cos - sin_x * sin) as f32));
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_its_cells_one_by_one() {
        let gaussian = [0.3, -1.7, 2.2, 0.01, 1.1, -0.4, 0.9, -3.0];
        let side = 5;
        let centre = |i: usize| (i as f32 + 0.5) / side as f32;
        let one_by_one =
            (0..side * side).flat_map(|i| encode_position([centre(i % side), centre(i / side)], &gaussian));
        let grid = encode_grid(side, &gaussian);
        assert_eq!(grid.len(), side * side * gaussian.len());
        for (a, b) in grid.into_iter().zip(one_by_one) {
            assert!((a - b).abs() < 3e-6, "{a} for {b}");
        }
    }
}
