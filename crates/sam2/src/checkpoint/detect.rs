//! Recognises a checkpoint's configuration by its tensors.

use super::{CheckpointError, Tensors};
use crate::config::VARIANTS;
use crate::{Sam2Config, Version};

/// The release, by the tensors of the memory. A checkpoint without a memory counts as 2.1; it works the same in both.
pub(super) fn version(tensors: &Tensors) -> Version {
    match tensors.contains_key("maskmem_tpos_enc") && !tensors.contains_key("no_obj_embed_spatial") {
        true => Version::V2_0,
        false => Version::V2_1,
    }
}

/// EdgeTAM by its trunk, or the official variant of SAM 2 with the same width, position table and number of blocks.
pub(super) fn detect(tensors: &Tensors) -> Result<Sam2Config, CheckpointError> {
    // Another trunk has no position table.
    if tensors
        .keys()
        .any(|name| name.starts_with("image_encoder.trunk.body."))
    {
        return Ok(Sam2Config::named("edgetam", Version::V2_0)?);
    }
    let version = version(tensors);
    let pos_embed = tensors
        .get("image_encoder.trunk.pos_embed")
        .map(|stored| stored.shape().to_vec());
    let blocks = tensors
        .keys()
        .filter(|name| name.starts_with("image_encoder.trunk.blocks.") && name.ends_with(".norm1.weight"))
        .count();
    for name in VARIANTS {
        let config = Sam2Config::named(name, version)?;
        let Some(hiera) = config.trunk.as_hiera() else {
            continue;
        };
        let [height, width] = hiera.window_pos_embed_bkg_spatial_size;
        if pos_embed == Some(vec![1, hiera.embed_dim, height, width])
            && blocks == hiera.stages.iter().sum::<usize>()
        {
            return Ok(config);
        }
    }
    let pos_embed = pos_embed.map_or("no pos_embed".into(), |shape| format!("pos_embed {shape:?}"));
    Err(CheckpointError::UnknownVariant {
        found: format!("{pos_embed}, {blocks} blocks"),
    })
}
