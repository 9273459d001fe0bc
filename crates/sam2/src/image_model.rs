//! The part of the network that single pictures need (`sam2.modeling.sam2_base.SAM2Base` without the memory).

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
    /// The configuration that the network was built from.
    pub config: Sam2Config,
    /// Turns pictures into features.
    pub image_encoder: ImageEncoder,
    /// Turns prompts into embeddings.
    pub prompt_encoder: PromptEncoder,
    /// Turns features and embeddings into masks.
    pub mask_decoder: MaskDecoder,
    /// `[1, 1, 1, d]`, added to a picture's embedding if there is no memory to attend to.
    pub no_mem_embed: Parameter<4>,
    implementation: Implementation,
}

impl ImageModel {
    /// Builds the network from the tensors of `source`. It is computed by `implementation`.
    ///
    /// # Errors
    /// The configuration cannot be run, a tensor is missing or has another shape, the implementation does not support a
    /// width of the network, or the device's buffers are too small.
    pub fn load(
        config: &Sam2Config,
        source: &mut dyn TensorSource,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        config.validate()?;
        config.check_widths(implementation.width_multiple())?;
        config.check_tensors(implementation.largest_tensor())?;
        Ok(Self::load_from(config, Weights::new(source, implementation))?)
    }

    /// Builds the network from `weights`, the root of the official module tree. The configuration must be valid.
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

    /// The implementation that computes the network.
    pub fn implementation(&self) -> &Implementation {
        &self.implementation
    }

    /// The device on which the network is computed.
    pub fn device(&self) -> &Device {
        self.implementation.device()
    }

    /// A normalised picture `[1, 3, s, s]` to its features, which the decoder and the memory read
    /// (`SAM2Base.forward_image`).
    pub fn encode(&self, picture: Tensor<4>) -> ImageFeatures {
        self.mask_decoder
            .image_features(self.image_encoder.forward(picture))
    }

    /// Prepares features for prompts without a memory, by adding `no_mem_embed` (`SAM2ImagePredictor.set_image`).
    pub fn without_memory(&self, features: ImageFeatures) -> ImageFeatures {
        self.ready_for_prompts(ImageFeatures {
            embedding: features.embedding + self.no_mem_embed.value(),
            ..features
        })
    }

    /// Computes what the decoder reads for every prompt without a mask ([`ImageFeatures::without_mask`]).
    pub fn ready_for_prompts(&self, features: ImageFeatures) -> ImageFeatures {
        let (image_pe, dense) = (self.prompt_encoder.dense_pe(), self.prompt_encoder.dense(None));
        let without_mask =
            self.mask_decoder
                .picture_without_mask(features.embedding.clone(), image_pe, dense);
        ImageFeatures {
            without_mask: Some(without_mask),
            ..features
        }
    }

    /// The largest number of points of a prompt that the device's buffers hold. A box counts as two.
    pub fn most_points(&self) -> usize {
        self.config.most_points(self.implementation.largest_tensor())
    }

    /// The number of prompts of `points` points each that are best decoded in one batch, at least one.
    pub fn prompts_at_once(&self, points: usize) -> usize {
        let fit = self.implementation.largest_tensor() / self.config.largest_of_prompt(points);
        let best = self.implementation.prompts_at_once();
        usize::try_from(fit).map_or(best, |fit| fit.clamp(1, best))
    }

    /// Decodes a batch of prompts on one picture. `sparse` is `[b, n, d]` from [`PromptEncoder::sparse`], and `mask` is
    /// mask logits `[b, s/4, s/4]`; either may be `None`.
    pub fn decode(
        &self,
        image: &ImageFeatures,
        sparse: Option<Tensor<3>>,
        mask: Option<Tensor<3>>,
    ) -> MaskDecoderOutput {
        let dense = (mask.is_some() || image.without_mask.is_none()).then(|| self.prompt_encoder.dense(mask));
        self.mask_decoder
            .predict_masks(image, self.prompt_encoder.dense_pe(), sparse, dense)
    }
}
