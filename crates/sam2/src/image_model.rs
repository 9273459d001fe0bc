//! The image half of the network: what a picture needs (`SAM2Base` without its memory).

use burn::tensor::{Device, Tensor};

use crate::config::Sam2Config;
use crate::image_encoder::ImageEncoder;
#[cfg(feature = "webgpu")]
use crate::layers::is_gpu;
use crate::layers::is_host;
use crate::mask_decoder::{ImageFeatures, MaskDecoder, MaskDecoderOutput};
use crate::prompt_encoder::PromptEncoder;
use crate::weights::{TensorSource, Weights, WeightsError};

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
    pub no_mem_embed: Tensor<4>,
    device: Device,
}

impl ImageModel {
    /// Builds the network on `device`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape, or the device is a GPU and a width is none that its kernels can do.
    pub fn load(
        config: &Sam2Config,
        source: &mut dyn TensorSource,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        #[cfg(feature = "webgpu")]
        if is_gpu(device) {
            config.check_gpu_widths()?;
        }
        let mut weights = Weights::new(source, device);
        let dim = config.neck.d_model;
        Ok(Self {
            image_encoder: ImageEncoder::load(config, weights.at("image_encoder"))?,
            prompt_encoder: PromptEncoder::load(config, weights.at("sam_prompt_encoder"))?,
            mask_decoder: MaskDecoder::load(config, weights.at("sam_mask_decoder"))?,
            no_mem_embed: weights.tensor::<3>("no_mem_embed", [1, 1, dim])?.unsqueeze_dim(0),
            config: config.clone(),
            device: device.clone(),
        })
    }

    /// Prompts of a batch that are best decoded at once. A GPU is then busy (more only cost memory: 64 x 4 masks of
    /// 256 x 256 are 64 MB); on the CPU fewer stay in the cache.
    pub fn prompts_at_once(&self) -> usize {
        if is_host(&self.device) { 8 } else { 64 }
    }

    /// Where the network computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A normalised picture `[1, 3, s, s]` to its features, as both the decoder and the memory read them
    /// (`SAM2Base.forward_image`).
    pub fn encode(&self, picture: Tensor<4>) -> ImageFeatures {
        self.mask_decoder
            .image_features(self.image_encoder.forward(picture))
    }

    /// The features of a picture on its own, without memory (`SAM2ImagePredictor.set_image`).
    pub fn without_memory(&self, features: ImageFeatures) -> ImageFeatures {
        let embedding = features.embedding + self.no_mem_embed.clone();
        let (pe, dense) = (self.prompt_encoder.dense_pe(), self.prompt_encoder.dense(None));
        ImageFeatures {
            without_mask: Some(self.mask_decoder.image_side(&embedding, pe, dense)),
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

impl Sam2Config {
    /// Side of the image embedding, in tokens: the picture's side / 16.
    pub fn embedding_side(&self) -> usize {
        self.image_size / 16
    }

    /// Side of the low-resolution masks, in pixels: the picture's side / 4.
    pub fn mask_side(&self) -> usize {
        self.image_size / 4
    }
}
