//! The whole network, with the memory (`sam2.modeling.sam2_base.SAM2Base`): the steps of `track_step` for one object on
//! one frame. These are conditioning on the memory, the SAM heads, and encoding a new memory. The caller chooses the
//! memories ([`crate::memory::recall`]).

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, module, ops::ConvOptions};
use sam2_ops::{
    Activation, Hidden, Implementation, KeyGroup, KeyPositions, Keys, Linear, MaskForMemory, Mlp, Parameter,
    TensorSource, Weights, WeightsError, choose, pick,
};
use sam2_resample::{antialiased, of_pixels};

use crate::LoadError;
use crate::config::{Sam2Config, Version};
use crate::image_model::ImageModel;
use crate::mask_decoder::{DynamicMultimask, ImageFeatures};
use crate::memory::{MemoryAttention, MemoryEncoder, MemoryRules, PerceiverResampler};
use crate::position_encoding::{get_1d_sine_pe, position_embedding_sine};
use crate::prompt_encoder::Point;

/// Logit of every pixel of a mask if the object is not visible.
const NO_OBJ_SCORE: f32 = -1024.0;
/// `sigmoid_scale_for_mem_enc`, which turns a mask's probabilities into what the memory encoder reads, and `out_scale` of
/// `_use_mask_as_output`, which turns a given mask into logits.
const SCALE: f32 = 20.0;
/// `sigmoid_bias_for_mem_enc` and `out_bias`, added after [`SCALE`].
const BIAS: f32 = -10.0;

/// The whole network.
#[derive(Debug)]
pub struct VideoModel {
    /// The part that single pictures need. It is shared, so that its weights are on the device only once if an image
    /// predictor uses it too.
    pub image: Arc<ImageModel>,
    /// A convolution of kernel and stride 4: weight `[1, 1, 4, 4]` and bias `[1]`.
    mask_downsample: (Parameter<4>, Parameter<1>),
    memory_attention: MemoryAttention,
    memory_encoder: MemoryEncoder,
    /// Shrinks memories; `None` in SAM 2.
    spatial_perceiver: Option<PerceiverResampler>,
    /// `[num_maskmem, mem_dim]`.
    maskmem_tpos_enc: Parameter<2>,
    /// The positions of a memory's tokens on their grid, `[h w, mem_dim]` or `[num_latents_2d, mem_dim]`, the same for
    /// every memory.
    maskmem_pos_enc: Parameter<2>,
    /// `[d]`.
    no_obj_ptr: Parameter<1>,
    /// `[mem_dim]`, added to the memory of a frame on which the object is not visible; `None` in SAM 2.0.
    pub no_obj_embed_spatial: Option<Parameter<1>>,
    /// `[1]`: [`NO_OBJ_SCORE`].
    no_obj_score: Parameter<1>,
    obj_ptr_proj: Mlp,
    /// `None` in SAM 2.0, whose object pointers have no temporal positions.
    obj_ptr_tpos_proj: Option<Linear>,
}

/// A frame's memory of an object, and its position in time.
#[derive(Clone, Debug)]
pub struct SpatialMemory {
    /// `[1, n, mem_dim]`, from [`VideoModel::encode_new_memory`].
    pub features: Tensor<3>,
    /// 0 for conditioning frames, else 1 (oldest) to `num_maskmem - 1` (latest).
    pub t_pos: usize,
}

/// An object pointer, and its distance in time.
#[derive(Clone, Debug)]
pub struct ObjectPointer {
    /// `[1, d]`, from [`SamOutput::obj_ptr`].
    pub pointer: Tensor<2>,
    /// In frames, positive for frames that tracking has passed.
    pub distance: i64,
}

/// What the SAM heads predict for one object on one frame.
#[derive(Clone, Debug)]
pub struct SamOutput {
    /// Logits `[1, n, s/4, s/4]`: three candidates or one mask. All are -1024 if the object is not visible.
    pub low_res_multimasks: Tensor<4>,
    /// Predicted IoUs `[1, n]`.
    pub ious: Tensor<2>,
    /// Logits `[1, s/4, s/4]` of the mask with the best predicted IoU.
    pub low_res_masks: Tensor<3>,
    /// The object pointer `[1, d]`.
    pub obj_ptr: Tensor<2>,
    /// `[1, 1]`, positive where the object is visible.
    pub object_score_logits: Tensor<2>,
}

impl VideoModel {
    /// Builds the network from the tensors of `source`. It is computed by `implementation`.
    ///
    /// # Errors
    /// The same as of [`ImageModel::load`].
    pub fn load(
        config: &Sam2Config,
        source: &mut dyn TensorSource,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        Self::load_memory(
            Arc::new(ImageModel::load(config, source, implementation)?),
            source,
        )
    }

    /// Adds the memory to an image model that is already on the device. `source` has the tensors of the same network.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_memory(image: Arc<ImageModel>, source: &mut dyn TensorSource) -> Result<Self, LoadError> {
        image.config.validate()?;
        let implementation = image.implementation().clone();
        Ok(Self::load_memory_from(
            image,
            Weights::new(source, &implementation),
        )?)
    }

    /// Adds the memory to an image model, from `weights`, the root of the official module tree.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_memory_from(image: Arc<ImageModel>, mut weights: Weights) -> Result<Self, WeightsError> {
        let config = &image.config;
        let (dim, mem_dim) = (config.neck.d_model, config.memory_encoder.out_dim);
        let num_maskmem = config.num_maskmem;
        // The grid of a memory's tokens
        let side = match &config.spatial_perceiver {
            None => config.embedding_side(),
            Some(perceiver) => perceiver.side_2d(),
        };
        let spatial_perceiver = config
            .spatial_perceiver
            .as_ref()
            .map(|perceiver| PerceiverResampler::load(config, perceiver, weights.at("spatial_perceiver")));
        let is_2_1 = config.version == Version::V2_1;
        let maskmem_tpos_enc = weights.parameter::<4>("maskmem_tpos_enc", [num_maskmem, 1, 1, mem_dim])?;
        let no_obj_ptr = weights.parameter::<2>("no_obj_ptr", [1, dim])?;
        let no_obj_embed_spatial =
            is_2_1.then(|| weights.parameter::<2>("no_obj_embed_spatial", [1, mem_dim]));
        let obj_ptr_tpos_proj = is_2_1.then(|| Linear::load(weights.at("obj_ptr_tpos_proj"), dim, mem_dim));
        let mut mask_downsample = weights.at("mask_downsample");
        let mask_downsample = (
            mask_downsample.parameter("weight", [1, 1, 4, 4])?,
            mask_downsample.parameter("bias", [1])?,
        );
        Ok(Self {
            mask_downsample,
            memory_attention: MemoryAttention::load(config, weights.at("memory_attention"))?,
            memory_encoder: MemoryEncoder::load(config, weights.at("memory_encoder"))?,
            spatial_perceiver: spatial_perceiver.transpose()?,
            maskmem_tpos_enc: maskmem_tpos_enc.map(|enc| enc.reshape([num_maskmem, mem_dim])),
            maskmem_pos_enc: weights.table([side * side, mem_dim], || {
                position_embedding_sine(side, side, mem_dim)
            }),
            no_obj_ptr: no_obj_ptr.map(|pointer| pointer.reshape([dim])),
            no_obj_embed_spatial: no_obj_embed_spatial
                .transpose()?
                .map(|embed| embed.map(|embed| embed.reshape([mem_dim]))),
            no_obj_score: weights.table([1], || vec![NO_OBJ_SCORE]),
            obj_ptr_proj: Mlp::load(weights.at("obj_ptr_proj"), &[dim; 4], Activation::Relu)?,
            obj_ptr_tpos_proj: obj_ptr_tpos_proj.transpose()?,
            image,
        })
    }

    /// The official options of a memory bank for this network.
    pub fn rules(&self) -> MemoryRules {
        MemoryRules::new(self.image.config.num_maskmem)
    }

    fn implementation(&self) -> &Implementation {
        self.image.implementation()
    }

    /// The prompt encoder and the mask decoder (`_forward_sam_heads`). `backbone_features` come from
    /// [`Self::prepare_memory_conditioned_features`] or [`ImageModel::without_memory`]. `points` are in pixels of the
    /// resized picture, and there are none on a frame that is only tracked. `mask` are the logits `[1, s/4, s/4]` of an
    /// earlier prediction.
    pub fn forward_sam_heads(
        &self,
        backbone_features: &ImageFeatures,
        points: &[Point],
        mask: Option<Tensor<3>>,
        multimask_output: bool,
    ) -> SamOutput {
        let implementation = self.implementation();
        // If no points are provided, pad with an empty point
        let points = match points {
            [] => vec![Point::PADDING],
            points => points.to_vec(),
        };
        let sparse_embeddings = self.image.prompt_encoder.sparse(&[points]);
        let output = self
            .image
            .decode(backbone_features, Some(sparse_embeddings), mask);
        let object_score_logits = output.object_score_logits;
        let if_not_visible = |instead: &Parameter<1>| {
            Some(Hidden {
                object_score_logits: object_score_logits.clone(),
                instead: instead.value(),
            })
        };

        // Take the best mask prediction (with the highest IoU estimation), a hard choice between object and no object
        let [_, count, h, w] = output.masks.dims();
        let masks = output.masks.reshape([1, count, h * w]);
        let stability = (!multimask_output).then(|| DynamicMultimask::default().into());
        let best = choose(implementation, masks.clone(), output.iou_pred.clone(), stability);
        let no_obj_score = if_not_visible(&self.no_obj_score);
        let low_res_masks = pick(implementation, masks.clone(), Some(&best), no_obj_score);
        let low_res_masks: Tensor<3> = low_res_masks.reshape([1, h, w]);
        let (low_res_multimasks, ious) = if multimask_output {
            let candidates = masks.narrow(1, 1, count - 1).reshape([1, 1, (count - 1) * h * w]);
            let no_obj_score = if_not_visible(&self.no_obj_score);
            let candidates = pick(implementation, candidates, None, no_obj_score);
            let ious = output.iou_pred.narrow(1, 1, count - 1);
            (candidates.reshape([1, count - 1, h, w]), ious)
        } else {
            (low_res_masks.clone().unsqueeze_dim(1), best.ious())
        };

        // Extract object pointer from the SAM output token (with occlusion handling). Without `multimask_output` it is
        // the single mask's token, even if a candidate replaced that mask.
        let best_token = multimask_output.then_some(&best);
        let sam_output_token = pick(implementation, output.mask_tokens_out, best_token, None);
        let obj_ptr = self.obj_ptr_proj.forward(sam_output_token).unsqueeze_dim(1);
        let obj_ptr = pick(implementation, obj_ptr, None, if_not_visible(&self.no_obj_ptr));

        SamOutput {
            low_res_multimasks,
            ious,
            low_res_masks,
            obj_ptr,
            object_score_logits,
        }
    }

    /// Turns a given mask, `[s, s]` of 0 and 1, into an output without predicting it (`_use_mask_as_output`).
    /// `backbone_features` are not conditioned on memories; the object pointer is made from them and the mask.
    pub fn use_mask_as_output(&self, backbone_features: &ImageFeatures, mask: &[f32]) -> SamOutput {
        let device = self.image.device();
        let config = &self.image.config;
        let (side, mask_side) = (config.image_size, config.mask_side());
        let scaled = of_pixels(|y, x| SCALE * mask[y * side + x] + BIAS);
        let logits = antialiased(1, [side; 2], [mask_side; 2], &scaled);
        let low_res_masks =
            Tensor::<3>::from_data(TensorData::new(logits, [1, mask_side, mask_side]), device);
        // A dummy IoU prediction of 1 under mask input
        let ious = Tensor::ones([1, 1], device);

        // Produce an object pointer using the SAM decoder from the mask input
        let (weight, bias) = &self.mask_downsample;
        let options = ConvOptions::new([4, 4], [0, 0], [1, 1], 1);
        let inputs = Tensor::<4>::from_data(TensorData::new(mask.to_vec(), [1, 1, side, side]), device);
        let prompt = module::conv2d(inputs, weight.value(), Some(bias.value()), options);
        let prompt = prompt.reshape([1, mask_side, mask_side]);
        let obj_ptr = self
            .forward_sam_heads(backbone_features, &[], Some(prompt), false)
            .obj_ptr;

        // The mask input, not the SAM decoder, decides whether the object appears
        let is_obj_appearing = mask.iter().any(|&pixel| pixel > 0.0);
        let object_score = SCALE * f32::from(u8::from(is_obj_appearing)) + BIAS;
        let object_score_logits = Tensor::<2>::from_data([[object_score]], device);
        let if_not_visible = Hidden {
            object_score_logits: object_score_logits.clone(),
            instead: self.no_obj_ptr.value(),
        };
        let obj_ptr = obj_ptr.unsqueeze_dim(1);
        let obj_ptr = pick(self.implementation(), obj_ptr, None, Some(if_not_visible));

        SamOutput {
            low_res_multimasks: low_res_masks.clone().unsqueeze_dim(1),
            ious,
            low_res_masks,
            obj_ptr,
            object_score_logits,
        }
    }

    /// Conditions a frame's features on an object's memories (`_prepare_memory_conditioned_features`). `max_pointers` is
    /// [`MemoryRules::max_pointers`].
    ///
    /// # Panics
    /// If there are no memories. The features of a frame without memories come from [`ImageModel::without_memory`].
    pub fn prepare_memory_conditioned_features(
        &self,
        frame: &ImageFeatures,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> ImageFeatures {
        // Step 1: retrieve the memories
        let memory = self.memory_bank(memories, pointers, max_pointers);
        // Step 2: concatenate the memories and forward through the transformer encoder
        let memory = Keys::new(self.implementation(), memory, self.image.config.neck.d_model);
        let embedding = self.memory_attention.forward(frame.embedding.clone(), &memory);
        ImageFeatures {
            embedding,
            without_mask: None,
            ..frame.clone()
        }
    }

    /// The memory bank, which is step 1 of `_prepare_memory_conditioned_features`: the tokens `[n, mem_dim]` of the
    /// memories, then those of the object pointers, each with their positions. Of a memory that a perceiver has made
    /// smaller, the latents on a grid are in the first group; the others have no positions in space, and are a group of
    /// their own after all grids. The official code has them before each grid, but the order of keys does not matter.
    pub fn memory_bank(
        &self,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> Vec<KeyGroup> {
        let temporal = self.maskmem_tpos_enc.value();
        let [num_maskmem, mem_dim] = temporal.dims();
        let positions = |spatial| {
            let temporal = temporal.clone();
            Some(KeyPositions { spatial, temporal })
        };

        // Spatial and temporal positional encoding; the last temporal row is that of conditioning frames
        let maskmem_pos_enc = self.maskmem_pos_enc.value();
        let on_grid = maskmem_pos_enc.dims()[0];
        let tokens = |memory: &SpatialMemory, first: usize, count: usize| {
            let features = memory.features.clone().narrow(1, first, count);
            let features = features.reshape([count, mem_dim]);
            (features, Some(num_maskmem - memory.t_pos - 1))
        };
        // The grid is the last part of a memory, or all of it
        let before_grid = |memory: &SpatialMemory| memory.features.dims()[1] - on_grid;
        let grids = memories
            .iter()
            .map(|memory| tokens(memory, before_grid(memory), on_grid));
        let mut bank = vec![KeyGroup {
            parts: grids.collect(),
            positions: positions(maskmem_pos_enc),
            rotated: true,
        }];
        if self.spatial_perceiver.is_some() {
            let latents = memories
                .iter()
                .map(|memory| tokens(memory, 0, before_grid(memory)));
            bank.push(KeyGroup {
                parts: latents.collect(),
                positions: positions(Tensor::zeros([1, mem_dim], self.image.device())),
                rotated: false,
            });
        }

        // If we have at least one object pointer, add them to the cross attention
        if !pointers.is_empty() {
            // Split a pointer into d / mem_dim tokens
            let split = self.image.config.neck.d_model / mem_dim;
            let obj_ptrs = pointers.iter().map(|pointer| pointer.pointer.clone()).collect();
            let obj_ptrs = self.implementation().stack(obj_ptrs);
            bank.push(KeyGroup {
                parts: vec![(obj_ptrs.reshape([pointers.len() * split, mem_dim]), None)],
                positions: positions(self.obj_pos(pointers, max_pointers, split)),
                rotated: false,
            });
        }
        bank
    }

    /// The temporal position of each of n pointers, repeated for its `split` tokens: `[split * n, mem_dim]`.
    fn obj_pos(&self, pointers: &[ObjectPointer], max_pointers: usize, split: usize) -> Tensor<2> {
        let device = self.image.device();
        let config = &self.image.config;
        let (dim, count) = (config.neck.d_model, pointers.len() * split);
        let Some(obj_ptr_tpos_proj) = &self.obj_ptr_tpos_proj else {
            return Tensor::zeros([count, config.memory_encoder.out_dim], device);
        };
        let t_diff_max = (max_pointers - 1).max(1) as f64;
        let values: Vec<f32> = pointers
            .iter()
            .flat_map(|pointer| std::iter::repeat_n(pointer.distance as f64 / t_diff_max, split))
            .flat_map(|position| get_1d_sine_pe(position, dim))
            .collect();
        obj_ptr_tpos_proj.forward(Tensor::from_data(TensorData::new(values, [count, dim]), device))
    }

    /// Encodes a frame and an object's mask into a memory `[1, n, mem_dim]` (`_encode_new_memory`), whose `n` tokens are
    /// those of the frame, or the perceiver's. `embedding` `[1,
    /// h, w, d]` is not conditioned on memories, `low_res_masks` are logits `[1, s/4, s/4]`, `object_score_logits` is
    /// `[1, 1]`, and `binarize` is for masks that a user prompted.
    pub fn encode_new_memory(
        &self,
        embedding: Tensor<4>,
        low_res_masks: Tensor<3>,
        object_score_logits: Tensor<2>,
        binarize: bool,
    ) -> Tensor<3> {
        let maskmem_features = self.maskmem_features(embedding, low_res_masks, binarize);
        // Add a no-object embedding to the spatial memory if no object appears in the frame
        let no_obj_embed = self.no_obj_embed_spatial.as_ref().map(Parameter::value);
        let score = object_score_logits.reshape([1]);
        self.implementation()
            .finish_memory(maskmem_features, no_obj_embed, score)
            .unsqueeze_dim(0)
    }

    /// The output of the memory encoder and of the perceiver, if there is one, `[n, mem_dim]`: a memory before the
    /// no-object embedding is added and before it is rounded. No network has both that embedding and a perceiver.
    pub fn maskmem_features(
        &self,
        embedding: Tensor<4>,
        low_res_masks: Tensor<3>,
        binarize: bool,
    ) -> Tensor<2> {
        let mask_for_mem = MaskForMemory {
            low_res_masks,
            image_size: self.image.config.image_size,
            binarize,
            scale: SCALE,
            bias: BIAS,
        };
        let maskmem_features = self.memory_encoder.forward(embedding, mask_for_mem);
        if let Some(perceiver) = &self.spatial_perceiver {
            return perceiver.forward(maskmem_features);
        }
        let [_, h, w, mem_dim] = maskmem_features.dims();
        maskmem_features.reshape([h * w, mem_dim])
    }
}
