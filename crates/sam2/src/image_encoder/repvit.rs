//! RepViT (Wang et al., "RepViT: Revisiting Mobile CNN From ViT Perspective", 2024), EdgeTAM's trunk: `timm.models.repvit` in
//! its `legacy` form, behind `sam2.modeling.backbones.timm.TimmBackbone`. Channels come last throughout.
//!
//! Each batch normalisation is computed with the convolution before it, and the three branches of a token mixer are one
//! convolution. timm's `fuse` methods do the same.

use burn::tensor::{Tensor, TensorData};
use sam2_ops::{
    Activation, BatchNorm, Convolution, ConvolutionOptions, ConvolutionParameters, DepthwiseConv,
    Implementation, Linear, Mlp, MlpParameters, SqueezeExcite, Weights, WeightsError, by_rows,
};

use crate::config::RepVitConfig;

/// `nn.BatchNorm2d`'s default.
const EPS: f64 = 1e-5;
/// Side of all kernels that are not 1x1.
const KERNEL: usize = 3;
/// The factor by which the hidden layer of an MLP is wider.
const MLP_RATIO: usize = 2;

/// A stem and four stages, each stage but the first at half the resolution of the one before.
#[derive(Debug)]
pub struct RepVit {
    /// The first convolutions.
    pub stem: RepVitStem,
    /// The four stages.
    pub stages: Vec<RepVitStage>,
}

impl RepVit {
    /// Takes `body`, which has `stem` and `stages_0` to `stages_3`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &RepVitConfig, mut weights: Weights) -> Result<Self, WeightsError> {
        let mut body = weights.at("body");
        let stem = RepVitStem::load(body.at("stem"), config.embed_dim[0])?;
        let mut in_dim = None;
        let mut stages = Vec::new();
        for (i, (&dim, &depth)) in config.embed_dim.iter().zip(&config.depth).enumerate() {
            stages.push(RepVitStage::load(
                body.at(format_args!("stages_{i}")),
                in_dim,
                dim,
                depth,
            )?);
            in_dim = Some(dim);
        }
        Ok(Self { stem, stages })
    }

    /// `[b, 3, s, s]` to the four stages' outputs, finest first: `[b, s/4, s/4, c]` … `[b, s/32, s/32, c']`.
    pub fn forward(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut x = self.stem.forward(x.permute([0, 2, 3, 1]));
        let mut outputs = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            x = stage.forward(x);
            outputs.push(x.clone());
        }
        outputs
    }
}

/// `ConvNorm`: takes the convolution `c` of `[output, input, kernel]` and the batch normalisation `bn`, as one convolution.
fn conv_norm(
    mut weights: Weights,
    [output, input, kernel]: [usize; 3],
    options: ConvolutionOptions,
) -> Result<ConvolutionParameters, WeightsError> {
    let weight = weights.parameter("c.weight", [output, input, kernel, kernel])?;
    Ok(BatchNorm::load(weights.at("bn"), output, EPS)?.after(weight, options))
}

/// Two convolutions of stride 2.
#[derive(Debug)]
pub struct RepVitStem {
    conv1: Convolution,
    conv2: Convolution,
}

impl RepVitStem {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let options = ConvolutionOptions::centred(KERNEL, 2);
        let conv1 = conv_norm(
            weights.at("conv1"),
            [dim / 2, 3, KERNEL],
            options.with(Activation::Gelu),
        )?;
        let conv2 = conv_norm(weights.at("conv2"), [dim, dim / 2, KERNEL], options)?;
        Ok(Self {
            conv1: Convolution::new(&weights, conv1),
            conv2: Convolution::new(&weights, conv2),
        })
    }

    /// `[b, s, s, 3]` to `[b, s/4, s/4, c]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv2.forward(self.conv1.forward(x))
    }
}

/// Blocks of one resolution, after a downsampling in all stages but the first.
#[derive(Debug)]
pub struct RepVitStage {
    /// To half the resolution of the stage before.
    pub downsample: Option<RepVitDownsample>,
    /// The blocks, of which every other one has squeeze-and-excitation.
    pub blocks: Vec<RepVitBlock>,
}

impl RepVitStage {
    /// `in_dim` is the width of the stage before; `None` in the first stage.
    fn load(
        mut weights: Weights,
        in_dim: Option<usize>,
        dim: usize,
        depth: usize,
    ) -> Result<Self, WeightsError> {
        let downsample = in_dim.map(|in_dim| RepVitDownsample::load(weights.at("downsample"), in_dim, dim));
        let downsample = downsample.transpose()?;
        let blocks = (0..depth)
            .map(|i| RepVitBlock::load(weights.at(format_args!("blocks.{i}")), dim, i % 2 == 0))
            .collect::<Result<_, _>>()?;
        Ok(Self { downsample, blocks })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match &self.downsample {
            Some(downsample) => downsample.forward(x),
            None => x,
        };
        self.blocks.iter().fold(x, |x, block| block.forward(x))
    }
}

/// `RepViTBlock`: mixes neighbouring pixels, then channels.
#[derive(Debug)]
pub struct RepVitBlock {
    /// The three branches of `RepVggDw` as one convolution.
    token_mixer: DepthwiseConv,
    se: Option<SqueezeExcite>,
    channel_mixer: RepVitMlp,
}

impl RepVitBlock {
    fn load(mut weights: Weights, dim: usize, use_se: bool) -> Result<Self, WeightsError> {
        let token_mixer = rep_vgg_dw(weights.at("token_mixer"), dim)?;
        let se = use_se
            .then(|| SqueezeExcite::load(weights.at("se"), dim))
            .transpose()?;
        Ok(Self {
            token_mixer: DepthwiseConv::new(&weights, token_mixer),
            se,
            channel_mixer: RepVitMlp::load(weights.at("channel_mixer"), dim)?,
        })
    }

    /// `[b, h, w, c]` to the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.token_mixer.forward(x);
        let x = match &self.se {
            Some(se) => se.forward(x),
            None => x,
        };
        self.channel_mixer.forward_onto_input(x)
    }
}

/// `RepVggDw`: the sum of a 3x3 convolution, a 1x1 convolution and the input, which is one 3x3 convolution.
fn rep_vgg_dw(mut weights: Weights, dim: usize) -> Result<ConvolutionParameters, WeightsError> {
    let options = ConvolutionOptions::centred(KERNEL, 1);
    let conv = conv_norm(weights.at("conv"), [dim, 1, KERNEL], options)?;
    let conv1 = conv_norm(weights.at("conv1"), [dim, 1, 1], options)?;
    let weight = conv.weight.zip(conv1.weight, |weight, weight1| {
        // The 1x1 convolution and the input itself act on the kernel's centre.
        let centre = TensorData::new(vec![0f32, 0., 0., 0., 1., 0., 0., 0., 0.], [1, 1, KERNEL, KERNEL]);
        let centre = Tensor::from_data(centre, &weight.device());
        weight + (weight1 + 1.0) * centre
    });
    Ok(ConvolutionParameters {
        weight,
        bias: conv.bias.zip(conv1.bias, |bias, bias1| bias + bias1),
        options,
    })
}

/// `RepVitMlp`: 1x1 convolutions to twice the channels and back.
#[derive(Debug)]
struct RepVitMlp {
    mlp: Mlp,
    implementation: Implementation,
}

impl RepVitMlp {
    fn load(mut weights: Weights, dim: usize) -> Result<Self, WeightsError> {
        let options = ConvolutionOptions::centred(1, 1);
        let hidden = MLP_RATIO * dim;
        let conv1 = conv_norm(weights.at("conv1"), [hidden, dim, 1], options)?;
        let conv2 = conv_norm(weights.at("conv2"), [dim, hidden, 1], options)?;
        let parameters = MlpParameters {
            layers: vec![conv1.into_linear(), conv2.into_linear()],
            activation: Activation::Gelu,
            scale: None,
        };
        Ok(Self {
            mlp: Mlp::new(&weights, parameters, dim),
            implementation: weights.implementation().clone(),
        })
    }

    /// The MLP of `x` `[b, h, w, c]`, plus `x`.
    fn forward_onto_input(&self, x: Tensor<4>) -> Tensor<4> {
        by_rows(&self.implementation, x, |x| self.mlp.forward_onto(x.clone(), x))
    }
}

/// `RepVitDownsample`: a block, then half the resolution and other channels.
#[derive(Debug)]
pub struct RepVitDownsample {
    pre_block: RepVitBlock,
    spatial_downsample: DepthwiseConv,
    channel_downsample: Linear,
    ffn: RepVitMlp,
}

impl RepVitDownsample {
    fn load(mut weights: Weights, in_dim: usize, out_dim: usize) -> Result<Self, WeightsError> {
        let pre_block = RepVitBlock::load(weights.at("pre_block"), in_dim, false)?;
        let spatial = ConvolutionOptions::centred(KERNEL, 2);
        let spatial = conv_norm(weights.at("spatial_downsample"), [in_dim, 1, KERNEL], spatial)?;
        let channel = ConvolutionOptions::centred(1, 1);
        let channel = conv_norm(weights.at("channel_downsample"), [out_dim, in_dim, 1], channel)?;
        Ok(Self {
            pre_block,
            spatial_downsample: DepthwiseConv::new(&weights, spatial),
            channel_downsample: Linear::new(&weights, channel.into_linear(), out_dim),
            ffn: RepVitMlp::load(weights.at("ffn"), out_dim)?,
        })
    }

    /// `[b, h, w, c]` to `[b, h/2, w/2, c']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.pre_block.forward(x);
        let x = self.spatial_downsample.forward(x);
        let x = self.channel_downsample.forward(x);
        self.ffn.forward_onto_input(x)
    }
}
