//! Translates the names of Hugging Face transformers (`Sam2Model`, `Sam2VideoModel`, `EdgeTamModel`, `EdgeTamVideoModel`) to
//! the official ones.

use std::collections::BTreeMap;

use sam2_checkpoint::StoredTensor;

use super::{CheckpointError, Tensors};

/// Beginnings of names and what replaces them. Only the first match is replaced.
const PREFIXES: [(&str, &str); 35] = [
    (
        "vision_encoder.backbone.patch_embed.projection.",
        "image_encoder.trunk.patch_embed.proj.",
    ),
    ("vision_encoder.backbone.timm_model.", "image_encoder.trunk.body."),
    ("vision_encoder.backbone.", "image_encoder.trunk."),
    ("vision_encoder.neck.", "image_encoder.neck."),
    ("shared_image_embedding.positional_embedding", GAUSSIAN),
    ("prompt_encoder.shared_embedding.positional_embedding", GAUSSIAN),
    (
        "prompt_encoder.mask_embed.conv1.",
        "sam_prompt_encoder.mask_downscaling.0.",
    ),
    (
        "prompt_encoder.mask_embed.layer_norm1.",
        "sam_prompt_encoder.mask_downscaling.1.",
    ),
    (
        "prompt_encoder.mask_embed.conv2.",
        "sam_prompt_encoder.mask_downscaling.3.",
    ),
    (
        "prompt_encoder.mask_embed.layer_norm2.",
        "sam_prompt_encoder.mask_downscaling.4.",
    ),
    (
        "prompt_encoder.mask_embed.conv3.",
        "sam_prompt_encoder.mask_downscaling.6.",
    ),
    ("prompt_encoder.", "sam_prompt_encoder."),
    (
        "mask_decoder.upscale_conv1.",
        "sam_mask_decoder.output_upscaling.0.",
    ),
    (
        "mask_decoder.upscale_layer_norm.",
        "sam_mask_decoder.output_upscaling.1.",
    ),
    (
        "mask_decoder.upscale_conv2.",
        "sam_mask_decoder.output_upscaling.3.",
    ),
    ("mask_decoder.", "sam_mask_decoder."),
    (
        "memory_encoder.feature_projection.",
        "memory_encoder.pix_feat_proj.",
    ),
    ("memory_encoder.projection.", "memory_encoder.out_proj."),
    ("memory_encoder.memory_fuser.", "memory_encoder.fuser."),
    (
        "memory_encoder.mask_downsampler.final_conv.",
        "memory_encoder.mask_downsampler.encoder.12.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.0.conv.",
        "memory_encoder.mask_downsampler.encoder.0.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.0.layer_norm.",
        "memory_encoder.mask_downsampler.encoder.1.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.1.conv.",
        "memory_encoder.mask_downsampler.encoder.3.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.1.layer_norm.",
        "memory_encoder.mask_downsampler.encoder.4.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.2.conv.",
        "memory_encoder.mask_downsampler.encoder.6.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.2.layer_norm.",
        "memory_encoder.mask_downsampler.encoder.7.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.3.conv.",
        "memory_encoder.mask_downsampler.encoder.9.",
    ),
    (
        "memory_encoder.mask_downsampler.layers.3.layer_norm.",
        "memory_encoder.mask_downsampler.encoder.10.",
    ),
    ("spatial_perceiver.latents_1d", "spatial_perceiver.latents"),
    ("object_pointer_proj.", "obj_ptr_proj."),
    (
        "temporal_positional_encoding_projection_layer.",
        "obj_ptr_tpos_proj.",
    ),
    ("memory_temporal_positional_encoding", "maskmem_tpos_enc"),
    ("no_memory_embedding", "no_mem_embed"),
    ("no_memory_positional_encoding", "no_mem_pos_enc"),
    ("no_object_pointer", "no_obj_ptr"),
];

/// Parts of names and what replaces them wherever they occur, in this order.
const PARTS: [(&str, &str); 9] = [
    ("occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
    (".layer_norm", ".norm"),
    (".o_proj.", ".out_proj."),
    (".mlp.proj_in.", ".mlp.layers.0."),
    (".mlp.proj_out.", ".mlp.layers.1."),
    (".depthwise_conv.", ".dwconv."),
    (".pointwise_conv1.", ".pwconv1."),
    (".pointwise_conv2.", ".pwconv2."),
    (".scale", ".gamma"),
];

/// Parts of the names of EdgeTAM's perceiver and what replaces them, before [`PARTS`].
const PERCEIVER: [(&str, &str); 15] = [
    (".layer_norm_input.", ".attn.norm_x."),
    (".layer_norm_latents.", ".attn.norm_latents."),
    (".layer_norm_self.", ".self_attn.norm."),
    (".cross_attention.", ".attn."),
    (".self_attention.", ".self_attn."),
    (".q_proj.", ".to_q."),
    // Two tensors that officially are one.
    (KEYS, KEYS_AND_VALUES),
    (VALUES, KEYS_AND_VALUES),
    (".o_proj.", ".to_out."),
    (".self_mlp.layer_norm.", ".self_ff.0."),
    (".self_mlp.up_proj.", ".self_ff.1."),
    (".self_mlp.down_proj.", ".self_ff.3."),
    (".mlp.layer_norm.", ".ff.0."),
    (".mlp.up_proj.", ".ff.1."),
    (".mlp.down_proj.", ".ff.3."),
];
const KEYS: &str = ".k_proj.";
const VALUES: &str = ".v_proj.";
const KEYS_AND_VALUES: &str = ".to_kv.";

/// Parts of the names of EdgeTAM's memory attention and what replaces them.
const MEMORY_ATTENTION: [(&str, &str); 2] =
    [(".mlp.up_proj.", ".linear1."), (".mlp.down_proj.", ".linear2.")];

/// The random matrix of the position encoding, which is a buffer and not a parameter.
pub(super) const GAUSSIAN: &str = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix";

/// MLPs of three layers, whose `layers.0` in transformers is officially the second layer.
const THREE_LAYERS: [&str; 4] = [
    "sam_mask_decoder.output_hypernetworks_mlps.",
    "sam_mask_decoder.iou_prediction_head.",
    "sam_mask_decoder.pred_obj_score_head.",
    "obj_ptr_proj.",
];

/// Four embeddings in one tensor `[4, d]`, which officially are four tensors `[1, d]`.
const POINT_EMBED: &str = "prompt_encoder.point_embed.weight";

/// The official name of a tensor. Names that are equal in both are returned as they are.
pub(super) fn official_name(name: &str) -> String {
    let prefix = PREFIXES.iter().find(|(from, _)| name.starts_with(from));
    let mut official = match prefix {
        Some((from, to)) => format!("{to}{}", &name[from.len()..]),
        None => name.to_owned(),
    };
    let of_module: &[(&str, &str)] = match official.split('.').next() {
        Some("spatial_perceiver") => &PERCEIVER,
        Some("memory_attention") => &MEMORY_ATTENTION,
        _ => &[],
    };
    for (from, to) in of_module.iter().chain(&PARTS) {
        official = official.replace(from, to);
    }
    if THREE_LAYERS.iter().any(|module| official.starts_with(module)) {
        official = official
            .replace(".layers.0.", ".layers.1.")
            .replace("proj_in.", "layers.0.")
            .replace("proj_out.", "layers.2.");
    }
    // The official convolutions of the neck are one module deeper.
    if let Some((level, parameter)) = official
        .strip_prefix("image_encoder.neck.convs.")
        .and_then(|rest| rest.split_once('.'))
    {
        official = format!("image_encoder.neck.convs.{level}.conv.{parameter}");
    }
    official
}

/// The tensors by their official names, and those that have to be put together.
pub(super) struct Renamed {
    pub tensors: Tensors,
    /// Official tensors that are two in transformers, one after the other along the first dimension.
    pub halves: BTreeMap<String, [StoredTensor; 2]>,
}

/// Renames every tensor.
///
/// # Errors
/// [`CheckpointError::Surplus`] if two tensors get the same name, except for the position encoding's matrix, of which
/// transformers has two copies.
pub(super) fn to_official(tensors: Tensors) -> Result<Renamed, CheckpointError> {
    let mut official = Tensors::new();
    let (mut keys, mut values) = (Tensors::new(), Tensors::new());
    for (name, stored) in tensors {
        if name == POINT_EMBED {
            for label in 0..stored.shape().first().copied().unwrap_or(0).min(4) {
                if let Some(row) = stored.row(label) {
                    official.insert(format!("sam_prompt_encoder.point_embeddings.{label}.weight"), row);
                }
            }
            continue;
        }
        let key = official_name(&name);
        if key.contains(KEYS_AND_VALUES) && name.contains(KEYS) {
            keys.insert(key, stored);
            continue;
        }
        if key.contains(KEYS_AND_VALUES) && name.contains(VALUES) {
            values.insert(key, stored);
            continue;
        }
        if key != GAUSSIAN && official.contains_key(&key) {
            return Err(CheckpointError::Surplus {
                name,
                shape: stored.shape().to_vec(),
            });
        }
        official.insert(key, stored);
    }
    let pair = |(key, first)| {
        let second = values.remove(&key)?;
        Some((key, [first, second]))
    };
    Ok(Renamed {
        tensors: official,
        halves: keys.into_iter().filter_map(pair).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `official <TAB> transformers <TAB> shape` for every tensor of the tiny model.
    const TABLE: &str = include_str!("../../tests/transformers-names.tsv");

    /// The same of EdgeTAM, without the blocks that are like others.
    const EDGETAM: &str = include_str!("../../tests/edgetam-transformers-names.tsv");

    #[test]
    fn every_name_of_edgetam_s_table() {
        for line in EDGETAM.lines() {
            let mut columns = line.split('\t');
            let (official, transformers) = (columns.next().unwrap(), columns.next().unwrap());
            assert_eq!(official_name(transformers), official);
        }
        assert_eq!(EDGETAM.lines().count(), 484);
    }

    #[test]
    fn every_name_of_the_table() {
        let mut lines = 0;
        for line in TABLE.lines().filter(|line| !line.contains(".point_embed.")) {
            let mut columns = line.split('\t');
            let (official, transformers) = (columns.next().unwrap(), columns.next().unwrap());
            assert_eq!(official_name(transformers), official);
            lines += 1;
        }
        assert_eq!(lines, 471 - 4);
        assert_eq!(
            official_name("shared_image_embedding.positional_embedding"),
            GAUSSIAN
        );
    }
}
