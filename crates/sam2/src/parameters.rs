//! The tensors of the official `state_dict` that a network takes.

use std::sync::Arc;

use sam2_ops::{ParameterSpec, Weights, WeightsError, list_parameters};

use crate::config::Sam2Config;
use crate::image_model::ImageModel;
use crate::video_model::VideoModel;

/// Every tensor of the official `state_dict` for a configuration, as the network takes them when it is loaded.
pub(crate) fn of(config: &Sam2Config) -> Vec<ParameterSpec> {
    let load = |mut weights: Weights<'_>| {
        let image = ImageModel::load_from(config, weights.root())?;
        // Official checkpoints contain this tensor, but no official configuration reads it.
        weights.parameter::<3>("no_mem_pos_enc", [1, 1, config.neck.d_model])?;
        VideoModel::load_memory_from(Arc::new(image), weights)?;
        Ok::<_, WeightsError>(())
    };
    list_parameters(load).expect("nothing is missing from a list")
}

/// Whether a tensor (by official name) belongs to the memory, which only video needs. A checkpoint of an image-only model
/// has none of these.
pub fn is_memory(name: &str) -> bool {
    const EXACT: [&str; 4] = [
        "maskmem_tpos_enc",
        "no_mem_pos_enc",
        "no_obj_ptr",
        "no_obj_embed_spatial",
    ];
    const MODULES: [&str; 6] = [
        "memory_attention.",
        "memory_encoder.",
        "spatial_perceiver.",
        "mask_downsample.",
        "obj_ptr_proj.",
        "obj_ptr_tpos_proj.",
    ];
    EXACT.contains(&name) || MODULES.iter().any(|module| name.starts_with(module))
}
