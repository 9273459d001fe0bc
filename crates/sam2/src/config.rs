//! A network's configuration. The fields have the names of the official YAML files (facebookresearch/sam2,
//! `sam2/configs`). Values that are equal in all official files are constants of the code, not fields.

pub(crate) mod decoder;
mod official;
mod trunk;

pub use official::{ConfigError, MAX_CONFIG};
pub use trunk::{EfficientNetLiteConfig, LiteStageConfig, RepVitConfig, TrunkConfig};

use sam2_ops::{ParameterSpec, WeightsError};
use serde::{Deserialize, Serialize};

/// The release of SAM 2. The releases differ in how occlusion and object pointers enter the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// SAM 2, July 2024.
    #[serde(rename = "2.0")]
    V2_0,
    /// SAM 2.1, September 2024.
    #[serde(rename = "2.1")]
    V2_1,
}

impl std::fmt::Display for Version {
    /// `2.0` or `2.1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Version::V2_0 => "2.0",
            Version::V2_1 => "2.1",
        })
    }
}

/// Everything that is needed to build a network from its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Sam2Config {
    /// `tiny`, `small`, `base_plus`, `large`, or the name that a file gives.
    pub name: String,
    /// SAM 2 or SAM 2.1.
    pub version: Version,
    /// Side, in pixels, of the square to which pictures are resized.
    pub image_size: usize,
    /// The trunk of the image encoder.
    pub trunk: TrunkConfig,
    /// The feature pyramid over the trunk's stages.
    pub neck: FpnNeckConfig,
    /// The number of the pyramid's deepest levels that are dropped after the neck.
    pub scalp: usize,
    /// Conditions a frame's features on the memory bank.
    pub memory_attention: MemoryAttentionConfig,
    /// Turns a frame's mask into a memory.
    pub memory_encoder: MemoryEncoderConfig,
    /// Shrinks a memory to fewer tokens (EdgeTAM); `None` in SAM 2.
    pub spatial_perceiver: Option<PerceiverConfig>,
    /// The number of frames in the memory bank, including the prompted one.
    pub num_maskmem: usize,
}

/// `sam2.modeling.backbones.hieradet.Hiera`.
#[derive(Clone, Debug, PartialEq)]
pub struct HieraConfig {
    /// Channels of the first stage; each later stage has twice the channels of the stage before.
    pub embed_dim: usize,
    /// Attention heads of the first stage; each later stage has twice the heads of the stage before.
    pub num_heads: usize,
    /// Blocks in each of the four stages.
    pub stages: [usize; 4],
    /// Indices of the blocks that attend globally.
    pub global_att_blocks: Vec<usize>,
    /// Window side, in tokens, of each stage.
    pub window_spec: [usize; 4],
    /// Height and width of the background position table.
    pub window_pos_embed_bkg_spatial_size: [usize; 2],
}

/// `sam2.modeling.backbones.image_encoder.FpnNeck`.
#[derive(Clone, Debug, PartialEq)]
pub struct FpnNeckConfig {
    /// Channels of every level, and of the whole decoder.
    pub d_model: usize,
    /// Channels of the trunk's stages, deepest first.
    pub backbone_channel_list: [usize; 4],
    /// Levels (0 is the finest) to which the next coarser level is added.
    pub fpn_top_down_levels: Vec<usize>,
}

/// `sam2.modeling.memory_attention.MemoryAttention`.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryAttentionConfig {
    /// Layers of self-attention, cross-attention to the memory, and MLP.
    pub num_layers: usize,
    /// Hidden width of the MLP.
    pub dim_feedforward: usize,
    /// Base of the rotary position encoding.
    pub rope_theta: f64,
}

/// `sam2.modeling.memory_encoder.MemoryEncoder`.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryEncoderConfig {
    /// Channels of a memory.
    pub out_dim: usize,
    /// ConvNeXt blocks that fuse the mask with the frame's features.
    pub fuser_layers: usize,
}

/// `sam2.modeling.perceiver.PerceiverResampler` of EdgeTAM.
#[derive(Clone, Debug, PartialEq)]
pub struct PerceiverConfig {
    /// Layers of attention to the memory, self-attention and MLPs.
    pub depth: usize,
    /// The factor by which the MLPs are wider than a memory.
    pub ff_mult: usize,
    /// The number of latents that attend to the whole memory.
    pub num_latents: usize,
    /// The number of latents that attend to a window each, a square.
    pub num_latents_2d: usize,
}

impl PerceiverConfig {
    /// Side of the grid of the latents that attend to windows.
    pub fn side_2d(&self) -> usize {
        self.num_latents_2d.isqrt()
    }
}

/// The names of the official variants: those of SAM 2, from the smallest to the largest, and EdgeTAM.
pub const VARIANTS: [&str; 5] = ["tiny", "small", "base_plus", "large", "edgetam"];

impl Sam2Config {
    /// An official variant by name: one of [`VARIANTS`], or `base-plus`. EdgeTAM has one release, whose memory is that of
    /// SAM 2.0.
    ///
    /// # Errors
    /// [`ConfigError::Variant`] for any other name.
    pub fn named(name: &str, version: Version) -> Result<Self, ConfigError> {
        let (name, embed_dim, num_heads, stages, global_att_blocks, window_spec, background) = match name {
            "tiny" => ("tiny", 96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], 7),
            "small" => ("small", 96, 1, [1, 2, 11, 2], [7, 10, 13], [8, 4, 14, 7], 7),
            "base_plus" | "base-plus" => (
                "base_plus",
                112,
                2,
                [2, 3, 16, 3],
                [12, 16, 20],
                [8, 4, 14, 7],
                14,
            ),
            "edgetam" => return Ok(Self::edgetam()),
            "large" => ("large", 144, 2, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8], 7),
            _ => return Err(ConfigError::Variant { name: name.into() }),
        };
        Ok(Self {
            name: name.into(),
            version,
            image_size: 1024,
            trunk: TrunkConfig::Hiera(HieraConfig {
                embed_dim,
                num_heads,
                stages,
                global_att_blocks: global_att_blocks.to_vec(),
                window_spec,
                window_pos_embed_bkg_spatial_size: [background; 2],
            }),
            neck: FpnNeckConfig {
                d_model: 256,
                backbone_channel_list: [8 * embed_dim, 4 * embed_dim, 2 * embed_dim, embed_dim],
                fpn_top_down_levels: vec![2, 3],
            },
            scalp: 1,
            memory_attention: MemoryAttentionConfig {
                num_layers: 4,
                dim_feedforward: 2048,
                rope_theta: 10_000.0,
            },
            memory_encoder: MemoryEncoderConfig {
                out_dim: 64,
                fuser_layers: 2,
            },
            spatial_perceiver: None,
            num_maskmem: 7,
        })
    }

    /// `sam2/configs/edgetam.yaml` of facebookresearch/EdgeTAM.
    fn edgetam() -> Self {
        Self {
            name: "edgetam".into(),
            version: Version::V2_0,
            image_size: 1024,
            trunk: TrunkConfig::RepVit(RepVitConfig {
                embed_dim: [48, 96, 192, 384],
                depth: [2, 2, 14, 2],
            }),
            neck: FpnNeckConfig {
                d_model: 256,
                backbone_channel_list: [384, 192, 96, 48],
                fpn_top_down_levels: vec![2, 3],
            },
            scalp: 1,
            memory_attention: MemoryAttentionConfig {
                num_layers: 2,
                dim_feedforward: 2048,
                rope_theta: 10_000.0,
            },
            memory_encoder: MemoryEncoderConfig {
                out_dim: 64,
                fuser_layers: 2,
            },
            spatial_perceiver: Some(PerceiverConfig {
                depth: 2,
                ff_mult: 4,
                num_latents: 256,
                num_latents_2d: 256,
            }),
            num_maskmem: 7,
        }
    }

    /// Side of the image embedding, in tokens: the picture's side / 16.
    pub fn embedding_side(&self) -> usize {
        self.image_size / 16
    }

    /// Side of the low-resolution masks, in pixels: the picture's side / 4.
    pub fn mask_side(&self) -> usize {
        self.image_size / 4
    }

    /// Every tensor of the official `state_dict` for this configuration, grouped by module.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        crate::parameters::of(self)
    }

    /// Checks that an implementation supports the network's widths, all of which it needs to be multiples of `multiple`.
    /// The GPU's is 4, and every official model passes.
    ///
    /// # Errors
    /// [`WeightsError::Width`] with the first width that is not a multiple.
    pub fn check_widths(&self, multiple: usize) -> Result<(), WeightsError> {
        // The decoder's cross-attention is narrower than the tokens, and its heads share that width equally.
        let of_heads = decoder::ATTENTION_DOWNSAMPLE_RATE * decoder::NUM_HEADS;
        let of_trunk = self.trunk.widths().into_iter();
        let widths = [
            ("image_encoder.neck.d_model", of_heads, self.neck.d_model),
            (
                "memory_attention.layer.dim_feedforward",
                1,
                self.memory_attention.dim_feedforward,
            ),
            ("memory_encoder.out_dim", 1, self.memory_encoder.out_dim),
        ];
        for (key, parts, found) in of_trunk.chain(widths) {
            let multiple = multiple * parts;
            // `validate` has already refused a width that is not a multiple of its parts.
            if multiple > parts && !found.is_multiple_of(multiple) {
                return Err(WeightsError::Width { key, multiple, found });
            }
        }
        Ok(())
    }
}
