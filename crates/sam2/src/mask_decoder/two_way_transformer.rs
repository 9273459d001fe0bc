//! The decoder's transformer, in which tokens attend to the picture and the picture to the tokens
//! (`sam2.modeling.sam.transformer.TwoWayTransformer`).

use burn::tensor::Tensor;
use sam2_ops::{Activation, Attention, LayerNorm, Mlp, Picture, Projections, Weights, WeightsError};

use crate::config::decoder::{ATTENTION_DOWNSAMPLE_RATE, DEPTH, MLP_DIM, NUM_HEADS};

/// `nn.LayerNorm`'s default.
const EPS: f64 = 1e-5;

/// Two blocks, then a last attention from the tokens to the picture.
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
        let attention = weights.at("final_attn_token_to_image");
        Ok(Self {
            layers,
            final_attn_token_to_image: Attention::load(
                attention,
                dim,
                dim / ATTENTION_DOWNSAMPLE_RATE,
                NUM_HEADS,
            )?,
            norm_final_attn: LayerNorm::load(weights.at("norm_final_attn"), dim, EPS)?,
        })
    }

    /// The picture's tokens `[b or 1, hw, d]` and the prompt's tokens `point_embedding` `[b, n, d]` to the updated tokens
    /// of the prompt and the updated tokens of the picture `[b, hw, d]`. At least the first `wanted` tokens of the prompt
    /// are returned: `[b, wanted or n, d]`.
    pub fn forward(
        &self,
        image_embedding: Picture,
        point_embedding: Tensor<3>,
        wanted: usize,
    ) -> (Tensor<3>, Tensor<3>) {
        // Prepare queries
        let mut queries = point_embedding.clone();
        let mut keys = image_embedding;

        // Apply transformer blocks and final layernorm
        for layer in &self.layers {
            (queries, keys) = layer.forward(queries, keys, point_embedding.clone());
        }

        // Apply the final attention layer from the points to the image
        let attention = &self.final_attn_token_to_image;
        let queries = attention.to_picture(queries, point_embedding, &keys, wanted);
        let queries = self.norm_final_attn.forward(queries);

        (queries, keys.tokens)
    }

    /// Adds to a picture what the first block projects of it, so that prompts without a mask share it.
    pub fn project(&self, mut picture: Picture) -> Picture {
        let first = &self.layers[0];
        let (keys, values) = first.cross_attn_token_to_image.project_keys(&picture);
        let queries = first.cross_attn_image_to_token.project_queries(&picture);
        picture.projections = Some(Projections {
            keys,
            values,
            queries,
        });
        picture
    }
}

/// `transformer.TwoWayAttentionBlock`: self-attention of the tokens, attention from the tokens to the picture, an MLP on
/// the tokens, and attention from the picture to the tokens.
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
        let mut norm = |name| LayerNorm::load(weights.at(name), dim, EPS);
        let (norm1, norm2, norm3, norm4) = (norm("norm1")?, norm("norm2")?, norm("norm3")?, norm("norm4")?);
        let mut attention = |name, internal| Attention::load(weights.at(name), dim, internal, NUM_HEADS);
        let internal = dim / ATTENTION_DOWNSAMPLE_RATE;
        Ok(Self {
            self_attn: attention("self_attn", dim)?,
            cross_attn_token_to_image: attention("cross_attn_token_to_image", internal)?,
            cross_attn_image_to_token: attention("cross_attn_image_to_token", internal)?,
            mlp: Mlp::load(weights.at("mlp"), &[dim, MLP_DIM, dim], Activation::Relu)?,
            norm1,
            norm2,
            norm3,
            norm4,
            skip_first_layer_pe,
        })
    }

    /// The tokens `queries` `[b, n, d]` with their positions `query_pe`, and the picture `keys` with its positions,
    /// both to the same shapes.
    fn forward(&self, queries: Tensor<3>, keys: Picture, query_pe: Tensor<3>) -> (Tensor<3>, Picture) {
        // Self attention block
        let queries = if self.skip_first_layer_pe {
            self.self_attn.among_tokens(queries, None, None)
        } else {
            let (positions, residual) = (Some(query_pe.clone()), Some(queries.clone()));
            self.self_attn.among_tokens(queries, positions, residual)
        };
        let queries = self.norm1.forward(queries);

        // Cross attention block, tokens attending to image embedding
        let attention = &self.cross_attn_token_to_image;
        let wanted = queries.dims()[1];
        let queries = attention.to_picture(queries, query_pe.clone(), &keys, wanted);
        let queries = self.norm2.forward(queries);

        // MLP block
        let queries = self.mlp.forward_onto(queries.clone(), queries);
        let queries = self.norm3.forward(queries);

        // Cross attention block, image embedding attending to tokens, with `norm4`
        let attention = &self.cross_attn_image_to_token;
        let tokens = attention.of_picture(&keys, queries.clone(), query_pe, &self.norm4);

        (queries, Picture::new(tokens, keys.positions))
    }
}
