//! The vision tower (`Owlv2VisionTransformer`): a plain ViT over patches.

use burn::tensor::Tensor;
use sam2_ops::{
    LayerNorm, Linear, LinearOptions, LinearParameters, Parameter, Residual, Weights, WeightsError,
};

use crate::config::VisionConfig;
use crate::encoder::{EPS, EncoderLayer, load_layers};

/// Pictures to tokens: one for the whole picture (the class token), and one for each patch.
#[derive(Debug)]
pub struct VisionTransformer {
    /// A linear layer of each patch's pixels, since the official convolution's stride is its kernel.
    patch_embedding: Linear,
    /// `[1, hidden_size]`: the class token with its position.
    class_token: Parameter<2>,
    /// `[n, hidden_size]`.
    positions: Parameter<2>,
    pre_layernorm: LayerNorm,
    /// The layers of the encoder.
    pub layers: Vec<EncoderLayer>,
    post_layernorm: LayerNorm,
    patch_size: usize,
}

impl VisionTransformer {
    /// Takes `embeddings`, `pre_layernorm`, `encoder` and `post_layernorm`, for pictures of `side` pixels. For another side
    /// than the trained one, the position grid is resized bicubically (`interpolate_pos_encoding`).
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &VisionConfig, side: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        let (c, patch) = (config.hidden_size, config.patch_size);
        let (trained, grid) = (config.image_size / patch, side / patch);
        let mut embeddings = weights.at("embeddings");
        let class = embeddings.values("class_embedding", &[c])?;
        let patches = LinearParameters::load_patches(&mut embeddings.at("patch_embedding"), 3, patch, c)?;
        let positions = embeddings
            .at("position_embedding")
            .values("weight", &[trained * trained + 1, c])?;
        let class_token = embeddings.table([1, c], || {
            class
                .iter()
                .zip(&positions)
                .map(|(class, position)| class + position)
                .collect()
        });
        let positions = embeddings.table([grid * grid, c], || {
            let positions = &positions[c..];
            match grid == trained {
                true => positions.to_vec(),
                false => sam2_resample::bicubic(positions, c, [trained; 2], [grid; 2]),
            }
        });
        let sizes = [c, config.intermediate_size, config.num_attention_heads];
        Ok(Self {
            patch_embedding: Linear::new(&weights, patches, c),
            class_token,
            positions,
            pre_layernorm: LayerNorm::load(weights.at("pre_layernorm"), c, EPS)?,
            layers: load_layers(weights.at("encoder"), config.num_hidden_layers, sizes)?,
            post_layernorm: LayerNorm::load(weights.at("post_layernorm"), c, EPS)?,
            patch_size: patch,
        })
    }

    /// A picture `[1, 3, s, s]`, normalised, to tokens before the first layer: `[1, 1 + n, c]`, the class token first.
    pub fn embed(&self, picture: Tensor<4>) -> Tensor<3> {
        let ([_, channels, h, w], patch) = (picture.dims(), self.patch_size);
        let patches: Tensor<6> = picture
            .reshape([1, channels, h / patch, patch, w / patch, patch])
            .permute([0, 2, 4, 1, 3, 5]);
        let n = (h / patch) * (w / patch);
        let positions = LinearOptions {
            residual: Some(Residual::Rows(self.positions.value())),
            ..LinearOptions::default()
        };
        let patches = self
            .patch_embedding
            .forward_with::<2>(patches.reshape([n, channels * patch * patch]), positions);
        Tensor::cat(vec![self.class_token.value(), patches], 0).unsqueeze_dim(0)
    }

    /// The tokens of [`Self::embed`] through all layers, and normalised (`post_layernorm`): `[1, 1 + n, c]`.
    pub fn forward(&self, picture: Tensor<4>) -> Tensor<3> {
        let mut x = self.normalise(self.embed(picture));
        for layer in &self.layers {
            x = layer.forward(x, false);
        }
        self.post_layernorm.forward(x)
    }

    /// The tokens of [`Self::embed`] as the first layer takes them (`pre_layernorm`).
    pub fn normalise(&self, embedded: Tensor<3>) -> Tensor<3> {
        self.pre_layernorm.forward(embedded)
    }
}
