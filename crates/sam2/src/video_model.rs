//! One frame of one object, by parts (`sam2.modeling.sam2_base.SAM2Base.track_step`): conditioning on the memory,
//! the SAM heads, and the making of a memory. Which memories, and of what frame, is the caller's to choose.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, module, ops::ConvOptions};
use sam2_ops::{
    Activation, Hidden, Implementation, KeyGroup, KeyPositions, Keys, Linear, MaskForMemory, Mlp, Parameter,
    TensorSource, Weights, WeightsError, choose, pick,
};
use sam2_resample::antialiased;

use crate::LoadError;
use crate::config::{Sam2Config, Version};
use crate::image_model::ImageModel;
use crate::mask_decoder::{DynamicMultimask, ImageFeatures};
use crate::memory::{MemoryAttention, MemoryEncoder, MemoryRules};
use crate::position_encoding::{get_1d_sine_pe, position_embedding_sine};
use crate::prompt_encoder::Point;

/// Logit of every pixel where the object is not there.
const NO_OBJ_SCORE: f32 = -1024.0;
/// `sigmoid_scale_for_mem_enc` and `sigmoid_bias_for_mem_enc`: from a mask's probabilities to what the memory encoder
/// reads, and from a given mask to logits.
const SCALE: f32 = 20.0;
const BIAS: f32 = -10.0;

/// The whole network.
#[derive(Debug)]
pub struct VideoModel {
    /// What a picture needs; shared with those who work on pictures, so that its weights are on the device once.
    pub image: Arc<ImageModel>,
    memory_attention: MemoryAttention,
    memory_encoder: MemoryEncoder,
    /// `[num_maskmem, mem_dim]`.
    maskmem_tpos_enc: Parameter<2>,
    /// `[h w, mem_dim]`, the same for every memory.
    maskmem_pos_enc: Parameter<2>,
    /// `[d]`.
    no_obj_ptr: Parameter<1>,
    /// `[mem_dim]`, added to the memory of an object that is not there; SAM 2.0 has none.
    pub no_obj_embed_spatial: Option<Parameter<1>>,
    /// `[1]`: [`NO_OBJ_SCORE`].
    no_obj_score: Parameter<1>,
    obj_ptr_proj: Mlp,
    /// SAM 2.0 does not place pointers in time.
    obj_ptr_tpos_proj: Option<Linear>,
    /// Weight `[1, 1, 4, 4]` and bias `[1]`.
    mask_downsample: (Parameter<4>, Parameter<1>),
}

/// A frame's memory of an object, and when it was.
#[derive(Clone, Debug)]
pub struct SpatialMemory {
    /// `[1, hw, mem_dim]`, from [`VideoModel::encode_memory`].
    pub features: Tensor<3>,
    /// 0 for conditioning frames, then 1 (oldest) to `num_maskmem - 1` (latest).
    pub t_pos: usize,
}

/// An object pointer, and how long ago it was.
#[derive(Clone, Debug)]
pub struct ObjectPointer {
    /// `[1, d]`, from [`SamOutput::obj_ptr`].
    pub pointer: Tensor<2>,
    /// In frames, positive towards where tracking comes from.
    pub distance: i64,
}

/// What the SAM heads say of one object on one frame.
#[derive(Clone, Debug)]
pub struct SamOutput {
    /// Logits `[1, n, s/4, s/4]`: three candidates or one mask; -1024 everywhere where the object is not there.
    pub low_res_multimasks: Tensor<4>,
    /// Predicted IoUs `[1, n]`.
    pub ious: Tensor<2>,
    /// The one with the best predicted IoU: `[1, s/4, s/4]`.
    pub low_res_masks: Tensor<3>,
    /// `[1, d]`.
    pub obj_ptr: Tensor<2>,
    /// `[1, 1]`, positive where the object is visible.
    pub object_score_logits: Tensor<2>,
}

impl VideoModel {
    /// Builds the network from all of its tensors; it is computed by `implementation`.
    ///
    /// # Errors
    /// As [`ImageModel::load`].
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

    /// Adds the memory to an image model that is already on the device, from the same weights.
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

    /// The same from the root of the official module tree.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_memory_from(image: Arc<ImageModel>, mut weights: Weights) -> Result<Self, WeightsError> {
        let config = &image.config;
        let (dim, mem_dim) = (config.neck.d_model, config.memory_encoder.out_dim);
        let (side, num_maskmem) = (config.embedding_side(), config.num_maskmem);
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
            memory_attention: MemoryAttention::load(config, weights.at("memory_attention"))?,
            memory_encoder: MemoryEncoder::load(config, weights.at("memory_encoder"))?,
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
            mask_downsample,
            image,
        })
    }

    /// The official rules of this network's bank.
    pub fn rules(&self) -> MemoryRules {
        MemoryRules::new(self.image.config.num_maskmem)
    }

    fn implementation(&self) -> &Implementation {
        self.image.implementation()
    }

    /// A frame's features conditioned on an object's memories; `max_pointers` as [`MemoryRules::max_pointers`].
    ///
    /// # Panics
    /// If there are no memories: a frame without any takes [`ImageModel::without_memory`].
    pub fn condition_on_memory(
        &self,
        frame: &ImageFeatures,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> ImageFeatures {
        let memory = Keys::new(
            self.implementation(),
            self.memory_bank(memories, pointers, max_pointers),
        );
        ImageFeatures {
            embedding: self.memory_attention.forward(frame.embedding.clone(), &memory),
            without_mask: None,
            ..frame.clone()
        }
    }

    /// The memory bank (`_prepare_memory_conditioned_features`): each memory's tokens, then the pointers'.
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
        // Spatial memories, the temporal position of conditioning frames being the last row
        let tokens = |memory: &SpatialMemory| {
            let [_, n, _] = memory.features.dims();
            let features = memory.features.clone().reshape([n, mem_dim]);
            (features, Some(num_maskmem - memory.t_pos - 1))
        };
        let mut bank = vec![KeyGroup {
            parts: memories.iter().map(tokens).collect(),
            positions: positions(self.maskmem_pos_enc.value()),
            rotated: true,
        }];
        // Object pointers, each of which is as many tokens as memories are narrower than it
        if !pointers.is_empty() {
            let dim = self.image.config.neck.d_model;
            let split = dim / mem_dim;
            let obj_ptrs = pointers.iter().map(|pointer| pointer.pointer.clone()).collect();
            let obj_ptrs = self.implementation().stack(obj_ptrs);
            bank.push(KeyGroup {
                parts: vec![(obj_ptrs.reshape([pointers.len() * split, mem_dim]), None)],
                positions: positions(self.pointer_positions(pointers, max_pointers, split)),
                rotated: false,
            });
        }
        bank
    }

    /// When each pointer was, each `split` times over: `[split * n, mem_dim]`.
    fn pointer_positions(&self, pointers: &[ObjectPointer], max_pointers: usize, split: usize) -> Tensor<2> {
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

    /// The SAM heads (`_forward_sam_heads`) on features that know the memory, or that know there is none: `points` in
    /// the network's pixels, none while tracking; `mask` the logits `[1, s/4, s/4]` of an earlier answer.
    pub fn sam_heads(
        &self,
        image: &ImageFeatures,
        points: &[Point],
        mask: Option<Tensor<3>>,
        multimask: bool,
    ) -> SamOutput {
        let implementation = self.implementation();
        // Without points there is one that says nothing, beside the padding.
        let points = match points {
            [] => vec![Point::PADDING],
            points => points.to_vec(),
        };
        let sparse = self.image.prompt_encoder.sparse(&[points]);
        let output = self.image.decode(image, Some(sparse), mask);
        let object_score_logits = output.object_score_logits;
        // A mask is absent where the object is.
        let no_obj = |instead: &Parameter<1>| {
            Some(Hidden {
                object_score_logits: object_score_logits.clone(),
                instead: instead.value(),
            })
        };

        // Take the best mask prediction (with the highest IoU estimation)
        let [_, count, h, w] = output.masks.dims();
        let masks = output.masks.reshape([1, count, h * w]);
        let stability = (!multimask).then(|| DynamicMultimask::default().into());
        let choice = choose(implementation, masks.clone(), output.ious.clone(), stability);
        let best = pick(
            implementation,
            masks.clone(),
            Some(&choice),
            no_obj(&self.no_obj_score),
        );
        let low_res_masks: Tensor<3> = best.reshape([1, h, w]);
        let (low_res_multimasks, ious) = if multimask {
            let candidates = masks.narrow(1, 1, count - 1).reshape([1, 1, (count - 1) * h * w]);
            let candidates = pick(implementation, candidates, None, no_obj(&self.no_obj_score));
            let ious = output.ious.narrow(1, 1, count - 1);
            (candidates.reshape([1, count - 1, h, w]), ious)
        } else {
            (low_res_masks.clone().unsqueeze_dim(1), choice.ious())
        };

        // Extract object pointer from the SAM output token: the best candidate's, or the single mask's, even where a
        // candidate replaced that mask
        let token = pick(
            implementation,
            output.mask_tokens,
            multimask.then_some(&choice),
            None,
        );
        let obj_ptr = self.obj_ptr_proj.forward(token).unsqueeze_dim(1);
        SamOutput {
            low_res_multimasks,
            ious,
            low_res_masks,
            obj_ptr: pick(implementation, obj_ptr, None, no_obj(&self.no_obj_ptr)),
            object_score_logits,
        }
    }

    /// A mask that is given, `[s, s]` of 0 and 1, as the answer (`_use_mask_as_output`); `image` knows no memory.
    pub fn mask_as_output(&self, image: &ImageFeatures, mask: &[f32]) -> SamOutput {
        let device = self.image.device();
        let config = &self.image.config;
        let (side, mask_side) = (config.image_size, config.mask_side());
        let (weight, bias) = &self.mask_downsample;
        let options = ConvOptions::new([4, 4], [0, 0], [1, 1], 1);
        let inputs = Tensor::<4>::from_data(TensorData::new(mask.to_vec(), [1, 1, side, side]), device);
        let prompt = module::conv2d(inputs, weight.value(), Some(bias.value()), options);
        let heads = self.sam_heads(image, &[], Some(prompt.reshape([1, mask_side, mask_side])), false);

        let logits = antialiased([side; 2], [mask_side; 2], |y, x| {
            [SCALE * mask[y * side + x] + BIAS]
        });
        let low_res_masks =
            Tensor::<3>::from_data(TensorData::new(logits, [1, mask_side, mask_side]), device);
        let is_obj_appearing = mask.iter().any(|&pixel| pixel > 0.0);
        let object_score = SCALE * f32::from(u8::from(is_obj_appearing)) + BIAS;
        let object_score_logits = Tensor::<2>::from_data([[object_score]], device);
        let hidden = Hidden {
            object_score_logits: object_score_logits.clone(),
            instead: self.no_obj_ptr.value(),
        };
        SamOutput {
            low_res_multimasks: low_res_masks.clone().unsqueeze_dim(1),
            ious: Tensor::ones([1, 1], device),
            low_res_masks,
            obj_ptr: pick(
                self.implementation(),
                heads.obj_ptr.unsqueeze_dim(1),
                None,
                Some(hidden),
            ),
            object_score_logits,
        }
    }

    /// Makes the memory `[1, hw, mem_dim]` of a frame (`_encode_new_memory`) from its embedding (without memory) and the
    /// object's mask `[1, s/4, s/4]`. `binarize` is for masks that a person prompted.
    pub fn encode_memory(
        &self,
        embedding: Tensor<4>,
        low_res_masks: Tensor<3>,
        object_score_logits: Tensor<2>,
        binarize: bool,
    ) -> Tensor<3> {
        let memory = self.maskmem_features(embedding, low_res_masks, binarize);
        let absent = self.no_obj_embed_spatial.as_ref().map(Parameter::value);
        let score = object_score_logits.reshape([1]);
        self.implementation()
            .finish_memory(memory, absent, score)
            .unsqueeze_dim(0)
    }

    /// The same as if the object were there, and before it is rounded: `[hw, mem_dim]`.
    pub fn maskmem_features(
        &self,
        embedding: Tensor<4>,
        low_res_masks: Tensor<3>,
        binarize: bool,
    ) -> Tensor<2> {
        let masks = MaskForMemory {
            low_res_masks,
            image_size: self.image.config.image_size,
            binarize,
            scale: SCALE,
            bias: BIAS,
        };
        let memory = self.memory_encoder.forward(embedding, masks);
        let [_, h, w, mem_dim] = memory.dims();
        memory.reshape([h * w, mem_dim])
    }
}
