//! EfficientNet-Lite, nano's trunk (`weights/nano/efficientnet_lite.py`; timm's `tf_efficientnet_lite2` and its like, without
//! the head and with every batch normalisation folded into the convolution before it). Channels come last throughout.

use burn::tensor::{Tensor, TensorData};
use sam2_ops::{
    Activation, Convolution, ConvolutionOptions, ConvolutionParameters, DepthwiseConv, Linear, LinearOptions,
    Weights, WeightsError,
};

use crate::config::{EfficientNetLiteConfig, LiteStageConfig};

/// The mean and the standard deviation by which SAM normalises each colour, of values from 0 to 1.
const SAM: [[f32; 2]; 3] = [[0.485, 0.229], [0.456, 0.224], [0.406, 0.225]];
/// The mean and the divisor of this trunk's training, of values from 0 to 255.
const OWN: [f32; 2] = [127.0, 128.0];

/// A convolution and stages of inverted bottlenecks, four of which are the outputs.
#[derive(Debug)]
pub struct EfficientNetLite {
    conv_stem: Convolution,
    stages: Vec<Vec<Block>>,
    taps: [usize; 4],
}

impl EfficientNetLite {
    /// Takes `conv_stem` and `blocks.0.0`, `blocks.0.1`, ….
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(config: &EfficientNetLiteConfig, mut weights: Weights) -> Result<Self, WeightsError> {
        let options = ConvolutionOptions::same(3, 2).with(Activation::Relu6);
        let stem = ConvolutionParameters::load(&mut weights.at("conv_stem"), [config.stem, 3, 3], options)?;
        let mut taken = config.stem;
        let mut stages = Vec::new();
        for (i, stage) in config.stages.iter().enumerate() {
            let mut blocks = Vec::new();
            for j in 0..stage.blocks {
                // Only a stage's first block has its stride.
                let stride = if j == 0 { stage.stride } else { 1 };
                let block = weights.at(format_args!("blocks.{i}.{j}"));
                blocks.push(Block::load(block, taken, LiteStageConfig { stride, ..*stage })?);
                taken = stage.channels;
            }
            stages.push(blocks);
        }
        Ok(Self {
            conv_stem: Convolution::new(&weights, stem),
            stages,
            taps: config.taps,
        })
    }

    /// `[b, 3, s, s]` to the four outputs, finest first: `[b, s/4, s/4, c]` … `[b, s/32, s/32, c']`.
    pub fn forward(&self, x: Tensor<4>) -> Vec<Tensor<4>> {
        // The pictures come normalised as SAM's.
        let device = x.device();
        let of_colours = |value: fn([f32; 2]) -> f32| {
            Tensor::<4>::from_data(TensorData::new(SAM.map(value).to_vec(), [1, 3, 1, 1]), &device)
        };
        let scale = of_colours(|[_, std]| 255.0 * std / OWN[1]);
        let shift = of_colours(|[mean, _]| (255.0 * mean - OWN[0]) / OWN[1]);
        let x = x * scale + shift;

        let mut x = self.conv_stem.forward(x.permute([0, 2, 3, 1]));
        let mut outputs = Vec::with_capacity(self.taps.len());
        for (i, stage) in self.stages.iter().enumerate() {
            for block in stage {
                x = block.forward(x);
            }
            if self.taps.contains(&i) {
                outputs.push(x.clone());
            }
        }
        outputs
    }
}

/// An inverted bottleneck: 1x1 to more channels, depthwise, 1x1 to few. Without an expansion it begins with the depthwise
/// convolution.
#[derive(Debug)]
struct Block {
    expand: Option<Linear>,
    conv_dw: DepthwiseConv,
    project: Linear,
    adds: bool,
}

impl Block {
    /// `stage.stride` is that of this block.
    fn load(mut weights: Weights, taken: usize, stage: LiteStageConfig) -> Result<Self, WeightsError> {
        let hidden = taken * stage.expansion;
        let expands = stage.expansion != 1;
        let expand = expands.then(|| Linear::load_conv_1x1(weights.at("conv_pw"), taken, hidden));
        let options = ConvolutionOptions::same(stage.kernel, stage.stride).with(Activation::Relu6);
        let conv_dw =
            ConvolutionParameters::load(&mut weights.at("conv_dw"), [hidden, 1, stage.kernel], options)?;
        let project = if expands { "conv_pwl" } else { "conv_pw" };
        Ok(Self {
            expand: expand.transpose()?,
            conv_dw: DepthwiseConv::new(&weights, conv_dw),
            project: Linear::load_conv_1x1(weights.at(project), hidden, stage.channels)?,
            adds: stage.stride == 1 && taken == stage.channels,
        })
    }

    /// `[b, h, w, c]` to `[b, h / stride, w / stride, c']`.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = self.adds.then(|| x.clone());
        let x = match &self.expand {
            Some(expand) => {
                let options = LinearOptions {
                    activation: Some(Activation::Relu6),
                    ..LinearOptions::default()
                };
                expand.forward_with(x, options)
            }
            None => x,
        };
        let x = self.conv_dw.forward(x);
        match shortcut {
            Some(shortcut) => self.project.forward_onto(x, shortcut),
            None => self.project.forward(x),
        }
    }
}
