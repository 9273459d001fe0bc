//! The mask decoder (`sam2.modeling.sam.mask_decoder.MaskDecoder`): an image embedding and a prompt to
//! four masks, their predicted IoUs, and whether the object is there at all.

mod select;
mod two_way_transformer;

pub use select::{DynamicMultimask, SelectedMasks};
pub use two_way_transformer::{ImageSide, TwoWayTransformer};

use burn::tensor::{Tensor, activation};
#[cfg(feature = "webgpu")]
use sam2_kernels::tensors::{self, LinearOptions};

use crate::config::Sam2Config;
#[cfg(feature = "flex")]
use crate::layers::masks_by_rows;
use crate::layers::{Activation, LayerNorm, Linear, Mlp, PatchExpand};
#[cfg(feature = "webgpu")]
use crate::layers::{adapter, is_gpu};
use crate::weights::{Weights, WeightsError};

/// One token for the single mask and three for the candidates.
pub const NUM_MASK_TOKENS: usize = 4;
/// Hard-coded in `sam2_base._build_sam_heads`.
const IOU_HEAD_HIDDEN_DIM: usize = 256;
/// `LayerNorm2d`'s default.
const EPS: f64 = 1e-6;

/// What the decoder reads of a picture.
#[derive(Clone, Debug)]
pub struct ImageFeatures {
    /// `[1, s/4, s/4, d/8]`, after `conv_s0`.
    pub high_res_0: Tensor<4>,
    /// `[1, s/8, s/8, d/4]`, after `conv_s1`.
    pub high_res_1: Tensor<4>,
    /// `[1, s/16, s/16, d]`.
    pub embedding: Tensor<4>,
    /// What the decoder makes of the embedding for every prompt without a mask, once a picture
    /// ([`MaskDecoder::image_side`]); where it is none it is made in each call.
    pub without_mask: Option<ImageSide>,
}

impl ImageFeatures {
    /// One value. To read it is how a browser's GPU says that it is done, or that it failed.
    pub fn probe(&self) -> Tensor<4> {
        self.embedding.clone().slice([0..1, 0..1, 0..1, 0..1])
    }
}

/// Everything that the decoder says, for a batch of `b` prompts.
#[derive(Debug)]
pub struct MaskDecoderOutput {
    /// Logits `[b, 4, s/4, s/4]`: the single mask's, then the three candidates'.
    pub masks: Tensor<4>,
    /// Predicted IoU of each mask, in [0, 1]: `[b, 4]`.
    pub ious: Tensor<2>,
    /// `[b, 4, d]`, from which video makes object pointers.
    pub mask_tokens: Tensor<3>,
    /// `[b, 1]`, positive where the object is visible.
    pub object_score_logits: Tensor<2>,
}

/// Prompt tokens and learned output tokens through a two-way transformer, then masks by hypernetworks.
#[derive(Debug)]
pub struct MaskDecoder {
    transformer: TwoWayTransformer,
    /// `[1, 6, d]`: `obj_score_token`, `iou_token`, `mask_tokens`.
    output_tokens: Tensor<3>,
    upscale_conv1: PatchExpand,
    upscale_norm: LayerNorm,
    upscale_conv2: PatchExpand,
    conv_s0: Linear,
    conv_s1: Linear,
    output_hypernetworks_mlps: Vec<Mlp>,
    /// On a GPU: the layers of all four, each as `[4 * input, output]` and `[4 * output]`.
    #[cfg(feature = "webgpu")]
    joint_hypernetworks: Vec<(Tensor<2>, Tensor<1>)>,
    iou_prediction_head: Mlp,
    pred_obj_score_head: Mlp,
}

impl MaskDecoder {
    /// Takes all of `sam_mask_decoder`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let dim = config.neck.d_model;
        let mut tokens = Vec::new();
        for (name, count) in [
            ("obj_score_token", 1),
            ("iou_token", 1),
            ("mask_tokens", NUM_MASK_TOKENS),
        ] {
            tokens.push(weights.at(name).tensor::<2>("weight", [count, dim])?);
        }
        let output_hypernetworks_mlps: Vec<Mlp> = (0..NUM_MASK_TOKENS)
            .map(|i| {
                let weights = weights.at(format_args!("output_hypernetworks_mlps.{i}"));
                Mlp::load(weights, &[dim, dim, dim, dim / 8], Activation::Relu)
            })
            .collect::<Result<_, _>>()?;
        #[cfg(feature = "webgpu")]
        let joint_hypernetworks = join_layers(&output_hypernetworks_mlps, weights.device());
        let iou_widths = [dim, IOU_HEAD_HIDDEN_DIM, IOU_HEAD_HIDDEN_DIM, NUM_MASK_TOKENS];
        Ok(Self {
            transformer: TwoWayTransformer::load(weights.at("transformer"), dim)?,
            output_tokens: Tensor::cat(tokens, 0).unsqueeze_dim(0),
            upscale_conv1: PatchExpand::load(weights.at("output_upscaling.0"), dim, dim / 4)?,
            upscale_norm: LayerNorm::load(weights.at("output_upscaling.1"), dim / 4, EPS)?,
            upscale_conv2: PatchExpand::load(weights.at("output_upscaling.3"), dim / 4, dim / 8)?,
            conv_s0: Linear::load_conv_1x1(weights.at("conv_s0"), dim, dim / 8)?,
            conv_s1: Linear::load_conv_1x1(weights.at("conv_s1"), dim, dim / 4)?,
            output_hypernetworks_mlps,
            #[cfg(feature = "webgpu")]
            joint_hypernetworks,
            iou_prediction_head: Mlp::load(weights.at("iou_prediction_head"), &iou_widths, Activation::Relu)?,
            pred_obj_score_head: Mlp::load(
                weights.at("pred_obj_score_head"),
                &[dim, dim, dim, 1],
                Activation::Relu,
            )?,
        })
    }

    /// The pyramid's three levels (finest first, `[1, h, w, d]`) to what the decoder reads, once a picture
    /// (`SAM2Base.forward_image`).
    ///
    /// # Panics
    /// If there are not three levels.
    pub fn image_features(&self, levels: Vec<Tensor<4>>) -> ImageFeatures {
        let [level_0, level_1, embedding]: [Tensor<4>; 3] =
            levels.try_into().expect("the decoder reads three levels");
        ImageFeatures {
            high_res_0: self.conv_s0.forward(level_0),
            high_res_1: self.conv_s1.forward(level_1),
            embedding,
            without_mask: None,
        }
    }

    /// The first that the decoder makes of an embedding `[1, h, w, d]`, its positions `image_pe` `[1, h, w, d]` and the
    /// mask prompts' `dense` embedding `[b or 1, h or 1, w or 1, d]`.
    pub fn image_side(&self, embedding: &Tensor<4>, image_pe: Tensor<4>, dense: Tensor<4>) -> ImageSide {
        let [_, h, w, dim] = embedding.dims();
        let source = (embedding.clone() + dense).reshape([-1, (h * w) as i64, dim as i64]);
        self.transformer
            .image_side(source, image_pe.reshape([1, h * w, dim]))
    }

    /// Decodes a batch of prompts on one picture.
    ///
    /// `image_pe` is `[1, h, w, d]`; `sparse` `[b, n, d]` or none; `dense` `[b or 1, h or 1, w or 1, d]`, or none to use
    /// the picture's [`ImageFeatures::without_mask`].
    ///
    /// # Panics
    /// If there is neither.
    pub fn forward(
        &self,
        image: &ImageFeatures,
        image_pe: Tensor<4>,
        sparse: Option<Tensor<3>>,
        dense: Option<Tensor<4>>,
    ) -> MaskDecoderOutput {
        let masks = dense.as_ref().map_or(1, |dense| dense.dims()[0]);
        let batch = sparse.as_ref().map_or(masks, |sparse| sparse.dims()[0]);
        let [_, h, w, dim] = image.embedding.dims();
        let source = match dense {
            Some(dense) => self.image_side(&image.embedding, image_pe.clone(), dense),
            None => {
                (image.without_mask.clone()).expect("the picture was made ready for prompts without a mask")
            }
        };

        let [_, outputs, _] = self.output_tokens.dims();
        let output_tokens = self.output_tokens.clone().expand([batch, outputs, dim]);
        let tokens = match sparse {
            Some(sparse) => Tensor::cat(vec![output_tokens, sparse], 1),
            None => output_tokens,
        };
        let (tokens, source) =
            self.transformer
                .forward(source, image_pe.reshape([1, h * w, dim]), tokens, outputs);
        let object_token = tokens.clone().narrow(1, 0, 1).reshape([batch, dim]);
        let iou_token = tokens.clone().narrow(1, 1, 1).reshape([batch, dim]);
        let mask_tokens = tokens.narrow(1, 2, NUM_MASK_TOKENS);

        let source = source.reshape([batch, h, w, dim]);
        #[cfg(feature = "webgpu")]
        if is_gpu(&source.device()) {
            let pixels = self.upscale(source, image);
            let masks = tensors::mask_product(self.hypernetworks(mask_tokens.clone()), pixels);
            let sigmoid = LinearOptions {
                activation: sam2_kernels::Activation::Sigmoid,
                ..LinearOptions::default()
            };
            return MaskDecoderOutput {
                masks: masks.reshape([batch, NUM_MASK_TOKENS, 4 * h, 4 * w]),
                ious: self.iou_prediction_head.on_gpu(iou_token, sigmoid),
                mask_tokens,
                object_score_logits: self.pred_obj_score_head.forward(object_token),
            };
        }
        let hypers = self
            .output_hypernetworks_mlps
            .iter()
            .enumerate()
            .map(|(i, mlp)| mlp.forward(mask_tokens.clone().narrow(1, i, 1)))
            .collect();
        let masks = self.masks(Tensor::cat(hypers, 1), source, image);

        MaskDecoderOutput {
            masks: masks.reshape([batch, NUM_MASK_TOKENS, 4 * h, 4 * w]),
            ious: activation::sigmoid(self.iou_prediction_head.forward(iou_token)),
            mask_tokens,
            object_score_logits: self.pred_obj_score_head.forward(object_token),
        }
    }

    /// `hypers` `[b, 4, d/8]` and the picture `[b, h, w, d]` to logits `[b, 4, 16hw]`.
    fn masks(&self, hypers: Tensor<3>, source: Tensor<4>, image: &ImageFeatures) -> Tensor<3> {
        #[cfg(feature = "flex")]
        if let (Some(conv1), Some(conv2)) = (self.upscale_conv1.packed(), self.upscale_conv2.packed()) {
            let finer = [image.high_res_1.clone(), image.high_res_0.clone()];
            return masks_by_rows((conv1, &self.upscale_norm, conv2), source, finer, hypers);
        }
        hypers.matmul(self.upscale(source, image).swap_dims(1, 2))
    }

    /// `[b, h, w, d]` to `[b, 16hw, d/8]`; the picture's finer levels join on the way.
    fn upscale(&self, source: Tensor<4>, image: &ImageFeatures) -> Tensor<3> {
        #[cfg(feature = "webgpu")]
        if is_gpu(&source.device()) {
            let (none, gelu) = (sam2_kernels::Activation::None, sam2_kernels::Activation::Gelu);
            let x = self
                .upscale_conv1
                .on_gpu(source, Some(image.high_res_1.clone()), none);
            let x = self.upscale_norm.on_gpu(x, gelu);
            let x = self.upscale_conv2.on_gpu(x, Some(image.high_res_0.clone()), gelu);
            let [batch, h, w, c] = x.dims();
            return x.reshape([batch, h * w, c]);
        }
        let x = self.upscale_conv1.forward(source) + image.high_res_1.clone();
        let x = Activation::Gelu.forward(self.upscale_norm.forward(x));
        let x = Activation::Gelu.forward(self.upscale_conv2.forward(x) + image.high_res_0.clone());
        let [batch, h, w, c] = x.dims();
        x.reshape([batch, h * w, c])
    }

    /// `[b, 4, d]` to `[b, 4, d/8]`, each token by its own network.
    #[cfg(feature = "webgpu")]
    fn hypernetworks(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, count, dim] = tokens.dims();
        let mut x = tokens.reshape([batch * count, dim]);
        for (i, (weight, bias)) in self.joint_hypernetworks.iter().enumerate() {
            let options = LinearOptions {
                groups: count,
                activation: match i + 1 == self.joint_hypernetworks.len() {
                    true => sam2_kernels::Activation::None,
                    false => sam2_kernels::Activation::Relu,
                },
                ..LinearOptions::default()
            };
            x = tensors::linear(adapter(), x, weight, bias, options);
        }
        x.reshape([batch as i64, count as i64, -1])
    }
}

/// Each layer of all networks as one; nothing where there are no kernels for it.
#[cfg(feature = "webgpu")]
fn join_layers(networks: &[Mlp], device: &burn::tensor::Device) -> Vec<(Tensor<2>, Tensor<1>)> {
    let depth = if is_gpu(device) {
        networks[0].layers().len()
    } else {
        0
    };
    (0..depth)
        .map(|i| {
            let layers = || networks.iter().map(|mlp| mlp.layers()[i].parameters());
            (
                Tensor::cat(layers().map(|(weight, _)| weight.clone()).collect(), 0),
                Tensor::cat(layers().map(|(_, bias)| bias.clone()).collect(), 0),
            )
        })
        .collect()
}
