//! The trunks of the image encoder, as data.

use serde_json::{Value, json};

use super::official::{MAX_FEATURES, MAX_GLOBAL_SIDE, ensure, get, number, numbers, numbers_of, wrong};
use super::{ConfigError, HieraConfig};

/// The trunk of the image encoder. Each has four outputs, of strides 4, 8, 16 and 32.
#[derive(Clone, Debug, PartialEq)]
pub enum TrunkConfig {
    /// SAM 2's hierarchical vision transformer.
    Hiera(HieraConfig),
    /// EdgeTAM's convolutional network.
    RepVit(RepVitConfig),
    /// Nano's convolutional network.
    EfficientNetLite(EfficientNetLiteConfig),
}

/// `timm.models.repvit.RepVit` in its `legacy` form, as `sam2.modeling.backbones.timm.TimmBackbone` of EdgeTAM makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct RepVitConfig {
    /// Channels of each of the four stages.
    pub embed_dim: [usize; 4],
    /// Blocks in each of the four stages, without those of the downsampling before it.
    pub depth: [usize; 4],
}

/// `timm`'s `tf_efficientnet_lite` networks without their heads, with every batch normalisation folded into the convolution
/// before it (`weights/nano/efficientnet_lite.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct EfficientNetLiteConfig {
    /// Channels of the first convolution.
    pub stem: usize,
    /// The stages.
    pub stages: Vec<LiteStageConfig>,
    /// The indices of the four stages whose outputs are the trunk's.
    pub taps: [usize; 4],
}

/// A stage of [`EfficientNetLiteConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteStageConfig {
    /// Side of the depthwise convolutions, odd.
    pub kernel: usize,
    /// Stride of the stage's first block, 1 or 2.
    pub stride: usize,
    /// The factor by which a block's hidden layer is wider than its input. With 1 there is no hidden layer.
    pub expansion: usize,
    /// Channels of the stage's output.
    pub channels: usize,
    /// The number of blocks.
    pub blocks: usize,
}

/// The classes of the trunks in the official files and in nano's.
const HIERA: &str = "sam2.modeling.backbones.hieradet.Hiera";
const TIMM: &str = "sam2.modeling.backbones.timm.TimmBackbone";
const LITE: &str = "efficientnet_lite.EfficientNetLite";
/// The only network of `timm` that an official file names, and the blocks of its stages.
const REPVIT_M1: (&str, [usize; 4]) = ("repvit_m1.dist_in1k", [2, 2, 14, 2]);

/// The most channels of any stage.
const MAX_CHANNELS: usize = 4096;

impl TrunkConfig {
    /// Reads the official tree. `channels` are those of the stages as the neck takes them, deepest first.
    pub(super) fn from_official(model: &Value, channels: [usize; 4]) -> Result<Self, ConfigError> {
        let target = "image_encoder.trunk._target_";
        match get(model, target).and_then(Value::as_str) {
            None | Some(HIERA) => Ok(Self::Hiera(HieraConfig::from_official(model)?)),
            Some(TIMM) => {
                // The widths follow from the network's name, and the neck has them too.
                let [deepest, third, second, first] = channels;
                Ok(Self::RepVit(RepVitConfig {
                    embed_dim: [first, second, third, deepest],
                    depth: REPVIT_M1.1,
                }))
            }
            Some(LITE) => Ok(Self::EfficientNetLite(EfficientNetLiteConfig::from_official(
                model,
            )?)),
            Some(other) => Err(wrong(target, format!("{HIERA}, {TIMM} or {LITE}"), &json!(other))),
        }
    }

    /// The official tree.
    pub(super) fn to_official(&self) -> Value {
        match self {
            Self::Hiera(hiera) => json!({
                "_target_": HIERA,
                "embed_dim": hiera.embed_dim,
                "num_heads": hiera.num_heads,
                "stages": hiera.stages,
                "global_att_blocks": hiera.global_att_blocks,
                "window_pos_embed_bkg_spatial_size": hiera.window_pos_embed_bkg_spatial_size,
                "window_spec": hiera.window_spec,
            }),
            Self::RepVit(_) => json!({
                "_target_": TIMM,
                "name": REPVIT_M1.0,
                "features": ["layer0", "layer1", "layer2", "layer3"],
            }),
            Self::EfficientNetLite(lite) => {
                let row = |s: &LiteStageConfig| [s.kernel, s.stride, s.expansion, s.channels, s.blocks];
                json!({
                    "_target_": LITE,
                    "stem": lite.stem,
                    "stages": lite.stages.iter().map(row).collect::<Vec<_>>(),
                    "taps": lite.taps,
                })
            }
        }
    }

    /// The widths of the four outputs, finest first.
    pub fn channels(&self) -> [usize; 4] {
        match self {
            Self::Hiera(hiera) => [1, 2, 4, 8].map(|factor| factor * hiera.embed_dim),
            Self::RepVit(repvit) => repvit.embed_dim,
            Self::EfficientNetLite(lite) => {
                let channels = |tap: usize| lite.stages.get(tap).map_or(0, |stage| stage.channels);
                lite.taps.map(channels)
            }
        }
    }

    /// Hiera's configuration; `None` for another trunk.
    pub fn as_hiera(&self) -> Option<&HieraConfig> {
        match self {
            Self::Hiera(hiera) => Some(hiera),
            _ => None,
        }
    }

    /// Hiera's configuration, to change it; `None` for another trunk.
    pub fn as_hiera_mut(&mut self) -> Option<&mut HieraConfig> {
        match self {
            Self::Hiera(hiera) => Some(hiera),
            _ => None,
        }
    }

    /// The widths that an implementation needs to be multiples of a number: a key, the number of equal parts and the width.
    pub(super) fn widths(&self) -> Vec<(&'static str, usize, usize)> {
        let convolutional = |widths: Vec<usize>| {
            let key = "image_encoder.trunk (its channels)";
            widths.into_iter().map(|width| (key, 1, width)).collect()
        };
        match self {
            Self::Hiera(hiera) => vec![("image_encoder.trunk.embed_dim", hiera.num_heads, hiera.embed_dim)],
            Self::RepVit(repvit) => {
                convolutional([&repvit.embed_dim[..], &[repvit.embed_dim[0] / 2]].concat())
            }
            Self::EfficientNetLite(lite) => {
                let channels = lite.stages.iter().map(|stage| stage.channels);
                convolutional(channels.chain([lite.stem]).collect())
            }
        }
    }

    /// Checks the trunk's sizes for pictures of `side` pixels.
    pub(super) fn validate(&self, side: usize) -> Result<(), ConfigError> {
        match self {
            Self::Hiera(hiera) => hiera.validate(side),
            Self::RepVit(repvit) => ensure(
                "image_encoder.neck.backbone_channel_list",
                "four even widths from 16 to 4096, with (image_size / 4)² times each of them up to 2²⁶ values",
                repvit.embed_dim.iter().all(|&c| {
                    c.is_multiple_of(2)
                        && (16..=MAX_CHANNELS).contains(&c)
                        && (side / 4).pow(2) * c <= MAX_FEATURES
                }),
                json!(repvit.embed_dim),
            ),
            Self::EfficientNetLite(lite) => lite.validate(side),
        }
    }

    /// The number of values of the largest hidden layer of a block. It bounds the memory that a picture needs.
    pub(crate) fn largest_hidden(&self, image_size: usize) -> usize {
        match self {
            Self::Hiera(hiera) => (image_size / 4).pow(2) * 4 * hiera.embed_dim,
            Self::RepVit(repvit) => (image_size / 4).pow(2) * 2 * repvit.embed_dim[0],
            Self::EfficientNetLite(lite) => lite.largest_hidden(image_size),
        }
    }

    /// The number of values of the largest tensor of the trunk that is not computed in parts.
    pub(crate) fn largest_tensor(&self, image_size: usize) -> u64 {
        match self {
            Self::Hiera(hiera) => {
                let blocks = 0..hiera.stages.iter().sum();
                let largest = blocks.map(|block| hiera.largest_of_block(block, image_size));
                largest.max().unwrap_or(0)
            }
            Self::RepVit(repvit) => {
                let stem = (image_size / 2).pow(2) * (repvit.embed_dim[0] / 2);
                let stages = repvit.embed_dim.iter().enumerate();
                let stages = stages.map(|(i, c)| (image_size / (4 << i)).pow(2) * c);
                stages.fold(stem, usize::max) as u64
            }
            Self::EfficientNetLite(lite) => lite.largest_hidden(image_size) as u64,
        }
    }

    /// The same trunk with the fewest blocks that still include every kind.
    pub(crate) fn shallow(&self) -> Self {
        match self {
            Self::Hiera(hiera) => Self::Hiera(hiera.shallow()),
            Self::RepVit(repvit) => Self::RepVit(RepVitConfig {
                depth: repvit.depth.map(|depth| depth.min(2)),
                ..repvit.clone()
            }),
            Self::EfficientNetLite(lite) => {
                let mut lite = lite.clone();
                for stage in &mut lite.stages {
                    stage.blocks = stage.blocks.min(2);
                }
                Self::EfficientNetLite(lite)
            }
        }
    }
}

impl HieraConfig {
    fn from_official(model: &Value) -> Result<Self, ConfigError> {
        Ok(Self {
            embed_dim: number(model, "image_encoder.trunk.embed_dim", Some(96))?,
            num_heads: number(model, "image_encoder.trunk.num_heads", Some(1))?,
            stages: numbers_of(model, "image_encoder.trunk.stages", Some(&[2, 3, 16, 3]))?,
            global_att_blocks: numbers(
                model,
                "image_encoder.trunk.global_att_blocks",
                Some(&[12, 16, 20]),
            )?,
            window_spec: numbers_of(model, "image_encoder.trunk.window_spec", Some(&[8, 4, 14, 7]))?,
            window_pos_embed_bkg_spatial_size: numbers_of(
                model,
                "image_encoder.trunk.window_pos_embed_bkg_spatial_size",
                Some(&[14, 14]),
            )?,
        })
    }

    fn validate(&self, side: usize) -> Result<(), ConfigError> {
        let e = self.embed_dim;
        ensure(
            "image_encoder.trunk.num_heads",
            "a number from 1 to 64",
            (1..=64).contains(&self.num_heads),
            json!(self.num_heads),
        )?;
        ensure(
            "image_encoder.trunk.embed_dim",
            "a multiple of num_heads from 1 to 512",
            e.is_multiple_of(self.num_heads) && (1..=512).contains(&e),
            json!(e),
        )?;
        ensure(
            "image_size",
            "less, with this embed_dim: (image_size / 4)² · embed_dim up to 2²⁶ values",
            (side / 4).pow(2) * e <= MAX_FEATURES,
            json!(side),
        )?;
        let blocks = self.stages.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
        ensure(
            "image_encoder.trunk.stages",
            "four counts of 1 or more, 256 blocks at most",
            !self.stages.contains(&0) && blocks.is_some_and(|blocks| blocks <= 256),
            json!(self.stages),
        )?;
        let blocks = blocks.unwrap_or_default();
        ensure(
            "image_encoder.trunk.global_att_blocks",
            &format!(
                "indices below {blocks}, none of them the first block of a stage, nor in a stage of more than {MAX_GLOBAL_SIDE} tokens a side"
            ),
            self.global_att_blocks.len() <= blocks
                && self
                    .global_att_blocks
                    .iter()
                    .all(|&b| b < blocks && !self.pools(b) && self.side_at(b, side) <= MAX_GLOBAL_SIDE),
            json!(self.global_att_blocks),
        )?;
        ensure(
            "image_encoder.trunk.window_spec",
            "four sides up to 64, the first three even, the first dividing image_size / 4",
            self.window_spec.iter().all(|&w| (1..=64).contains(&w))
                && self.window_spec[..3].iter().all(|w| w.is_multiple_of(2))
                && (side / 4).is_multiple_of(self.window_spec[0]),
            json!(self.window_spec),
        )?;
        ensure(
            "image_encoder.trunk.window_pos_embed_bkg_spatial_size",
            "two sides from 1 to 256",
            self.window_pos_embed_bkg_spatial_size
                .iter()
                .all(|n| (1..=256).contains(n)),
            json!(self.window_pos_embed_bkg_spatial_size),
        )
    }

    /// Index of each stage's last block.
    pub fn stage_ends(&self) -> Vec<usize> {
        self.stages
            .iter()
            .scan(0, |sum, &blocks| {
                *sum += blocks;
                Some(*sum - 1)
            })
            .collect()
    }

    /// Which stage block `index` is in, from 0.
    fn stage_of(&self, index: usize) -> usize {
        let ended = (1..4).filter(|&stage| self.stages[..stage].iter().sum::<usize>() <= index);
        ended.count()
    }

    /// Side in tokens of the stage that block `index` is in.
    fn side_at(&self, index: usize, image_size: usize) -> usize {
        image_size / (4 << self.stage_of(index))
    }

    /// Whether block `index` is the first of a later stage, where queries are pooled.
    fn pools(&self, index: usize) -> bool {
        (1..4).any(|stage| self.stages[..stage].iter().sum::<usize>() == index)
    }

    /// The number of values of the largest tensor of a block: its input, its output, or the queries, keys and values of a row
    /// of windows.
    pub(crate) fn largest_of_block(&self, block: usize, image_size: usize) -> u64 {
        let stage = self.stage_of(block);
        let pools = self.pools(block);
        let dim = self.embed_dim << stage;
        let side = self.side_at(block, image_size) * if pools { 2 } else { 1 };
        let window = match self.global_att_blocks.contains(&block) {
            true => side,
            false => self.window_spec[stage - usize::from(pools)].min(side),
        };
        let [side, dim, window] = [side, dim, window].map(|n| n as u64);
        // The input of a block that pools has half as many channels as the output, and four times as many pixels.
        let whole = side * side * if pools { dim / 2 } else { dim };
        whole.max(window * side * 3 * dim)
    }

    fn shallow(&self) -> Self {
        let [first, second, third, fourth] = self.stages;
        let stages = [first.min(2), second.min(2), third.min(3), fourth.min(2)];
        // One block attends globally: the third stage's last, unless that is also its first, which pools queries.
        let global = !self.global_att_blocks.is_empty() && stages[2] > 1;
        let block = global.then(|| stages[0] + stages[1] + stages[2] - 1);
        Self {
            stages,
            global_att_blocks: block.into_iter().collect(),
            ..self.clone()
        }
    }
}

impl EfficientNetLiteConfig {
    fn from_official(model: &Value) -> Result<Self, ConfigError> {
        let key = "image_encoder.trunk.stages";
        let refused = |found: &Value| {
            let expected =
                "a list of five whole numbers for each stage: kernel, stride, expansion, channels, blocks";
            wrong(key, expected, found)
        };
        let rows = get(model, key).unwrap_or(&Value::Null);
        let rows = rows
            .as_array()
            .filter(|rows| rows.len() <= 64)
            .ok_or_else(|| refused(rows))?;
        let stages = rows.iter().map(|row| {
            let numbers = numbers_of(&json!({ "row": row }), "row", None);
            let [kernel, stride, expansion, channels, blocks] = numbers.map_err(|_| refused(row))?;
            Ok(LiteStageConfig {
                kernel,
                stride,
                expansion,
                channels,
                blocks,
            })
        });
        Ok(Self {
            stem: number(model, "image_encoder.trunk.stem", None)?,
            stages: stages.collect::<Result<_, ConfigError>>()?,
            taps: numbers_of(model, "image_encoder.trunk.taps", None)?,
        })
    }

    fn validate(&self, side: usize) -> Result<(), ConfigError> {
        ensure(
            "image_encoder.trunk.stem",
            "a number from 1 to 4096",
            (1..=MAX_CHANNELS).contains(&self.stem),
            json!(self.stem),
        )?;
        for stage in &self.stages {
            ensure(
                "image_encoder.trunk.stages",
                "kernel 3, 5 or 7, stride 1 or 2, expansion 1 to 16, channels 1 to 4096, blocks 1 to 64",
                [3, 5, 7].contains(&stage.kernel)
                    && (1..=2).contains(&stage.stride)
                    && (1..=16).contains(&stage.expansion)
                    && (1..=MAX_CHANNELS).contains(&stage.channels)
                    && (1..=64).contains(&stage.blocks),
                json!([
                    stage.kernel,
                    stage.stride,
                    stage.expansion,
                    stage.channels,
                    stage.blocks
                ]),
            )?;
        }
        let strides: Vec<usize> = self
            .stages
            .iter()
            .scan(2, |stride, stage| {
                *stride *= stage.stride;
                Some(*stride)
            })
            .take_while(|stride| *stride <= 64)
            .collect();
        ensure(
            "image_encoder.trunk.taps",
            "the indices of four stages, of strides 4, 8, 16 and 32, the last of which is the last stage",
            self.taps.map(|tap| strides.get(tap).copied()) == [4, 8, 16, 32].map(Some)
                && self.taps[3] + 1 == self.stages.len(),
            json!(self.taps),
        )?;
        ensure(
            "image_size",
            "less, with these widths: 2²⁸ values in a hidden layer",
            self.largest_hidden(side) <= 4 * MAX_FEATURES,
            json!(side),
        )
    }

    fn largest_hidden(&self, image_size: usize) -> usize {
        let (mut side, mut taken) = (image_size / 2, self.stem);
        let mut largest = side.pow(2).saturating_mul(taken);
        for stage in &self.stages {
            largest = largest.max(side.pow(2).saturating_mul(taken * stage.expansion));
            (side, taken) = (side / stage.stride.max(1), stage.channels);
            // The blocks after the first.
            largest = largest.max(side.pow(2).saturating_mul(taken * stage.expansion));
        }
        largest
    }
}
