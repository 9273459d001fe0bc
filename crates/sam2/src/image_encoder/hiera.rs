//! Hiera, the trunk (`sam2.modeling.backbones.hieradet`). Channels come last throughout.

use burn::tensor::Tensor;
use sam2_ops::{
    Activation, Implementation, LayerNorm, Linear, LinearParameters, Mlp, Parameter, PatchEmbed, Weights,
    WeightsError, WindowedAttention, by_rows, by_windows, windowed_attention,
};

use super::pos_embed::load_pos_embed;
use crate::config::HieraConfig;

/// The official class's defaults, which no published configuration changes.
const EPS: f64 = 1e-6;
const MLP_RATIO: usize = 4;

/// Four stages of blocks, each stage at half the resolution and twice the width of the one before.
#[derive(Debug)]
pub struct Hiera {
    /// The strided convolution that turns pixels into tokens and adds `pos_embed` to them.
    pub patch_embed: PatchEmbed,
    /// `[1, s/4, s/4, embed_dim]`, computed once from the two learned tables.
    pub pos_embed: Parameter<4>,
    /// The blocks of all stages, in their order.
    pub blocks: Vec<MultiScaleBlock>,
    stage_ends: Vec<usize>,
}

impl Hiera {
    /// Takes `patch_embed`, `pos_embed`, `pos_embed_window` and `blocks`, for pictures of `image_size` pixels.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &HieraConfig, image_size: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        let pos_embed = load_pos_embed(config, image_size / PatchEmbed::STRIDE, &mut weights)?;
        let patch_embed = PatchEmbed::load(weights.at("patch_embed"), config.embed_dim, pos_embed.clone())?;

        let stage_ends = config.stage_ends();
        let mut blocks = Vec::new();
        let (mut embed_dim, mut num_heads, mut cur_stage) = (config.embed_dim, config.num_heads, 0);
        for i in 0..config.stages.iter().sum() {
            let mut dim_out = embed_dim;
            // The window lags by a block: a stage's first block pools inside the window of the stage before.
            let window_size = match config.global_att_blocks.contains(&i) {
                true => 0,
                false => config.window_spec[cur_stage],
            };
            if i > 0 && stage_ends.contains(&(i - 1)) {
                dim_out *= 2;
                num_heads *= 2;
                cur_stage += 1;
            }
            let weights = weights.at(format_args!("blocks.{i}"));
            blocks.push(MultiScaleBlock::load(
                weights,
                embed_dim,
                dim_out,
                num_heads,
                window_size,
            )?);
            embed_dim = dim_out;
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
        // Embed patches and add `pos_embed`
        let mut x = self.patch_embed.forward(x);

        let mut outputs = Vec::with_capacity(self.stage_ends.len());
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if self.stage_ends.contains(&i) {
                outputs.push(x.clone());
            }
        }
        outputs
    }
}

/// `hieradet.MultiScaleBlock`: attention in windows or over the whole picture, then an MLP. The first block of every
/// stage but the first halves the resolution and doubles the width.
#[derive(Debug)]
pub struct MultiScaleBlock {
    norm1: LayerNorm,
    attn: MultiScaleAttention,
    norm2: LayerNorm,
    mlp: Mlp,
    /// Only where the width grows. These are also the blocks that pool queries.
    proj: Option<Linear>,
    window_size: usize,
    /// The number of values per pixel of the widest tensor, which holds queries, keys and values.
    widest: usize,
    implementation: Implementation,
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
        let attention = WindowedAttention {
            num_heads,
            window: window_size,
            pools,
        };
        let widths = [dim_out, dim_out * MLP_RATIO, dim_out];
        Ok(Self {
            norm1: LayerNorm::load(weights.at("norm1"), dim, EPS)?,
            attn: MultiScaleAttention::load(weights.at("attn"), dim, dim_out, attention)?,
            norm2: LayerNorm::load(weights.at("norm2"), dim_out, EPS)?,
            mlp: Mlp::load(weights.at("mlp"), &widths, Activation::Gelu)?,
            proj: pools
                .then(|| Linear::load(weights.at("proj"), dim, dim_out))
                .transpose()?,
            window_size,
            widest: 3 * dim_out,
            implementation: weights.implementation().clone(),
        })
    }

    /// `[b, h, w, dim]` to the same, or to `[b, h/2, w/2, 2 dim]` in a stage's first block.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        by_windows(&self.implementation, x, self.window_size, self.widest, |x| {
            let shortcut = x.clone();
            let x = self.norm1.forward(x);

            // Skip connection. The official code projects the normalised tokens, not the block's input.
            let shortcut = match &self.proj {
                Some(proj) => self.implementation.max_pool(proj.forward(x.clone())),
                None => shortcut,
            };

            // Window partition, window attention + Q pooling (if stage change), reverse window partition
            let x = self.attn.forward_onto(x, shortcut);

            // MLP
            by_rows(&self.implementation, x, |x| {
                self.mlp.forward_onto(self.norm2.forward(x.clone()), x)
            })
        })
    }
}

/// `hieradet.MultiScaleAttention`: multi-head attention in windows; its queries may be pooled 2x2.
#[derive(Debug)]
pub struct MultiScaleAttention {
    qkv: Linear,
    /// `[3 dim_out]`, `qkv`'s bias: what the layer makes of the zeros that pad a window beyond the picture's edge.
    padding: Parameter<1>,
    proj: Linear,
    attention: WindowedAttention,
    implementation: Implementation,
}

impl MultiScaleAttention {
    fn load(
        mut weights: Weights,
        dim: usize,
        dim_out: usize,
        attention: WindowedAttention,
    ) -> Result<Self, WeightsError> {
        let qkv = LinearParameters::load(&mut weights.at("qkv"), dim, 3 * dim_out)?;
        Ok(Self {
            padding: qkv.bias.clone(),
            qkv: Linear::new(&weights, qkv, 3 * dim_out),
            proj: Linear::load(weights.at("proj"), dim_out, dim_out)?,
            attention,
            implementation: weights.implementation().clone(),
        })
    }

    /// `[b, h, w, dim]` to `[b, h, w, dim_out]`, or to `[b, h/2, w/2, dim_out]` where queries are pooled, added to
    /// `shortcut` of the same shape.
    fn forward_onto(&self, x: Tensor<4>, shortcut: Tensor<4>) -> Tensor<4> {
        let qkv = self.qkv.forward(x);
        let x = windowed_attention(&self.implementation, qkv, &self.padding, self.attention);
        self.proj.forward_onto(x, shortcut)
    }
}
