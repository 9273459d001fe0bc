//! Converts the official configuration tree (the `model` mapping of the YAML files) to and from [`Sam2Config`].
//!
//! [`Sam2Config::to_official`] writes the tree of a configuration. Reading takes the sizes from a tree and then compares
//! the whole tree with the one that would be written. So a flag that is not implemented is always found.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    FpnNeckConfig, MemoryAttentionConfig, MemoryEncoderConfig, PerceiverConfig, Sam2Config, TrunkConfig,
    VARIANTS, Version,
};

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A key has a value that is not implemented.
    #[error("configuration key `{key}` is {found}, expected {expected}: this port cannot run such a model")]
    Value {
        /// Dotted path below `model`.
        key: String,
        /// The values that are accepted.
        expected: String,
        /// The value in the tree, as JSON.
        found: String,
    },
    /// A key is absent, and the official class's default for it is not implemented.
    #[error(
        "configuration key `{key}` is missing, expected {expected}: give the whole `model` mapping of an official YAML file"
    )]
    Missing {
        /// Dotted path below `model`.
        key: String,
        /// The values that are accepted.
        expected: String,
    },
    /// A key that occurs in no official file.
    #[error(
        "configuration key `{key}` (value {found}) is not one of an official SAM 2 image or video model: remove it, or use the official YAML file"
    )]
    Unknown {
        /// Dotted path below `model`.
        key: String,
        /// The value in the tree, as JSON.
        found: String,
    },
    /// The name is not that of an official variant.
    #[error(
        "`{name}` is not an official variant: expected tiny, small, base_plus, large or edgetam, or give a YAML file"
    )]
    Variant {
        /// The name that was given.
        name: String,
    },
    /// The text is not YAML, or has no `model` mapping.
    #[error("this is not an official SAM 2 configuration file: {reason}")]
    Syntax {
        /// The parser's message.
        reason: String,
    },
}

/// Keys that may have any value: those that only affect training or compilation, and `feat_sizes`, which the official
/// code computes again by itself.
const IGNORED: [&str; 10] = [
    "compile_image_encoder",
    "image_encoder.trunk.drop_path_rate",
    "memory_attention.layer.dropout",
    "memory_attention.layer.self_attention.dropout",
    "memory_attention.layer.self_attention.feat_sizes",
    "memory_attention.layer.cross_attention.dropout",
    "memory_attention.layer.cross_attention.feat_sizes",
    "memory_encoder.fuser.layer.layer_scale_init_value",
    "spatial_perceiver.hidden_dropout_p",
    "spatial_perceiver.attention_dropout_p",
];

/// The official class's default for a key that is missing from a tree; `None` for defaults that are not implemented.
fn class_default(key: &str) -> Option<Value> {
    Some(match key {
        "backbone_stride" => json!(16),
        "max_cond_frames_in_attn" => json!(-1),
        "memory_temporal_stride_for_eval" => json!(1),
        "max_obj_ptrs_in_encoder" => json!(16),
        "multimask_max_pt_num" => json!(1),
        "binarize_mask_from_pts_for_mem_enc"
        | "add_all_frames_to_correct_as_cond"
        | "non_overlap_masks_for_mem_enc"
        | "soft_no_obj_ptr"
        // The defaults of these three are those of SAM 2.0.
        | "no_obj_embed_spatial"
        | "proj_tpos_enc_in_obj_ptrs"
        | "use_signed_tpos_enc_to_obj_ptrs" => json!(false),
        "sam_mask_decoder_extra_args" => Value::Null,
        // The official `build_sam2` adds these three to every model by default.
        "sam_mask_decoder_extra_args.dynamic_multimask_via_stability" => json!(true),
        "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta" => json!(0.05),
        "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh" => json!(0.98),
        "image_encoder.trunk.q_pool" => json!(3),
        "image_encoder.trunk.q_stride" => json!([2, 2]),
        "image_encoder.trunk.dim_mul" | "image_encoder.trunk.head_mul" => json!(2.0),
        "image_encoder.trunk.return_interm_layers" => json!(true),
        "image_encoder.neck.fuse_type" => json!("sum"),
        "image_encoder.neck.kernel_size" | "image_encoder.neck.stride" => json!(1),
        "image_encoder.neck.padding" => json!(0),
        "image_encoder.neck.position_encoding.temperature"
        | "memory_encoder.position_encoding.temperature" => json!(10000),
        "image_encoder.neck.position_encoding.normalize"
        | "memory_encoder.position_encoding.normalize" => json!(true),
        "image_encoder.neck.position_encoding.scale" | "memory_encoder.position_encoding.scale" => Value::Null,
        "memory_attention.layer.self_attention.rope_theta"
        | "memory_attention.layer.cross_attention.rope_theta" => json!(10000.0),
        "memory_attention.layer.self_attention.downsample_rate"
        | "memory_attention.layer.cross_attention.downsample_rate" => json!(1),
        "memory_attention.layer.self_attention.rope_k_repeat" => json!(false),
        "memory_attention.batch_first" => json!(true),
        "memory_encoder.in_dim" | "memory_encoder.mask_downsampler.embed_dim" => json!(256),
        "memory_encoder.mask_downsampler.total_stride" => json!(16),
        "memory_encoder.fuser.input_projection" => json!(false),
        "spatial_perceiver" => Value::Null,
        "spatial_perceiver.dim_head" => json!(64),
        "spatial_perceiver.heads" => json!(1),
        "spatial_perceiver.concat_kv_latents" => json!(false),
        "spatial_perceiver.position_encoding.temperature" => json!(10000),
        "spatial_perceiver.position_encoding.normalize" => json!(true),
        "spatial_perceiver.position_encoding.scale" => Value::Null,
        "memory_encoder.fuser.layer.kernel_size" => json!(7),
        "memory_encoder.fuser.layer.padding" => json!(3),
        "memory_encoder.fuser.layer.use_dwconv" => json!(true),
        _ => return None,
    })
}

/// The most values of the finest features, `(image_size / 4)² · embed_dim`. A block's hidden layer is then 1 GiB.
pub(super) const MAX_FEATURES: usize = 1 << 26;
/// The largest side, in tokens, on which a block may attend globally. The time grows with its fourth power.
pub(super) const MAX_GLOBAL_SIDE: usize = 256;
/// The longest configuration that is read, in bytes of JSON or YAML. An official one has about 4,000.
pub const MAX_CONFIG: usize = 64 << 10;

impl Sam2Config {
    /// Reads the official tree, which is the value of `model:` in the YAML file, as JSON.
    ///
    /// A tree with the values of an official variant gets that variant's name, any other the name `custom`.
    ///
    /// # Errors
    /// [`ConfigError`] with the first key whose value is not implemented.
    pub fn from_official(model: &Value) -> Result<Self, ConfigError> {
        // The class is checked first, because the other keys only have a meaning for this class.
        require(model, "_target_", &json!("sam2.modeling.sam2_base.SAM2Base"))?;
        let channels = numbers_of(model, "image_encoder.neck.backbone_channel_list", None)?;
        let theta = "memory_attention.layer.self_attention.rope_theta";
        let mut config = Self {
            name: "custom".into(),
            version: match get(model, "no_obj_embed_spatial") {
                Some(Value::Bool(true)) => Version::V2_1,
                _ => Version::V2_0,
            },
            image_size: number(model, "image_size", Some(512))?,
            neck: FpnNeckConfig {
                d_model: number(model, "image_encoder.neck.d_model", None)?,
                backbone_channel_list: channels,
                fpn_top_down_levels: numbers(
                    model,
                    "image_encoder.neck.fpn_top_down_levels",
                    Some(&[0, 1, 2, 3]),
                )?,
            },
            trunk: TrunkConfig::from_official(model, channels)?,
            scalp: number(model, "image_encoder.scalp", Some(0))?,
            memory_attention: MemoryAttentionConfig {
                num_layers: number(model, "memory_attention.num_layers", None)?,
                dim_feedforward: number(model, "memory_attention.layer.dim_feedforward", None)?,
                rope_theta: match get(model, theta) {
                    None => 10_000.0,
                    Some(found) => found
                        .as_f64()
                        .filter(|theta| *theta > 0.0)
                        .ok_or_else(|| wrong(theta, "a positive number", found))?,
                },
            },
            memory_encoder: MemoryEncoderConfig {
                out_dim: number(model, "memory_encoder.out_dim", None)?,
                fuser_layers: number(model, "memory_encoder.fuser.num_layers", None)?,
            },
            spatial_perceiver: match get(model, "spatial_perceiver") {
                None | Some(Value::Null) => None,
                Some(_) => Some(PerceiverConfig {
                    depth: number(model, "spatial_perceiver.depth", None)?,
                    ff_mult: number(model, "spatial_perceiver.ff_mult", Some(4))?,
                    num_latents: number(model, "spatial_perceiver.num_latents", None)?,
                    num_latents_2d: number(model, "spatial_perceiver.num_latents_2d", None)?,
                }),
            },
            num_maskmem: number(model, "num_maskmem", Some(7))?,
        };
        config.validate()?;
        config.compare(model)?;
        for variant in VARIANTS {
            let named = Self::named(variant, config.version)?;
            if (Self {
                name: named.name.clone(),
                ..config.clone()
            }) == named
            {
                config.name = named.name;
                break;
            }
        }
        Ok(config)
    }

    /// The official tree of this configuration, as JSON. [`Sam2Config::from_official`] reads it.
    pub fn to_official(&self) -> Value {
        let (d_model, mem_dim) = (self.neck.d_model, self.memory_encoder.out_dim);
        let grid = self.image_size / 16;
        let position = |features: usize| {
            json!({
                "_target_": "sam2.modeling.position_encoding.PositionEmbeddingSine",
                "num_pos_feats": features, "normalize": true, "scale": null, "temperature": 10000,
            })
        };
        let rope = || {
            json!({
                "_target_": "sam2.modeling.sam.transformer.RoPEAttention",
                "rope_theta": self.memory_attention.rope_theta, "feat_sizes": [grid, grid],
                "embedding_dim": d_model, "num_heads": 1, "downsample_rate": 1, "dropout": 0.1,
            })
        };
        let mut cross_attention = rope();
        cross_attention["kv_in_dim"] = json!(mem_dim);
        match &self.spatial_perceiver {
            None => cross_attention["rope_k_repeat"] = json!(true),
            Some(perceiver) => {
                let side = perceiver.side_2d();
                cross_attention["_target_"] = json!("sam2.modeling.sam.transformer.RoPEAttentionv2");
                cross_attention["q_sizes"] = json!([grid, grid]);
                cross_attention["k_sizes"] = json!([side, side]);
                if let Some(keys) = cross_attention.as_object_mut() {
                    keys.remove("feat_sizes");
                }
            }
        }
        let mut model = json!({
            "_target_": "sam2.modeling.sam2_base.SAM2Base",
            "image_encoder": {
                "_target_": "sam2.modeling.backbones.image_encoder.ImageEncoder",
                "scalp": self.scalp,
                "trunk": self.trunk.to_official(),
                "neck": {
                    "_target_": "sam2.modeling.backbones.image_encoder.FpnNeck",
                    "position_encoding": position(d_model),
                    "d_model": d_model,
                    "backbone_channel_list": self.neck.backbone_channel_list,
                    "fpn_top_down_levels": self.neck.fpn_top_down_levels,
                    "fpn_interp_model": "nearest",
                },
            },
            "memory_attention": {
                "_target_": "sam2.modeling.memory_attention.MemoryAttention",
                "d_model": d_model,
                "pos_enc_at_input": true,
                "layer": {
                    "_target_": "sam2.modeling.memory_attention.MemoryAttentionLayer",
                    "activation": "relu",
                    "dim_feedforward": self.memory_attention.dim_feedforward,
                    "dropout": 0.1,
                    "pos_enc_at_attn": false,
                    "self_attention": rope(),
                    "d_model": d_model,
                    "pos_enc_at_cross_attn_keys": true,
                    "pos_enc_at_cross_attn_queries": false,
                    "cross_attention": cross_attention,
                },
                "num_layers": self.memory_attention.num_layers,
            },
            "memory_encoder": {
                "_target_": "sam2.modeling.memory_encoder.MemoryEncoder",
                "out_dim": mem_dim,
                "position_encoding": position(mem_dim),
                "mask_downsampler": {
                    "_target_": "sam2.modeling.memory_encoder.MaskDownSampler",
                    "kernel_size": 3, "stride": 2, "padding": 1, "embed_dim": d_model,
                },
                "fuser": {
                    "_target_": "sam2.modeling.memory_encoder.Fuser",
                    "layer": {
                        "_target_": "sam2.modeling.memory_encoder.CXBlock",
                        "dim": d_model, "kernel_size": 7, "padding": 3,
                        "layer_scale_init_value": 1e-6, "use_dwconv": true,
                    },
                    "num_layers": self.memory_encoder.fuser_layers,
                },
                "in_dim": d_model,
            },
            "num_maskmem": self.num_maskmem,
            "image_size": self.image_size,
            "sigmoid_scale_for_mem_enc": 20.0,
            "sigmoid_bias_for_mem_enc": -10.0,
            "use_mask_input_as_output_without_sam": true,
            "directly_add_no_mem_embed": true,
            "use_high_res_features_in_sam": true,
            "multimask_output_in_sam": true,
            "iou_prediction_use_sigmoid": true,
            "use_obj_ptrs_in_encoder": true,
            "only_obj_ptrs_in_the_past_for_eval": true,
            "pred_obj_scores": true,
            "pred_obj_scores_mlp": true,
            "fixed_no_obj_ptr": true,
            "multimask_output_for_tracking": true,
            "use_multimask_token_for_obj_ptr": true,
            "multimask_min_pt_num": 0,
            "multimask_max_pt_num": 1,
            "use_mlp_for_obj_ptr_proj": true,
            "compile_image_encoder": false,
        });
        if let Some(perceiver) = &self.spatial_perceiver {
            model["spatial_perceiver"] = json!({
                "_target_": "sam2.modeling.perceiver.PerceiverResampler",
                "depth": perceiver.depth, "ff_mult": perceiver.ff_mult,
                "num_latents": perceiver.num_latents, "num_latents_2d": perceiver.num_latents_2d,
                "dim": mem_dim, "dim_head": mem_dim, "heads": 1,
                "hidden_dropout_p": 0.0, "attention_dropout_p": 0.0,
                "pos_enc_at_key_value": true, "concat_kv_latents": false, "use_self_attn": true,
                "position_encoding": position(mem_dim),
            });
        }
        model["add_tpos_enc_to_obj_ptrs"] = json!(self.version == Version::V2_1);
        if self.version == Version::V2_1 {
            for key in [
                "no_obj_embed_spatial",
                "proj_tpos_enc_in_obj_ptrs",
                "use_signed_tpos_enc_to_obj_ptrs",
            ] {
                model[key] = json!(true);
            }
        }
        model
    }

    /// The same network for pictures that are resized to `side` x `side` pixels. No tensor depends on the side.
    ///
    /// # Errors
    /// The errors of [`Sam2Config::validate`].
    pub fn with_image_size(self, side: usize) -> Result<Self, ConfigError> {
        let config = Self {
            image_size: side,
            ..self
        };
        config.validate()?;
        Ok(config)
    }

    /// Checks that a network can be built with these sizes. The limits are far above every official model. They prevent a
    /// malicious file from exhausting the memory or overflowing the arithmetic on sizes.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the first key that exceeds a limit.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (side, d_model) = (self.image_size, self.neck.d_model);
        ensure(
            "image_size",
            "a multiple of 32 from 64 to 4096",
            side.is_multiple_of(32) && (64..=4096).contains(&side),
            json!(side),
        )?;
        ensure("image_encoder.scalp", "1", self.scalp == 1, json!(self.scalp))?;
        self.trunk.validate(side)?;
        ensure(
            "image_encoder.neck.d_model",
            "a multiple of 16 from 16 to 1024",
            d_model.is_multiple_of(16) && (16..=1024).contains(&d_model),
            json!(d_model),
        )?;
        let mut channels = self.trunk.channels();
        channels.reverse();
        ensure(
            "image_encoder.neck.backbone_channel_list",
            &format!("{channels:?}, which are the trunk's, deepest first"),
            self.neck.backbone_channel_list == channels,
            json!(self.neck.backbone_channel_list),
        )?;
        ensure(
            "image_encoder.neck.fpn_top_down_levels",
            "levels from 0 to 3",
            self.neck.fpn_top_down_levels.len() <= 4
                && self.neck.fpn_top_down_levels.iter().all(|&level| level < 4),
            json!(self.neck.fpn_top_down_levels),
        )?;
        let memory = &self.memory_attention;
        ensure(
            "memory_attention.num_layers",
            "a number from 1 to 64",
            (1..=64).contains(&memory.num_layers),
            json!(memory.num_layers),
        )?;
        ensure(
            "memory_attention.layer.dim_feedforward",
            "a number from 1 to 16384",
            (1..=16_384).contains(&memory.dim_feedforward),
            json!(memory.dim_feedforward),
        )?;
        ensure(
            "memory_attention.layer.self_attention.rope_theta",
            "a positive number",
            memory.rope_theta.is_finite() && memory.rope_theta > 0.0,
            json!(memory.rope_theta),
        )?;
        let out_dim = self.memory_encoder.out_dim;
        ensure(
            "memory_encoder.out_dim",
            // Sine and cosine for each of two directions.
            "a divisor of d_model that is a multiple of 4",
            out_dim > 0 && out_dim.is_multiple_of(4) && d_model.is_multiple_of(out_dim),
            json!(out_dim),
        )?;
        ensure(
            "memory_encoder.fuser.num_layers",
            "a number from 1 to 64",
            (1..=64).contains(&self.memory_encoder.fuser_layers),
            json!(self.memory_encoder.fuser_layers),
        )?;
        if let Some(perceiver) = &self.spatial_perceiver {
            self.validate_perceiver(perceiver)?;
        }
        ensure(
            "num_maskmem",
            "a number from 1 to 64",
            (1..=64).contains(&self.num_maskmem),
            json!(self.num_maskmem),
        )
    }

    fn validate_perceiver(&self, perceiver: &PerceiverConfig) -> Result<(), ConfigError> {
        ensure(
            "spatial_perceiver.depth",
            "a number from 1 to 64",
            (1..=64).contains(&perceiver.depth),
            json!(perceiver.depth),
        )?;
        ensure(
            "spatial_perceiver.ff_mult",
            "a number from 1 to 64",
            (1..=64).contains(&perceiver.ff_mult),
            json!(perceiver.ff_mult),
        )?;
        ensure(
            "spatial_perceiver.num_latents",
            "a number from 1 to 65536",
            (1..=65_536).contains(&perceiver.num_latents),
            json!(perceiver.num_latents),
        )?;
        let side = perceiver.side_2d();
        ensure(
            "spatial_perceiver.num_latents_2d",
            &format!(
                "the square of a divisor of {}, the side of the features (image_size / 16)",
                self.embedding_side()
            ),
            side > 0 && side.pow(2) == perceiver.num_latents_2d && self.embedding_side().is_multiple_of(side),
            json!(perceiver.num_latents_2d),
        )?;
        ensure(
            "no_obj_embed_spatial",
            "false, since there is a spatial_perceiver",
            self.version == Version::V2_0,
            json!(true),
        )
    }

    /// Every key of `model` against the tree that this configuration writes.
    fn compare(&self, model: &Value) -> Result<(), ConfigError> {
        let (written, mut wanted, mut found) = (self.to_official(), BTreeMap::new(), BTreeMap::new());
        leaves(&written, String::new(), &mut wanted);
        leaves(model, String::new(), &mut found);
        for (key, value) in &found {
            if IGNORED.contains(&key.as_str()) {
                continue;
            }
            match wanted
                .get(key)
                .map(|wanted| (*wanted).clone())
                .or_else(|| class_default(key))
            {
                Some(wanted) if same(&wanted, value) => {}
                Some(wanted) => return Err(wrong(key, wanted, value)),
                None => {
                    return Err(ConfigError::Unknown {
                        key: key.clone(),
                        found: shown(value),
                    });
                }
            }
        }
        for (key, value) in wanted {
            // The sizes' own defaults are already in the tree that is compared with.
            let silent =
                found.contains_key(&key) || IGNORED.contains(&key.as_str()) || has_reader_default(&key);
            if !silent && !class_default(&key).is_some_and(|default| same(&default, value)) {
                return Err(ConfigError::Missing {
                    key,
                    expected: shown(value),
                });
            }
        }
        Ok(())
    }
}

/// Hiera's keys with defaults. The other trunks have none.
const HIERA_DEFAULTS: [&str; 6] = [
    "image_encoder.trunk.embed_dim",
    "image_encoder.trunk.num_heads",
    "image_encoder.trunk.stages",
    "image_encoder.trunk.global_att_blocks",
    "image_encoder.trunk.window_spec",
    "image_encoder.trunk.window_pos_embed_bkg_spatial_size",
];

/// Keys for which [`Sam2Config::from_official`] itself takes the class's default.
fn has_reader_default(key: &str) -> bool {
    key == "image_size"
        || key == "num_maskmem"
        || key == "image_encoder.scalp"
        || key == "image_encoder.neck.fpn_top_down_levels"
        || HIERA_DEFAULTS.contains(&key)
}

/// The value at a dotted path.
pub(super) fn get<'a>(model: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(model, |node, part| node.get(part))
}

fn require(model: &Value, key: &str, expected: &Value) -> Result<(), ConfigError> {
    match get(model, key) {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(wrong(key, expected, found)),
        None => Err(ConfigError::Missing {
            key: key.into(),
            expected: shown(expected),
        }),
    }
}

pub(super) fn number(model: &Value, key: &str, default: Option<usize>) -> Result<usize, ConfigError> {
    match (get(model, key), default) {
        (Some(found), _) => whole(found)
            .filter(|n| *n > 0 || key.ends_with("scalp"))
            .ok_or_else(|| wrong(key, "a whole number above 0", found)),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(ConfigError::Missing {
            key: key.into(),
            expected: "a whole number above 0".into(),
        }),
    }
}

pub(super) fn numbers(
    model: &Value,
    key: &str,
    default: Option<&[usize]>,
) -> Result<Vec<usize>, ConfigError> {
    match (get(model, key), default) {
        (Some(found), _) => found
            .as_array()
            .filter(|list| list.len() <= 256)
            .and_then(|list| list.iter().map(whole).collect())
            .ok_or_else(|| wrong(key, "a list of whole numbers", found)),
        (None, Some(default)) => Ok(default.to_vec()),
        (None, None) => Err(ConfigError::Missing {
            key: key.into(),
            expected: "a list of whole numbers".into(),
        }),
    }
}

pub(super) fn numbers_of<const N: usize>(
    model: &Value,
    key: &str,
    default: Option<&[usize]>,
) -> Result<[usize; N], ConfigError> {
    let list = numbers(model, key, default)?;
    list.try_into()
        .map_err(|list: Vec<usize>| wrong(key, format!("{N} whole numbers"), &json!(list)))
}

/// A whole number small enough that no arithmetic on sizes overflows, on 32 bits either.
fn whole(value: &Value) -> Option<usize> {
    value
        .as_u64()
        .filter(|n| *n <= 1 << 20)
        .and_then(|n| usize::try_from(n).ok())
}

/// Flattens a tree to `dotted.path -> value`; lists are values.
fn leaves<'a>(node: &'a Value, path: String, out: &mut BTreeMap<String, &'a Value>) {
    match node {
        Value::Object(children) => {
            for (name, child) in children {
                leaves(
                    child,
                    if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    },
                    out,
                );
            }
        }
        leaf => {
            out.insert(path, leaf);
        }
    }
}

/// Equality with `1 == 1.0`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

/// An error for `key`, unless its value `holds`.
pub(super) fn ensure(key: &str, expected: &str, holds: bool, found: Value) -> Result<(), ConfigError> {
    match holds {
        true => Ok(()),
        false => Err(wrong(key, expected, &found)),
    }
}

pub(super) fn wrong(key: &str, expected: impl std::fmt::Display, found: &Value) -> ConfigError {
    ConfigError::Value {
        key: key.into(),
        expected: expected.to_string(),
        found: shown(found),
    }
}

/// JSON, cut to a readable length.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
