//! One frame of one object, by parts (`sam2.modeling.sam2_base.SAM2Base.track_step`): conditioning on the memory,
//! the SAM heads, and the making of a memory. Which memories, and of what frame, is the caller's to choose.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData, module, ops::ConvOptions};
#[cfg(feature = "webgpu")]
use sam2_kernels::{
    MaskScale,
    tensors::{self, Joined, Positions},
};

use super::{MemoryAttention, MemoryEncoder, MemoryRules, round_to_bf16};
use crate::config::{Sam2Config, Version};
use crate::image_encoder::position_embedding_sine;
use crate::image_model::ImageModel;
use crate::layers::{Activation, BilinearResize, KeyPart, Linear, Mlp};
#[cfg(feature = "webgpu")]
use crate::layers::{JoinedKeys, is_gpu, rows};
#[cfg(feature = "webgpu")]
use crate::mask_decoder::MaskDecoderOutput;
use crate::mask_decoder::{DynamicMultimask, ImageFeatures};
use crate::prompt_encoder::Point;
use crate::weights::{TensorSource, Weights, WeightsError};

/// Logit of every pixel where the object is not there.
const NO_OBJ_SCORE: f32 = -1024.0;
/// From a mask's probabilities to what the memory encoder reads, and from a given mask to logits.
const SCALE: f32 = 20.0;
const BIAS: f32 = -10.0;
const TEMPERATURE: f64 = 10_000.0;

/// The whole network.
#[derive(Debug)]
pub struct VideoModel {
    /// What a picture needs; shared with those who work on pictures, so that its weights are on the device once.
    pub image: Arc<ImageModel>,
    memory_attention: MemoryAttention,
    memory_encoder: MemoryEncoder,
    /// `[num_maskmem, mem_dim]`.
    maskmem_tpos_enc: Tensor<2>,
    /// `[1, hw, mem_dim]`, the same for every memory.
    maskmem_pos_enc: Tensor<3>,
    /// `[1, d]`.
    no_obj_ptr: Tensor<2>,
    /// `[1, 1, mem_dim]`; SAM 2.0 has none.
    no_obj_embed_spatial: Option<Tensor<3>>,
    obj_ptr_proj: Mlp,
    /// SAM 2.0 does not place pointers in time.
    obj_ptr_tpos_proj: Option<Linear>,
    mask_downsample: (Tensor<4>, Tensor<1>),
    /// `[1]`: every logit where the object is not there.
    #[cfg(feature = "webgpu")]
    gone: Tensor<1>,
    /// Low-resolution masks to the network's pictures, and back.
    upscale: BilinearResize,
    downscale: BilinearResize,
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
    /// Builds the network from all of its tensors.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        config: &Sam2Config,
        source: &mut dyn TensorSource,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        Self::load_memory(Arc::new(ImageModel::load(config, source, device)?), source)
    }

    /// Adds the memory to an image model that is already on the device, from the same weights.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load_memory(image: Arc<ImageModel>, source: &mut dyn TensorSource) -> Result<Self, WeightsError> {
        let (config, device) = (&image.config, image.device());
        let mut weights = Weights::new(source, device);
        let (dim, mem_dim) = (config.neck.d_model, config.memory_encoder.out_dim);
        let (side, count) = (config.embedding_side(), config.num_maskmem);
        let is_2_1 = config.version == Version::V2_1;
        let no_obj_embed_spatial = is_2_1.then(|| weights.tensor::<2>("no_obj_embed_spatial", [1, mem_dim]));
        let obj_ptr_tpos_proj = is_2_1.then(|| Linear::load(weights.at("obj_ptr_tpos_proj"), dim, mem_dim));
        let mut downsample = weights.at("mask_downsample");
        let mask_downsample = (
            downsample.tensor("weight", [1, 1, 4, 4])?,
            downsample.tensor("bias", [1])?,
        );
        Ok(Self {
            memory_attention: MemoryAttention::load(config, weights.at("memory_attention"))?,
            memory_encoder: MemoryEncoder::load(config, weights.at("memory_encoder"))?,
            maskmem_tpos_enc: weights
                .tensor::<4>("maskmem_tpos_enc", [count, 1, 1, mem_dim])?
                .reshape([count, mem_dim]),
            maskmem_pos_enc: position_embedding_sine(side, side, mem_dim, device).reshape([
                1,
                side * side,
                mem_dim,
            ]),
            no_obj_ptr: weights.tensor("no_obj_ptr", [1, dim])?,
            no_obj_embed_spatial: no_obj_embed_spatial.transpose()?.map(|x| x.unsqueeze_dim(0)),
            obj_ptr_proj: Mlp::load(weights.at("obj_ptr_proj"), &[dim; 4], Activation::Relu)?,
            obj_ptr_tpos_proj: obj_ptr_tpos_proj.transpose()?,
            mask_downsample,
            #[cfg(feature = "webgpu")]
            gone: Tensor::from_data([NO_OBJ_SCORE], device),
            upscale: BilinearResize::new(config.mask_side(), config.image_size, device),
            downscale: BilinearResize::new(config.image_size, config.mask_side(), device),
            image,
        })
    }

    /// The official rules of this network's bank.
    pub fn rules(&self) -> MemoryRules {
        MemoryRules::new(self.image.config.num_maskmem)
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
        ImageFeatures {
            embedding: self.attend_to_memory(frame.embedding.clone(), memories, pointers, max_pointers),
            without_mask: None,
            ..frame.clone()
        }
    }

    fn attend_to_memory(
        &self,
        embedding: Tensor<4>,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> Tensor<4> {
        #[cfg(feature = "webgpu")]
        if is_gpu(self.image.device()) {
            let memory = self.joined_memory(memories, pointers, max_pointers);
            return self.memory_attention.on_gpu(embedding, &memory);
        }
        let memory = self.memory_parts(memories, pointers, max_pointers);
        self.memory_attention.forward(embedding, &memory)
    }

    /// The memory bank on a GPU, each memory's tokens and then the pointers'.
    #[cfg(feature = "webgpu")]
    fn joined_memory(
        &self,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> JoinedKeys {
        let [count, mem_dim] = self.maskmem_tpos_enc.dims();
        let mut values: Vec<_> = memories
            .iter()
            .map(|memory| (rows(memory.features.clone()), Some(count - memory.t_pos - 1)))
            .collect();
        let placed = values.iter().map(|(rows, _)| rows.dims()[0]).sum();
        let positions = |spatial: Tensor<2>| {
            Some(Positions {
                spatial,
                temporal: self.maskmem_tpos_enc.clone(),
            })
        };
        let mut keys = vec![Joined {
            parts: values.clone(),
            positions: positions(rows(self.maskmem_pos_enc.clone())),
        }];
        if !pointers.is_empty() {
            let pointer = Joined {
                parts: pointers.iter().map(|p| (p.pointer.clone(), None)).collect(),
                positions: None,
            };
            let tokens = tensors::join(&[pointer]).reshape([-1, mem_dim as i64]);
            let split = self.image.config.neck.d_model / mem_dim;
            let spatial = self.pointer_positions(pointers, max_pointers, split);
            keys.push(Joined {
                parts: vec![(tokens.clone(), None)],
                positions: positions(spatial),
            });
            values.push((tokens, None));
        }
        JoinedKeys {
            keys: tensors::join(&keys),
            values: tensors::join(&[Joined {
                parts: values,
                positions: None,
            }]),
            placed,
        }
    }

    /// The memory bank as tokens, each memory's and then the pointers'.
    fn memory_parts(
        &self,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> Vec<KeyPart> {
        let [count, mem_dim] = self.maskmem_tpos_enc.dims();
        let mut parts: Vec<KeyPart> = memories
            .iter()
            .map(|memory| {
                let time = self
                    .maskmem_tpos_enc
                    .clone()
                    .narrow(0, count - memory.t_pos - 1, 1);
                KeyPart {
                    values: memory.features.clone(),
                    positions: vec![self.maskmem_pos_enc.clone(), time.unsqueeze_dim(0)],
                    placed: true,
                }
            })
            .collect();
        if !pointers.is_empty() {
            let pointer = Tensor::cat(pointers.iter().map(|p| p.pointer.clone()).collect(), 0);
            let [n, dim] = pointer.dims();
            // A pointer is as many tokens as memories are narrower than it.
            let split = dim / mem_dim;
            let place = self.pointer_positions(pointers, max_pointers, 1);
            let place = place.unsqueeze_dim::<3>(1).expand([n, split, mem_dim]);
            parts.push(KeyPart {
                values: pointer.reshape([1, n * split, mem_dim]),
                positions: vec![place.reshape([1, n * split, mem_dim])],
                placed: false,
            });
        }
        parts
    }

    /// The memory bank as tokens `[1, m, mem_dim]`, their positions, and how many of the last are pointers'.
    pub fn memory_tokens(
        &self,
        memories: &[SpatialMemory],
        pointers: &[ObjectPointer],
        max_pointers: usize,
    ) -> (Tensor<3>, Tensor<3>, usize) {
        let parts = self.memory_parts(memories, pointers, max_pointers);
        let tokens = parts.iter().map(|part| part.values.clone()).collect();
        let positions = parts.iter().filter_map(KeyPart::position).collect();
        let pointer_tokens = parts.iter().filter(|part| !part.placed).map(KeyPart::len).sum();
        (Tensor::cat(tokens, 1), Tensor::cat(positions, 1), pointer_tokens)
    }

    /// When each pointer was, each so many `times` over: `[times * n, mem_dim]`.
    fn pointer_positions(&self, pointers: &[ObjectPointer], max_pointers: usize, times: usize) -> Tensor<2> {
        let device = self.image.device();
        let [_, mem_dim] = self.maskmem_tpos_enc.dims();
        let dim = self.image.config.neck.d_model;
        let count = pointers.len() * times;
        let Some(projection) = &self.obj_ptr_tpos_proj else {
            return Tensor::zeros([count, mem_dim], device);
        };
        let longest = (max_pointers - 1).max(1) as f64;
        let values: Vec<f32> = pointers
            .iter()
            .flat_map(|pointer| std::iter::repeat_n(pointer.distance as f64 / longest, times))
            .flat_map(|distance| sine_position(distance, dim))
            .collect();
        projection.forward(Tensor::from_data(TensorData::new(values, [count, dim]), device))
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
        // Without points there is one that says nothing, beside the padding.
        let points = if points.is_empty() {
            vec![Point::PADDING]
        } else {
            points.to_vec()
        };
        let sparse = self.image.prompt_encoder.sparse(&[points]);
        let output = self.image.decode(image, Some(sparse), mask);
        #[cfg(feature = "webgpu")]
        if is_gpu(self.image.device()) {
            return self.answer_on_gpu(output, multimask);
        }
        let selected = output.select(multimask, Some(DynamicMultimask::default()));
        let is_there = output.object_score_logits.clone().greater_elem(0.0);

        let [_, n, h, w] = selected.masks.dims();
        let gone = is_there
            .clone()
            .bool_not()
            .reshape([1, 1, 1, 1])
            .expand([1, n, h, w]);
        let masks = selected.masks.mask_fill(gone, NO_OBJ_SCORE);

        let best: Tensor<2, Int> = selected.ious.clone().argmax(1);
        let index = best.clone().reshape([1, 1, 1, 1]).expand([1, 1, h, w]);
        let low_res_masks = masks.clone().gather(1, index).reshape([1, h, w]);

        // The pointer comes from the best candidate's token, or from the single mask's, even where a candidate
        // replaced that mask.
        let [_, _, dim] = output.mask_tokens.dims();
        let token = if multimask {
            let index = (best + 1).reshape([1, 1, 1]).expand([1, 1, dim]);
            output.mask_tokens.gather(1, index)
        } else {
            output.mask_tokens.narrow(1, 0, 1)
        };
        let obj_ptr = self.obj_ptr_proj.forward(token.reshape([1, dim]));
        SamOutput {
            low_res_multimasks: masks,
            ious: selected.ious,
            low_res_masks,
            obj_ptr: self.hide_pointer(obj_ptr, is_there),
            object_score_logits: output.object_score_logits,
        }
    }

    /// What the decoder says as an answer, chosen by kernels of our own.
    #[cfg(feature = "webgpu")]
    fn answer_on_gpu(&self, output: MaskDecoderOutput, multimask: bool) -> SamOutput {
        let [_, count, h, w] = output.masks.dims();
        let (scores, gone) = (output.object_score_logits, self.gone.clone());
        let hide = |values, hidden| tensors::pick(values, None, Some((scores.clone(), hidden)));

        let masks = output.masks.reshape([1, count, h * w]);
        let dynamic = (!multimask).then(DynamicMultimask::default);
        let choices = tensors::choose(&masks, output.ious.clone(), dynamic.map(DynamicMultimask::limits));
        let best = Some((scores.clone(), gone.clone()));
        let low_res_masks = tensors::pick(masks.clone(), Some(choices.clone()), best).reshape([1, h, w]);
        let (low_res_multimasks, ious) = if multimask {
            let candidates = masks.narrow(1, 1, count - 1).reshape([1, 1, -1]);
            let ious = output.ious.narrow(1, 1, count - 1);
            (hide(candidates, gone).reshape([1, count - 1, h, w]), ious)
        } else {
            (
                low_res_masks.clone().unsqueeze_dim(1),
                choices.clone().narrow(1, 1, 1),
            )
        };

        // The pointer comes from the best candidate's token, or from the single mask's, even where a candidate
        // replaced that mask.
        let token = tensors::pick(output.mask_tokens, multimask.then_some(choices), None);
        let obj_ptr = self.obj_ptr_proj.forward(token);
        let no_obj_ptr = self.no_obj_ptr.clone().squeeze_dim(0);
        SamOutput {
            low_res_multimasks,
            ious,
            low_res_masks,
            obj_ptr: hide(obj_ptr.unsqueeze_dim(1), no_obj_ptr),
            object_score_logits: scores,
        }
    }

    /// A mask that is given, `[1, s, s]` of 0 and 1, as the answer (`_use_mask_as_output`); `image` knows no memory.
    pub fn mask_as_output(&self, image: &ImageFeatures, mask: Tensor<3>) -> SamOutput {
        let side = self.image.config.mask_side();
        let (weight, bias) = self.mask_downsample.clone();
        let options = ConvOptions::new([4, 4], [0, 0], [1, 1], 1);
        let prompt = module::conv2d(mask.clone().unsqueeze_dim::<4>(1), weight, Some(bias), options);
        let heads = self.sam_heads(image, &[], Some(prompt.reshape([1, side, side])), false);

        let is_there: Tensor<2, Bool> = mask.clone().max().reshape([1, 1]).greater_elem(0.0);
        let masks = self.downscale.forward(mask * SCALE + BIAS);
        SamOutput {
            low_res_multimasks: masks.clone().unsqueeze_dim(1),
            ious: Tensor::ones([1, 1], self.image.device()),
            low_res_masks: masks,
            obj_ptr: self.hide_pointer(heads.obj_ptr, is_there.clone()),
            object_score_logits: is_there.float() * SCALE + BIAS,
        }
    }

    /// The pointer of an object that is not there says just that.
    fn hide_pointer(&self, obj_ptr: Tensor<2>, is_there: Tensor<2, Bool>) -> Tensor<2> {
        let is_there = is_there.expand(obj_ptr.dims());
        self.no_obj_ptr.clone().mask_where(is_there, obj_ptr)
    }

    /// Makes the memory `[1, hw, mem_dim]` of a frame from its embedding (without memory) and the object's mask
    /// `[1, s/4, s/4]`. `binarize` is for masks that a person prompted.
    pub fn encode_memory(
        &self,
        embedding: Tensor<4>,
        low_res_masks: Tensor<3>,
        object_score_logits: Tensor<2>,
        binarize: bool,
    ) -> Tensor<3> {
        #[cfg(feature = "webgpu")]
        if is_gpu(self.image.device()) {
            let memory = self.memory_of(embedding, low_res_masks, binarize);
            let absent = match &self.no_obj_embed_spatial {
                Some(embed) => embed.clone().reshape([-1]),
                None => Tensor::zeros([memory.dims()[2]], self.image.device()),
            };
            let score = object_score_logits.reshape([1]);
            return tensors::finish_memory(rows(memory), absent, score).unsqueeze_dim(0);
        }
        round_to_bf16(self.encode_memory_f32(embedding, low_res_masks, object_score_logits, binarize))
    }

    /// [`Self::encode_memory`] before it is rounded.
    pub fn encode_memory_f32(
        &self,
        embedding: Tensor<4>,
        low_res_masks: Tensor<3>,
        object_score_logits: Tensor<2>,
        binarize: bool,
    ) -> Tensor<3> {
        let memory = self.memory_of(embedding, low_res_masks, binarize);
        match &self.no_obj_embed_spatial {
            Some(embed) => {
                let is_gone = object_score_logits.lower_equal_elem(0.0).float();
                memory + embed.clone() * is_gone.reshape([1, 1, 1])
            }
            None => memory,
        }
    }

    /// `[1, hw, mem_dim]`, as if the object were there.
    fn memory_of(&self, embedding: Tensor<4>, low_res_masks: Tensor<3>, binarize: bool) -> Tensor<3> {
        let [b, h, w, _] = embedding.dims();
        let memory = self.encode_mask(embedding, low_res_masks, binarize);
        memory.reshape([b as i64, (h * w) as i64, -1])
    }

    fn encode_mask(&self, embedding: Tensor<4>, low_res_masks: Tensor<3>, binarize: bool) -> Tensor<4> {
        #[cfg(feature = "webgpu")]
        if is_gpu(self.image.device()) {
            let scale = MaskScale {
                binarize,
                scale: SCALE,
                bias: BIAS,
            };
            let size = self.image.config.image_size;
            return self.memory_encoder.on_gpu(embedding, low_res_masks, size, scale);
        }
        let mask = self.upscale.forward(low_res_masks);
        let mask = if binarize {
            mask.greater_elem(0.0).float()
        } else {
            burn::tensor::activation::sigmoid(mask)
        };
        self.memory_encoder.forward(embedding, mask * SCALE + BIAS)
    }
}

/// `get_1d_sine_pe`: sines, then cosines.
fn sine_position(position: f64, dim: usize) -> impl Iterator<Item = f32> {
    let half = dim / 2;
    let angle = move |i: usize| position / TEMPERATURE.powf(2.0 * (i / 2) as f64 / half as f64);
    let sines = (0..half).map(move |i| angle(i).sin() as f32);
    sines.chain((0..half).map(move |i| angle(i).cos() as f32))
}
