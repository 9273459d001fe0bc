//! The mask decoder (`sam2.modeling.sam.mask_decoder.MaskDecoder`): an image embedding and a prompt to
//! four masks, their predicted IoUs, and whether the object is there at all.

mod select;
mod two_way_transformer;

pub use select::{DynamicMultimask, SelectedMasks};
pub use two_way_transformer::TwoWayTransformer;

use burn::tensor::Tensor;
use sam2_ops::{
    Activation, GroupedMlp, Implementation, Linear, Mlp, OutputUpscaling, Parameter, Picture, Weights,
    WeightsError,
};

use crate::config::Sam2Config;

/// One token for the single mask and three for the candidates.
pub const NUM_MASK_TOKENS: usize = 4;
/// Hard-coded in `sam2_base._build_sam_heads`.
const IOU_HEAD_HIDDEN_DIM: usize = 256;

/// What the decoder reads of a picture.
#[derive(Clone, Debug)]
pub struct ImageFeatures {
    /// `[1, s/4, s/4, d/8]`, after `conv_s0`.
    pub high_res_0: Tensor<4>,
    /// `[1, s/8, s/8, d/4]`, after `conv_s1`.
    pub high_res_1: Tensor<4>,
    /// `[1, s/16, s/16, d]`.
    pub embedding: Tensor<4>,
    /// What the transformer reads for every prompt without a mask, computed once for a picture
    /// ([`MaskDecoder::picture_without_mask`]); `None` if each call has to compute it.
    pub without_mask: Option<Picture>,
}

impl ImageFeatures {
    /// One value of the embedding, `[1, 1, 1, 1]`. Reading it waits until a GPU has computed the features, and reports it
    /// if that failed.
    pub fn probe(&self) -> Tensor<4> {
        self.embedding.clone().slice([0..1, 0..1, 0..1, 0..1])
    }
}

/// Everything that the decoder predicts, for a batch of `b` prompts.
#[derive(Debug)]
pub struct MaskDecoderOutput {
    /// Logits `[b, 4, s/4, s/4]`: the single mask's, then the three candidates'.
    pub masks: Tensor<4>,
    /// Predicted IoU of each mask, in [0, 1]: `[b, 4]`.
    pub iou_pred: Tensor<2>,
    /// `[b, 4, d]`, from which tracking makes object pointers.
    pub mask_tokens_out: Tensor<3>,
    /// `[b, 1]`, positive where the object is visible.
    pub object_score_logits: Tensor<2>,
    implementation: Implementation,
}

/// A two-way transformer over the prompt's tokens and learned output tokens, then hypernetworks that predict the masks.
#[derive(Debug)]
pub struct MaskDecoder {
    transformer: TwoWayTransformer,
    /// `obj_score_token`, `iou_token` and `mask_tokens`: `[6, d]`.
    output_tokens: Parameter<2>,
    output_upscaling: OutputUpscaling,
    conv_s0: Linear,
    conv_s1: Linear,
    output_hypernetworks_mlps: GroupedMlp,
    iou_prediction_head: Mlp,
    pred_obj_score_head: Mlp,
    implementation: Implementation,
}

impl MaskDecoder {
    /// Takes all of `sam_mask_decoder`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &Sam2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let dim = config.neck.d_model;
        let relu = Activation::Relu;
        let hypernetworks = weights.at("output_hypernetworks_mlps");
        let output_hypernetworks_mlps =
            GroupedMlp::load(hypernetworks, NUM_MASK_TOKENS, &[dim, dim, dim, dim / 8], relu)?;
        let iou_widths = [dim, IOU_HEAD_HIDDEN_DIM, IOU_HEAD_HIDDEN_DIM, NUM_MASK_TOKENS];
        let mut token = |name, count| weights.at(name).parameter("weight", [count, dim]);
        Ok(Self {
            output_tokens: Parameter::stack(vec![
                token("obj_score_token", 1)?,
                token("iou_token", 1)?,
                token("mask_tokens", NUM_MASK_TOKENS)?,
            ]),
            transformer: TwoWayTransformer::load(weights.at("transformer"), dim)?,
            output_upscaling: OutputUpscaling::load(weights.at("output_upscaling"), dim)?,
            conv_s0: Linear::load_conv_1x1(weights.at("conv_s0"), dim, dim / 8)?,
            conv_s1: Linear::load_conv_1x1(weights.at("conv_s1"), dim, dim / 4)?,
            output_hypernetworks_mlps,
            iou_prediction_head: Mlp::load(weights.at("iou_prediction_head"), &iou_widths, relu)?,
            pred_obj_score_head: Mlp::load(weights.at("pred_obj_score_head"), &[dim, dim, dim, 1], relu)?,
            implementation: weights.implementation().clone(),
        })
    }

    /// The pyramid's three levels (finest first, `[1, h, w, d]`) to what the decoder reads, computed once for a picture
    /// (the second half of `SAM2Base.forward_image`).
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

    /// What all prompts without a mask on one picture share, from the picture's embedding `[1, h, w, d]`, the positions
    /// `image_pe` `[1, h, w, d]` and the `dense` embedding of no mask `[1, 1, 1, d]`.
    pub fn picture_without_mask(
        &self,
        embedding: Tensor<4>,
        image_pe: Tensor<4>,
        dense: Tensor<4>,
    ) -> Picture {
        self.transformer.project(picture(embedding, image_pe, dense))
    }

    /// Decodes a batch of prompts on one picture (`MaskDecoder.predict_masks`). [`MaskDecoderOutput::select`] then
    /// chooses among the masks, as the official `forward` does.
    ///
    /// `image_pe` is `[1, h, w, d]`; `sparse` is `[b, n, d]` or `None`; `dense` is `[b or 1, h or 1, w or 1, d]`, or
    /// `None` to use the picture's [`ImageFeatures::without_mask`].
    ///
    /// # Panics
    /// If both `dense` and [`ImageFeatures::without_mask`] are `None`.
    pub fn predict_masks(
        &self,
        image: &ImageFeatures,
        image_pe: Tensor<4>,
        sparse: Option<Tensor<3>>,
        dense: Option<Tensor<4>>,
    ) -> MaskDecoderOutput {
        let masks = dense.as_ref().map_or(1, |dense| dense.dims()[0]);
        let batch = sparse.as_ref().map_or(masks, |sparse| sparse.dims()[0]);
        let [_, h, w, dim] = image.embedding.dims();

        // Concatenate output tokens
        let output_tokens = self.output_tokens.value();
        let [outputs, _] = output_tokens.dims();
        let output_tokens = output_tokens.unsqueeze_dim::<3>(0).expand([batch, outputs, dim]);
        let tokens = match sparse {
            Some(sparse) => Tensor::cat(vec![output_tokens, sparse], 1),
            None => output_tokens,
        };

        // Add the mask prompt to the embedding
        let src = match dense {
            Some(dense) => picture(image.embedding.clone(), image_pe, dense),
            None => {
                (image.without_mask.clone()).expect("the picture was made ready for prompts without a mask")
            }
        };

        // Run the transformer
        let (hs, src) = self.transformer.forward(src, tokens, outputs);
        let iou_token_out = hs.clone().narrow(1, 1, 1).reshape([batch, dim]);
        let mask_tokens_out = hs.clone().narrow(1, 2, NUM_MASK_TOKENS);

        // Upscale mask embeddings and predict masks using the mask tokens
        let src = src.reshape([batch, h, w, dim]);
        let (feat_s0, feat_s1) = (image.high_res_0.clone(), image.high_res_1.clone());
        let hyper_in = self.output_hypernetworks_mlps.forward(mask_tokens_out.clone());
        let masks = self.output_upscaling.masks(src, feat_s1, feat_s0, hyper_in);
        let masks = masks.reshape([batch, NUM_MASK_TOKENS, 4 * h, 4 * w]);

        // Generate mask quality predictions
        let iou_pred = self
            .iou_prediction_head
            .forward_activated(iou_token_out, Activation::Sigmoid);
        let obj_score_token_out = hs.narrow(1, 0, 1).reshape([batch, dim]);
        let object_score_logits = self.pred_obj_score_head.forward(obj_score_token_out);

        MaskDecoderOutput {
            masks,
            iou_pred,
            mask_tokens_out,
            object_score_logits,
            implementation: self.implementation.clone(),
        }
    }
}

/// An embedding `[1, h, w, d]` with the mask prompt's `dense` embedding added, as the transformer reads it.
fn picture(embedding: Tensor<4>, image_pe: Tensor<4>, dense: Tensor<4>) -> Picture {
    let [_, h, w, dim] = embedding.dims();
    let src = embedding + dense;
    let batch = src.dims()[0];
    Picture::new(
        src.reshape([batch, h * w, dim]),
        image_pe.reshape([1, h * w, dim]),
    )
}
