//! The image half of the network: what a picture needs (`SAM2Base` without its memory).

use burn::tensor::{Device, Tensor};
use sam2_ops::{Implementation, Parameter, TensorSource, Weights, WeightsError};

use crate::config::Sam2Config;
use crate::error::LoadError;
use crate::image_encoder::ImageEncoder;
use crate::mask_decoder::{ImageFeatures, MaskDecoder, MaskDecoderOutput};
use crate::prompt_encoder::PromptEncoder;

/// Image encoder, prompt encoder and mask decoder.
#[derive(Debug)]
pub struct ImageModel {
    /// What it was built from.
    pub config: Sam2Config,
    /// Pictures to features.
    pub image_encoder: ImageEncoder,
    /// Prompts to embeddings.
    pub prompt_encoder: PromptEncoder,
    /// Both to masks.
    pub mask_decoder: MaskDecoder,
    /// `[1, 1, 1, d]`, added to a picture's embedding where there is no memory to attend to.
    pub no_mem_embed: Parameter<4>,
    implementation: Implementation,
}

impl ImageModel {
    /// Builds the network, which is computed by `implementation`.
    ///
    /// # Errors
    /// The configuration cannot be run, a tensor is missing or has another shape, or a width is none that the implementation
    /// can do.
    pub fn load(
        config: &Sam2Config,
        source: &mut dyn TensorSource,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        config.validate()?;
        config.check_widths(implementation.width_multiple())?;
        Ok(Self::load_from(config, Weights::new(source, implementation))?)
    }

    /// The same from the root of the official module tree.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_from(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let dim = config.neck.d_model;
        let no_mem_embed = weights.parameter::<3>("no_mem_embed", [1, 1, dim])?;
        Ok(Self {
            image_encoder: ImageEncoder::load(config, weights.at("image_encoder"))?,
            prompt_encoder: PromptEncoder::load(config, weights.at("sam_prompt_encoder"))?,
            mask_decoder: MaskDecoder::load(config, weights.at("sam_mask_decoder"))?,
            no_mem_embed: no_mem_embed.map(|embed| embed.unsqueeze_dim(0)),
            config: config.clone(),
            implementation: weights.implementation().clone(),
        })
    }

    /// How the network is computed.
    pub fn implementation(&self) -> &Implementation {
        &self.implementation
    }

    /// Where the network computes.
    pub fn device(&self) -> &Device {
        self.implementation.device()
    }

    /// A normalised picture `[1, 3, s, s]` to its features, as both the decoder and the memory read them
    /// (`SAM2Base.forward_image`).
    pub fn encode(&self, picture: Tensor<4>) -> ImageFeatures {
        self.mask_decoder
            .image_features(self.image_encoder.forward(picture))
    }

    /// The features of a picture on its own, without memory (`SAM2ImagePredictor.set_image`).
    pub fn without_memory(&self, features: ImageFeatures) -> ImageFeatures {
        let embedding = features.embedding + self.no_mem_embed.value();
        let (pe, dense) = (self.prompt_encoder.dense_pe(), self.prompt_encoder.dense(None));
        ImageFeatures {
            without_mask: Some(
                self.mask_decoder
                    .picture_without_mask(embedding.clone(), pe, dense),
            ),
            embedding,
            ..features
        }
    }

    /// A batch of prompts on one picture: `sparse` `[b, n, d]` or none, mask logits `[b, s/4, s/4]` or none.
    pub fn decode(
        &self,
        image: &ImageFeatures,
        sparse: Option<Tensor<3>>,
        mask: Option<Tensor<3>>,
    ) -> MaskDecoderOutput {
        let dense = (mask.is_some() || image.without_mask.is_none()).then(|| self.prompt_encoder.dense(mask));
        self.mask_decoder
            .forward(image, self.prompt_encoder.dense_pe(), sparse, dense)
    }
}
