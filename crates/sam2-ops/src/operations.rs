//! The trait that each implementation of the operations implements.

use burn::tensor::{Device, Tensor};

use crate::portable;
use crate::{
    Activation, AttentionOperation, AttentionParameters, Choice, ConvolutionOperation, ConvolutionParameters,
    GroupedMlpOperation, Hidden, KeyGroup, Keys, LayerNorm, LinearOperation, LinearParameters,
    MaskDownSamplerOperation, MaskDownSamplerParameters, MlpOperation, MlpParameters,
    OutputUpscalingOperation, OutputUpscalingParameters, PatchEmbedOperation, PatchEmbedParameters,
    PatchMergeOperation, PatchMergeParameters, RotaryAttentionOperation, RotaryAttentionParameters,
    Stability, WindowedAttention,
};

/// All operations, as one implementation computes them. Networks use the types and functions of this crate instead, which
/// document what each operation computes.
pub trait Operations: std::fmt::Debug + Send + Sync {
    /// The device of all tensors.
    fn device(&self) -> &Device;

    /// The implementation's name: `portable`, `cpu`, `cpu, packed` or `gpu`.
    fn name(&self) -> &'static str;

    /// The number of prompts that are best decoded in one batch, if the device's buffers hold so many.
    fn prompts_at_once(&self) -> usize;

    /// The largest size of a tensor in bytes. It is `u64::MAX` if only the device's memory is a limit.
    fn largest_tensor(&self) -> u64 {
        u64::MAX
    }

    /// The number of which every width of a network must be a multiple.
    fn width_multiple(&self) -> usize {
        1
    }

    /// Whether a matrix of these sides, `[output, input]`, may stay f16.
    fn keeps_f16(&self, _sides: [usize; 2]) -> bool {
        false
    }

    /// Prepares [`Linear`](crate::Linear).
    fn linear(&self, parameters: LinearParameters) -> Box<dyn LinearOperation>;
    /// Prepares [`Mlp`](crate::Mlp).
    fn mlp(&self, parameters: MlpParameters) -> Box<dyn MlpOperation>;
    /// Prepares [`GroupedMlp`](crate::GroupedMlp).
    fn grouped_mlp(&self, parameters: Vec<MlpParameters>) -> Box<dyn GroupedMlpOperation>;
    /// Prepares [`Attention`](crate::Attention).
    fn attention(&self, parameters: AttentionParameters) -> Box<dyn AttentionOperation>;
    /// Prepares [`RotaryAttention`](crate::RotaryAttention).
    fn rotary_attention(&self, parameters: RotaryAttentionParameters) -> Box<dyn RotaryAttentionOperation>;
    /// Prepares [`PatchEmbed`](crate::PatchEmbed).
    fn patch_embed(&self, parameters: PatchEmbedParameters) -> Box<dyn PatchEmbedOperation>;
    /// Prepares [`PatchMerge`](crate::PatchMerge).
    fn patch_merge(&self, parameters: PatchMergeParameters) -> Box<dyn PatchMergeOperation>;
    /// Prepares [`Convolution`](crate::Convolution).
    fn convolution(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation>;
    /// Prepares [`DepthwiseConv`](crate::DepthwiseConv).
    fn depthwise_conv(&self, parameters: ConvolutionParameters) -> Box<dyn ConvolutionOperation>;
    /// Prepares [`MaskDownSampler`](crate::MaskDownSampler).
    fn mask_down_sampler(&self, parameters: MaskDownSamplerParameters) -> Box<dyn MaskDownSamplerOperation>;
    /// Prepares [`OutputUpscaling`](crate::OutputUpscaling).
    fn output_upscaling(&self, parameters: OutputUpscalingParameters) -> Box<dyn OutputUpscalingOperation>;

    /// [`LayerNorm::forward`] for rows `[n, c]`, then `activation`.
    fn layer_norm(&self, norm: &LayerNorm, x: Tensor<2>, activation: Option<Activation>) -> Tensor<2>;
    /// [`windowed_attention`](crate::windowed_attention).
    fn windowed_attention(
        &self,
        qkv: Tensor<4>,
        padding: Tensor<1>,
        attention: WindowedAttention,
    ) -> Tensor<4>;
    /// [`latent_attention`](crate::latent_attention).
    fn latent_attention(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<3>;
    /// Max pooling of kernel and stride 2 (`nn.MaxPool2d(2)`): `[b, h, w, c]` to `[b, h/2, w/2, c]`; `h` and `w` are
    /// even.
    fn max_pool(&self, x: Tensor<4>) -> Tensor<4>;
    /// The mean of each channel over all pixels (`nn.AdaptiveAvgPool2d(1)`): `[b, h, w, c]` to `[b, c]`.
    fn channel_means(&self, x: Tensor<4>) -> Tensor<2>;
    /// Each channel of each picture times its factor: `[b, h, w, c]` and `[b, c]` to `[b, h, w, c]`.
    fn scale_channels(&self, x: Tensor<4>, factors: Tensor<2>) -> Tensor<4>;
    /// Concatenates two or more matrices `[rows, c]` of the same width along the rows.
    fn stack(&self, parts: Vec<Tensor<2>>) -> Tensor<2> {
        Tensor::cat(parts, 0)
    }
    /// [`Keys::new`].
    fn keys(&self, groups: Vec<KeyGroup>, _dim: usize) -> Keys {
        Keys {
            groups,
            #[cfg(feature = "gpu")]
            joined: Vec::new(),
        }
    }
    /// [`choose`](crate::choose).
    fn choose(&self, masks: Tensor<3>, ious: Tensor<2>, stability: Option<Stability>) -> Choice {
        portable::choose(masks, ious, stability)
    }
    /// [`pick`](crate::pick).
    fn pick(&self, values: Tensor<3>, choice: Option<&Choice>, hidden: Option<Hidden>) -> Tensor<2> {
        portable::pick(values, choice, hidden)
    }
    /// Adds `absent` `[c]` to a memory `[n, c]` if `score` `[1]` is not positive, and rounds the result to bfloat16, in
    /// which the official predictor keeps memories (`SAM2VideoPredictor._run_single_frame_inference`). The result is
    /// f32.
    fn finish_memory(&self, memory: Tensor<2>, absent: Option<Tensor<1>>, score: Tensor<1>) -> Tensor<2> {
        portable::finish_memory(memory, absent, score)
    }

    /// [`by_windows`](crate::by_windows).
    fn by_windows(
        &self,
        x: Tensor<4>,
        _window: usize,
        _widest: usize,
        work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync),
    ) -> Tensor<4> {
        work(x)
    }
    /// [`by_rows`](crate::by_rows).
    fn by_rows(&self, x: Tensor<4>, work: &(dyn Fn(Tensor<4>) -> Tensor<4> + Sync)) -> Tensor<4> {
        work(x)
    }

    /// Runs `work` in a mode that compiles its kernels but computes nothing. An implementation that compiles no kernels
    /// does not run `work`.
    fn warm_up(&self, _work: &mut dyn FnMut()) {}
    /// In [`Self::warm_up`]: compiles the kernels for reading back a tensor `[a, b]`.
    fn before_reading_matrix(&self, _x: Tensor<2>) {}
    /// In [`Self::warm_up`]: compiles the kernels for reading back a tensor `[b, n, h, w]`.
    fn before_reading_maps(&self, _x: Tensor<4>) {}
}
