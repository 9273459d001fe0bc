//! The decoder's transformer, in which tokens attend to the picture and the picture to the tokens
//! (`sam2.modeling.sam.transformer.TwoWayTransformer`).

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::layers::Places;
use crate::layers::{Activation, Attention, LayerNorm, Mlp};
use crate::weights::{Weights, WeightsError};

/// Hard-coded in `sam2_base._build_sam_heads`.
const DEPTH: usize = 2;
const NUM_HEADS: usize = 8;
const MLP_DIM: usize = 2048;
/// Cross-attention is half as wide as the tokens.
const DOWNSAMPLE_RATE: usize = 2;
/// `nn.LayerNorm`'s default.
const EPS: f64 = 1e-5;

/// A picture as a block of the transformer reads it. Before the first block it is the same for every prompt without a
/// mask.
#[derive(Clone, Debug)]
pub struct ImageSide {
    /// `[b or 1, hw, d]`.
    image: Tensor<3>,
    projected: Projected,
}

/// What of a picture does not depend on the tokens.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // There are one or two, and they are tensors' names only.
enum Projected {
    /// Keys and values for the tokens' attention, and the queries of its own: `[b or 1, hw, d/2]`.
    All {
        keys: Tensor<3>,
        values: Tensor<3>,
        queries: Tensor<3>,
    },
    /// With its positions, `[b, hw, d]`: where the tokens are so few that they are projected instead.
    #[cfg(feature = "flex")]
    None { placed: Tensor<3> },
}

/// Two blocks and a last attention from the tokens to the picture.
#[derive(Debug)]
pub struct TwoWayTransformer {
    layers: [TwoWayAttentionBlock; DEPTH],
    final_attn_token_to_image: Attention,
    norm_final_attn: LayerNorm,
}

impl TwoWayTransformer {
    /// Takes `layers`, `final_attn_token_to_image` and `norm_final_attn`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let mut layer = |i| TwoWayAttentionBlock::load(weights.at(format_args!("layers.{i}")), dim, i == 0);
        let layers = [layer(0)?, layer(1)?];
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

    /// `image` `[b or 1, hw, d]` and its positions `image_pe` `[1, hw, d]` as [`Self::forward`] reads them.
    pub fn image_side(&self, image: Tensor<3>, image_pe: Tensor<3>) -> ImageSide {
        self.layers[0].image_side(image, image_pe)
    }

    /// `image`, whose positions are `image_pe` `[1, hw, d]`, and `tokens` `[b, n, d]` to the updated tokens, of which
    /// only the first `outputs` need be there, and the updated picture `[b, hw, d]`.
    pub fn forward(
        &self,
        image: ImageSide,
        image_pe: Tensor<3>,
        tokens: Tensor<3>,
        outputs: usize,
    ) -> (Tensor<3>, Tensor<3>) {
        let count = tokens.dims()[1];
        let [first, later @ ..] = &self.layers;
        let (mut queries, mut keys) = first.forward(tokens.clone(), image, tokens.clone());
        for layer in later {
            let image = layer.next_image_side(keys, image_pe.clone(), count);
            (queries, keys) = layer.forward(queries, image, tokens.clone());
        }
        let attention = &self.final_attn_token_to_image;
        #[cfg(feature = "flex")]
        if attention.has_short_way(outputs) {
            let [queries, tokens] = [queries, tokens].map(|x| x.narrow(1, 0, outputs));
            let q = attention.project_queries(queries.clone(), Some(tokens));
            let queries = attention.attend_to_places(q, keys.clone() + image_pe, keys.clone(), queries);
            return (self.norm_final_attn.forward(queries), keys);
        }
        #[cfg(not(feature = "flex"))]
        let _ = outputs;
        let q = attention.project_queries(queries.clone(), Some(tokens));
        let (k, v) = attention.project_keys(keys.clone(), Some(image_pe), keys.clone());
        queries = attention.attend(q, k, v, Some(queries));
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
    fn image_side(&self, image: Tensor<3>, image_pe: Tensor<3>) -> ImageSide {
        let queries = self
            .cross_attn_image_to_token
            .project_queries(image.clone(), Some(image_pe.clone()));
        let (keys, values) =
            self.cross_attn_token_to_image
                .project_keys(image.clone(), Some(image_pe), image.clone());
        ImageSide {
            image,
            projected: Projected::All {
                keys,
                values,
                queries,
            },
        }
    }

    /// The same of one prompt's picture, to be read with `tokens` tokens.
    fn next_image_side(&self, image: Tensor<3>, image_pe: Tensor<3>, tokens: usize) -> ImageSide {
        #[cfg(feature = "flex")]
        if self.cross_attn_image_to_token.has_short_way(tokens) {
            let placed = image.clone() + image_pe;
            let projected = Projected::None { placed };
            return ImageSide { image, projected };
        }
        #[cfg(not(feature = "flex"))]
        let _ = tokens;
        self.image_side(image, image_pe)
    }

    fn forward(&self, queries: Tensor<3>, image: ImageSide, query_pe: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        // The first block has neither positions nor a residual here.
        let later = !self.skip_first_layer_pe;
        let position = later.then(|| query_pe.clone());
        let residual = later.then(|| queries.clone());
        let q = self.self_attn.project_queries(queries.clone(), position.clone());
        let (k, v) = self.self_attn.project_keys(queries.clone(), position, queries);
        let queries = self.norm1.forward(self.self_attn.attend(q, k, v, residual));

        let attention = &self.cross_attn_token_to_image;
        let q = attention.project_queries(queries.clone(), Some(query_pe.clone()));
        let queries = match &image.projected {
            Projected::All { keys, values, .. } => {
                attention.attend(q, keys.clone(), values.clone(), Some(queries))
            }
            #[cfg(feature = "flex")]
            Projected::None { placed } => {
                attention.attend_to_places(q, placed.clone(), image.image.clone(), queries)
            }
        };
        let queries = self.norm2.forward(queries);

        let queries = self
            .norm3
            .forward(self.mlp.forward_onto(queries.clone(), queries));

        let attention = &self.cross_attn_image_to_token;
        let (k, v) = attention.project_keys(queries.clone(), Some(query_pe), queries.clone());
        #[cfg(feature = "flex")]
        if attention.has_short_way(k.dims()[1]) {
            let places = match image.projected {
                Projected::All { queries, .. } => Places::Projected(queries),
                Projected::None { placed } => Places::Plain(placed),
            };
            let image = attention.places_attend(places, [k, v], image.image, &self.norm4);
            return (queries, image);
        }
        let q = match image.projected {
            Projected::All { queries, .. } => queries,
            #[cfg(feature = "flex")]
            Projected::None { .. } => unreachable!("read above"),
        };
        let image = attention.attend(q, k, v, Some(image.image));
        (queries, self.norm4.forward(image))
    }
}
