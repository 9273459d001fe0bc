//! The decoder's transformer, in which tokens attend to the picture and the picture to the tokens
//! (`sam2.modeling.sam.transformer.TwoWayTransformer`).

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors::{LinearOptions, Residual};

use crate::layers::{Activation, Attention, LayerNorm, Mlp};
#[cfg(feature = "webgpu")]
use crate::layers::{is_gpu, rows};
use crate::weights::{Weights, WeightsError};

/// Hard-coded in `sam2_base._build_sam_heads`.
const DEPTH: usize = 2;
const NUM_HEADS: usize = 8;
const MLP_DIM: usize = 2048;
/// Cross-attention is half as wide as the tokens.
const DOWNSAMPLE_RATE: usize = 2;
/// `nn.LayerNorm`'s default.
const EPS: f64 = 1e-5;

/// Two blocks and a last attention from the tokens to the picture.
#[derive(Debug)]
pub struct TwoWayTransformer {
    layers: Vec<TwoWayAttentionBlock>,
    final_attn_token_to_image: Attention,
    norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    /// Takes `layers`, `final_attn_token_to_image` and `norm_final_attn`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let layers = (0..DEPTH)
            .map(|i| TwoWayAttentionBlock::load(weights.at(format_args!("layers.{i}")), dim, i == 0))
            .collect::<Result<_, _>>()?;
        let internal = dim / DOWNSAMPLE_RATE;
        Ok(Self {
            layers,
            final_attn_token_to_image: Attention::load(
                weights.at("final_attn_token_to_image"),
                dim,
                internal,
                NUM_HEADS,
            )?,
            norm_final_attn: LayerNorm::load(weights.at("norm_final_attn"), dim, EPS)?,
        })
    }

    /// `image` `[b, hw, d]`, its positions `image_pe` `[1, hw, d]` and `tokens` `[b, n, d]`
    /// to the updated tokens and the updated picture.
    pub fn forward(
        &self,
        image: Tensor<3>,
        image_pe: Tensor<3>,
        tokens: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let (mut queries, mut keys) = (tokens.clone(), image);
        for layer in &self.layers {
            (queries, keys) = layer.forward(queries, keys, tokens.clone(), image_pe.clone());
        }
        #[cfg(feature = "webgpu")]
        if is_gpu(&keys.device()) {
            queries = self.final_attn_token_to_image.on_gpu(
                [queries.clone(), keys.clone(), keys.clone()],
                [Some(tokens), Some(image_pe)],
                Some(queries),
            );
            return (self.norm_final_attn.forward(queries), keys);
        }
        let q = queries.clone() + tokens;
        let k = keys.clone() + image_pe;
        queries = queries + self.final_attn_token_to_image.forward(q, k, keys.clone());
        (self.norm_final_attn.forward(queries), keys)
    }
}

/// Self-attention of the tokens, tokens to picture, MLP, picture to tokens.
#[derive(Debug)]
struct TwoWayAttentionBlock {
    self_attn: Attention,
    norm1: LayerNorm,
    cross_attn_token_to_image: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    norm3: LayerNorm,
    cross_attn_image_to_token: Attention,
    norm4: LayerNorm,
    skip_first_layer_pe: bool,
}

impl TwoWayAttentionBlock {
    fn load(mut weights: Weights, dim: usize, skip_first_layer_pe: bool) -> Result<Self, WeightsError> {
        let internal = dim / DOWNSAMPLE_RATE;
        let mut norm = |name| LayerNorm::load(weights.at(name), dim, EPS);
        let (norm1, norm2, norm3, norm4) = (norm("norm1")?, norm("norm2")?, norm("norm3")?, norm("norm4")?);
        let mut cross = |name| Attention::load(weights.at(name), dim, internal, NUM_HEADS);
        Ok(Self {
            cross_attn_token_to_image: cross("cross_attn_token_to_image")?,
            cross_attn_image_to_token: cross("cross_attn_image_to_token")?,
            self_attn: Attention::load(weights.at("self_attn"), dim, dim, NUM_HEADS)?,
            mlp: Mlp::load(weights.at("mlp"), &[dim, MLP_DIM, dim], Activation::Relu)?,
            norm1,
            norm2,
            norm3,
            norm4,
            skip_first_layer_pe,
        })
    }

    /// Positions are added to queries and keys anew in every attention, never to values.
    fn forward(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        query_pe: Tensor<3>,
        key_pe: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        #[cfg(feature = "webgpu")]
        if is_gpu(&keys.device()) {
            return self.on_gpu(queries, keys, query_pe, key_pe);
        }
        let queries = if self.skip_first_layer_pe {
            // The first block has neither positions nor a residual here.
            self.self_attn.forward(queries.clone(), queries.clone(), queries)
        } else {
            let q = queries.clone() + query_pe.clone();
            queries.clone() + self.self_attn.forward(q.clone(), q, queries)
        };
        let queries = self.norm1.forward(queries);

        let q = queries.clone() + query_pe.clone();
        let k = keys.clone() + key_pe;
        let queries = queries + self.cross_attn_token_to_image.forward(q, k.clone(), keys.clone());
        let queries = self.norm2.forward(queries);

        let queries = self.norm3.forward(queries.clone() + self.mlp.forward(queries));

        let q = queries.clone() + query_pe;
        let keys = keys + self.cross_attn_image_to_token.forward(k, q, queries.clone());
        (queries, self.norm4.forward(keys))
    }

    /// The same by kernels of our own, which add positions and residuals themselves.
    #[cfg(feature = "webgpu")]
    fn on_gpu(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        query_pe: Tensor<3>,
        key_pe: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let triple = [queries.clone(), queries.clone(), queries.clone()];
        let queries = if self.skip_first_layer_pe {
            self.self_attn.on_gpu(triple, [None, None], None)
        } else {
            let positions = [Some(query_pe.clone()), Some(query_pe.clone())];
            self.self_attn.on_gpu(triple, positions, Some(queries))
        };
        let queries = self.norm1.forward(queries);

        let queries = self.cross_attn_token_to_image.on_gpu(
            [queries.clone(), keys.clone(), keys.clone()],
            [Some(query_pe.clone()), Some(key_pe.clone())],
            Some(queries),
        );
        let queries = self.norm2.forward(queries);

        let dims = queries.dims();
        let residual = Residual::Repeated(rows(queries.clone()));
        let options = LinearOptions {
            residual: Some(residual),
            ..LinearOptions::default()
        };
        let queries = self
            .norm3
            .forward(self.mlp.on_gpu(rows(queries), options))
            .reshape(dims);

        let keys = self.cross_attn_image_to_token.on_gpu(
            [keys.clone(), queries.clone(), queries.clone()],
            [Some(key_pe), Some(query_pe)],
            Some(keys),
        );
        (queries, self.norm4.forward(keys))
    }
}
