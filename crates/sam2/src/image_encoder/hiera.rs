//! Hiera, the trunk (`sam2.modeling.backbones.hieradet`). Channels come last throughout.

use burn::tensor::{Tensor, TensorData, module, ops::ConvOptions};

#[cfg(feature = "webgpu")]
use sam2_kernels::{
    AttentionShape,
    tensors::{self, Heads, LinearOptions, Residual},
};

use crate::config::HieraConfig;
use crate::layers::{Activation, LayerNorm, Linear, Mlp, attention, by_strips, max_pool};
#[cfg(feature = "flex")]
use crate::layers::{PackedConvolution, is_packed};
#[cfg(feature = "webgpu")]
use crate::layers::{adapter, contiguous, is_gpu, rows};
use crate::weights::{Weights, WeightsError};

/// The official class's defaults, which no published configuration changes.
const EPS: f64 = 1e-6;
const MLP_RATIO: usize = 4;
const Q_STRIDE: usize = 2;
const PATCH_KERNEL: usize = 7;
const PATCH_STRIDE: usize = 4;
const PATCH_PADDING: usize = 3;
/// That go through a block together on the CPU, about.
const TOKENS: usize = 1024;

/// Four stages of blocks, each stage at half the resolution and twice the width of the one before.
#[derive(Debug)]
pub struct Hiera {
    /// The strided convolution that makes tokens of pixels.
    pub patch_embed: PatchEmbed,
    /// `[1, s/4, s/4, embed_dim]`, computed once from the two learned tables.
    pub pos_embed: Tensor<4>,
    /// All blocks of all stages.
    pub blocks: Vec<MultiScaleBlock>,
    stage_ends: Vec<usize>,
}

impl Hiera {
    /// Takes `patch_embed`, `pos_embed`, `pos_embed_window` and `blocks`, for pictures of `image_size` pixels.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &HieraConfig, image_size: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        let patch_embed = PatchEmbed::load(weights.at("patch_embed"), config.embed_dim)?;
        let pos_embed = load_pos_embed(config, image_size / PATCH_STRIDE, &mut weights)?;

        let stage_ends = config.stage_ends();
        let mut blocks = Vec::new();
        let (mut dim, mut heads) = (config.embed_dim, config.num_heads);
        for index in 0..config.stages.iter().sum() {
            let previous_stage_ended = index > 0 && stage_ends.contains(&(index - 1));
            // The window of a stage's first block is still the stage's before: it pools inside that window.
            let stage = stage_ends.iter().filter(|&&end| end < index).count();
            let window_size = match config.global_att_blocks.contains(&index) {
                true => 0,
                false => config.window_spec[if previous_stage_ended { stage - 1 } else { stage }],
            };
            let (dim_out, heads_out) = if previous_stage_ended {
                (dim * 2, heads * 2)
            } else {
                (dim, heads)
            };
            blocks.push(MultiScaleBlock::load(
                weights.at(format_args!("blocks.{index}")),
                dim,
                dim_out,
                heads_out,
                window_size,
            )?);
            (dim, heads) = (dim_out, heads_out);
        }
        Ok(Self {
            patch_embed,
            pos_embed,
            blocks,
            stage_ends,
        })
    }

    /// `[b, 3, s, s]` to the four stages' outputs, finest first: `[b, s/4, s/4, c]` … `[b, s/32, s/32, 8c]`.
    pub fn forward(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.patch_embed.forward_with(x, &self.pos_embed);
        let mut stages = Vec::with_capacity(self.stage_ends.len());
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if self.stage_ends.contains(&index) {
                stages.push(x.clone());
            }
        }
        stages
    }
}

impl HieraConfig {
    /// Index of each stage's last block.
    pub fn stage_ends(&self) -> Vec<usize> {
        self.stages
            .iter()
            .scan(0, |sum, &blocks| {
                *sum += blocks;
                Some(*sum - 1)
            })
            .collect()
    }
}

/// `sam2.modeling.backbones.utils.PatchEmbed`: a 7x7 convolution of stride 4.
#[derive(Debug)]
pub struct PatchEmbed {
    weight: Tensor<4>,
    bias: Tensor<1>,
    #[cfg(feature = "flex")]
    packed: Option<PackedConvolution>,
    /// On a GPU: `[3 * 7 * 7, embed_dim]`.
    #[cfg(feature = "webgpu")]
    matrix: Option<Tensor<2>>,
}

impl PatchEmbed {
    /// Takes `proj`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, embed_dim: usize) -> Result<Self, WeightsError> {
        let mut proj = weights.at("proj");
        let weight = proj.tensor("weight", [embed_dim, 3, PATCH_KERNEL, PATCH_KERNEL])?;
        let bias = proj.tensor::<1>("bias", [embed_dim])?;
        Ok(Self {
            #[cfg(feature = "flex")]
            packed: is_packed(&weight.device())
                .then(|| PackedConvolution::new(weight.clone(), bias.clone(), PATCH_STRIDE, PATCH_PADDING)),
            #[cfg(feature = "webgpu")]
            matrix: is_gpu(&weight.device())
                .then(|| contiguous(weight.clone().reshape([embed_dim as i64, -1]).transpose())),
            weight,
            bias,
        })
    }

    /// `[b, 3, s, s]` to `[b, s/4, s/4, embed_dim]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "flex")]
        if let Some(packed) = &self.packed {
            return packed.forward(x);
        }
        let options = ConvOptions::new([PATCH_STRIDE; 2], [PATCH_PADDING; 2], [1, 1], 1);
        module::conv2d(x, self.weight.clone(), Some(self.bias.clone()), options).permute([0, 2, 3, 1])
    }

    /// The same, and `position` `[1, s/4, s/4, embed_dim]` added.
    fn forward_with(&self, x: Tensor<4>, position: &Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "webgpu")]
        if let Some(matrix) = &self.matrix {
            let [_, _, h, w] = x.dims();
            if tensors::supports_patch_embed([h, w], matrix.dims()[1]) {
                return tensors::patch_embed(x, matrix, &self.bias, position);
            }
        }
        self.forward(x) + position.clone()
    }
}

/// Attention (in windows, or over all) and an MLP; a stage's first block also halves the resolution.
#[derive(Debug)]
pub struct MultiScaleBlock {
    norm1: LayerNorm,
    attn: MultiScaleAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    /// Only where the width grows, which is also where queries are pooled.
    proj: Option<Linear>,
    window_size: usize,
}

impl MultiScaleBlock {
    fn load(
        mut weights: Weights,
        dim: usize,
        dim_out: usize,
        num_heads: usize,
        window_size: usize,
    ) -> Result<Self, WeightsError> {
        let pools = dim != dim_out;
        Ok(Self {
            norm1: LayerNorm::load(weights.at("norm1"), dim, EPS)?,
            attn: MultiScaleAttention::load(weights.at("attn"), dim, dim_out, num_heads, pools)?,
            norm2: LayerNorm::load(weights.at("norm2"), dim_out, EPS)?,
            mlp: Mlp::load(
                weights.at("mlp"),
                &[dim_out, dim_out * MLP_RATIO, dim_out],
                Activation::Gelu,
            )?,
            proj: pools
                .then(|| Linear::load(weights.at("proj"), dim, dim_out))
                .transpose()?,
            window_size,
        })
    }

    /// `[b, h, w, dim]` to the same, or to `[b, h/2, w/2, 2 dim]` in a stage's first block.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "webgpu")]
        if is_gpu(&x.device()) {
            return self.on_gpu(x);
        }
        let [_, _, w, _] = x.dims();
        if self.window_size == 0 {
            let attended = self.attend(x);
            return by_strips(attended, TOKENS.div_ceil(w), |x| self.feed_forward(x));
        }
        // Windows know nothing of each other, so a row of them goes through the whole block while it is in the cache.
        let windows = (TOKENS / (self.window_size * w)).max(1);
        by_strips(x, windows * self.window_size, |x| {
            self.feed_forward(self.attend(x))
        })
    }

    /// The block's first half.
    fn attend(&self, x: Tensor<4>) -> Tensor<4> {
        let normed = self.norm1.forward(x.clone());
        let shortcut = match &self.proj {
            // The official code projects the normed tokens here, not the block's input.
            Some(proj) => max_pool(proj.forward(normed.clone())),
            None => x,
        };
        let [_, h, w, _] = shortcut.dims();
        let attended = if self.window_size == 0 {
            self.attn.forward(normed)
        } else {
            let (windows, [b, rows, columns]) = window_partition(normed, self.window_size);
            window_unpartition(self.attn.forward(windows), [b, rows, columns], [h, w])
        };
        shortcut + attended
    }

    /// The block's second half.
    fn feed_forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.mlp.forward_onto(self.norm2.forward(x.clone()), x)
    }

    /// The same by kernels of our own, which find windows by arithmetic.
    #[cfg(feature = "webgpu")]
    fn on_gpu(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, _] = x.dims();
        let normed = self.norm1.forward(x.clone());
        let shortcut = match &self.proj {
            Some(proj) => tensors::max_pool(proj.forward(normed.clone())),
            None => x,
        };
        let dims = shortcut.dims();
        let [_, rows_out, columns_out, dim] = dims;
        let attn = &self.attn;
        let qkv = attn.qkv.on_gpu(normed, LinearOptions::default());
        let part = |i: usize| Heads {
            tokens: qkv.clone(),
            offset: i * dim,
        };
        let shape = AttentionShape {
            batch: b,
            heads: attn.num_heads,
            width: dim / attn.num_heads,
            queries: [rows_out, columns_out],
            keys: [h, w],
            window: match self.window_size {
                0 => [h, w],
                size => [size, size],
            },
            pools: attn.pools,
        };
        // Padding is zeros before the projection, and so its bias after it.
        let (_, padding) = attn.qkv.parameters();
        let attended = tensors::attention(adapter(), shape, part(0), part(1), part(2), padding);
        let onto = LinearOptions {
            residual: Some(Residual::Repeated(rows(shortcut))),
            ..LinearOptions::default()
        };
        let x = attn.proj.on_gpu(attended, onto).reshape(dims);
        self.mlp.forward_onto(self.norm2.forward(x.clone()), x)
    }
}

/// `hieradet.MultiScaleAttention`: multi-head attention whose queries may be pooled 2x2.
#[derive(Debug)]
pub struct MultiScaleAttention {
    qkv: Linear,
    proj: Linear,
    num_heads: usize,
    pools: bool,
}

impl MultiScaleAttention {
    fn load(
        mut weights: Weights,
        dim: usize,
        dim_out: usize,
        num_heads: usize,
        pools: bool,
    ) -> Result<Self, WeightsError> {
        Ok(Self {
            qkv: Linear::load(weights.at("qkv"), dim, 3 * dim_out)?,
            proj: Linear::load(weights.at("proj"), dim_out, dim_out)?,
            num_heads,
            pools,
        })
    }

    /// `[b, h, w, dim]` to `[b, h, w, dim_out]`, halved where queries are pooled.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [b, h, w, _] = x.dims();
        let qkv = self.qkv.forward(x);
        let dim = qkv.dims()[3] / 3;
        let width = dim / self.num_heads;
        // `[3, b, heads, n, width]`, and views of it, so that nothing is copied.
        let parts: Tensor<5> = qkv
            .clone()
            .reshape([b, h * w, 3, self.num_heads, width])
            .permute([2, 0, 3, 1, 4]);
        let part = |i: usize| parts.clone().narrow(0, i, 1);
        let (q, h, w) = if self.pools {
            let (h, w) = (h / Q_STRIDE, w / Q_STRIDE);
            let q: Tensor<5> = max_pool(qkv.narrow(3, 0, dim)).reshape([1, b, h * w, self.num_heads, width]);
            (q.swap_dims(2, 3), h, w)
        } else {
            (part(0), h, w)
        };
        let x: Tensor<5> = attention(q, part(1), part(2));
        self.proj.forward(x.swap_dims(2, 3).reshape([b, h, w, dim]))
    }
}

/// Cuts `[b, h, w, c]` into `[b * rows * columns, size, size, c]`, padding with zeros at the bottom and right.
/// The padding is attended to, as in the official code. Also returns `[b, rows, columns]`.
fn window_partition(x: Tensor<4>, size: usize) -> (Tensor<4>, [usize; 3]) {
    let [b, h, w, c] = x.dims();
    let (rows, columns) = (h.div_ceil(size), w.div_ceil(size));
    let (pad_h, pad_w) = (rows * size - h, columns * size - w);
    let x = if pad_h + pad_w > 0 {
        x.pad([(0, pad_h), (0, pad_w), (0, 0)], 0.0)
    } else {
        x
    };
    let windows: Tensor<6> = x
        .reshape([b, rows, size, columns, size, c])
        .permute([0, 1, 3, 2, 4, 5]);
    (
        windows.reshape([b * rows * columns, size, size, c]),
        [b, rows, columns],
    )
}

/// Undoes [`window_partition`] and drops what lies beyond `[h, w]`.
fn window_unpartition(x: Tensor<4>, [b, rows, columns]: [usize; 3], [h, w]: [usize; 2]) -> Tensor<4> {
    let [_, size, _, c] = x.dims();
    let windows: Tensor<6> = x
        .reshape([b, rows, columns, size, size, c])
        .permute([0, 1, 3, 2, 4, 5]);
    let x: Tensor<4> = windows.reshape([b, rows * size, columns * size, c]);
    if [rows * size, columns * size] == [h, w] {
        x
    } else {
        x.slice([0..b, 0..h, 0..w, 0..c])
    }
}

/// The background table, stretched over the whole grid, plus the window's table, repeated over it
/// (`Hiera._get_pos_embed`): `[1, side, side, embed_dim]`. On the host, where it is some four sums a value.
fn load_pos_embed(
    config: &HieraConfig,
    side: usize,
    weights: &mut Weights,
) -> Result<Tensor<4>, WeightsError> {
    let [bkg_h, bkg_w] = config.window_pos_embed_bkg_spatial_size;
    let (dim, window) = (config.embed_dim, config.window_spec[0]);
    let background = weights.values("pos_embed", &[1, dim, bkg_h, bkg_w])?;
    let tile = weights.values("pos_embed_window", &[1, dim, window, window])?;
    let background = channels_last(&background, dim);
    let tile = channels_last(&tile, dim);

    let mut values = sam2_resample::bicubic(&background, dim, [bkg_h, bkg_w], [side, side]);
    for (y, row) in values.chunks_exact_mut(side * dim).enumerate() {
        let tile = &tile[y % window * window * dim..][..window * dim];
        for (value, tile) in row.iter_mut().zip(tile.iter().cycle()) {
            *value += tile;
        }
    }
    let values = TensorData::new(values, [1, side, side, dim]);
    Ok(Tensor::from_data(values, weights.device()))
}

/// `[dim, n]` to `[n, dim]`.
fn channels_last(values: &[f32], dim: usize) -> Vec<f32> {
    let n = values.len() / dim;
    (0..n * dim).map(|at| values[at % dim * n + at / dim]).collect()
}
