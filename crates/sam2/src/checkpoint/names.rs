//! Finds SAM 2's tensors in a file, and the naming scheme they follow.
//!
//! Training tools put a prefix before the names: `module.` (data parallel), `_orig_mod.` (`torch.compile`), `model.`
//! (Lightning), `base_model.model.` (PEFT), or the keys of a training state's dicts, such as `state_dict`. The prefix is
//! whatever stands before the first module of SAM 2 in a name, so tools need not be known.

use std::collections::{BTreeMap, BTreeSet};

use sam2_checkpoint::{StoredTensor, TensorFile};

use super::remark::Remark;
use super::transformers::{self, Renamed};
use super::{CheckpointError, Tensors};

/// The naming scheme of the tensors in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The names of facebookresearch/sam2.
    Official,
    /// The names of Hugging Face transformers.
    Transformers,
}

/// The beginnings of the names of SAM 2's modules in the official scheme.
const OFFICIAL: [&str; 4] = [
    "image_encoder.trunk.",
    "image_encoder.neck.",
    "sam_prompt_encoder.",
    "sam_mask_decoder.",
];
/// The same in the scheme of transformers.
const TRANSFORMERS: [&str; 4] = [
    "vision_encoder.backbone.",
    "vision_encoder.neck.",
    "prompt_encoder.",
    "mask_decoder.",
];
/// The beginnings of the memory's names, in either scheme.
const MEMORY: [&str; 9] = [
    "memory_attention.",
    "memory_encoder.",
    "mask_downsample.",
    "spatial_perceiver.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "object_pointer_proj.",
    "temporal_positional_encoding_projection_layer.",
    "shared_image_embedding.",
];

/// Modules that only wrap another one. They may be anywhere in a name.
const WRAPPERS: [&str; 3] = [
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
];

/// Words in a prefix that mark averages of the trained weights.
const AVERAGES: [&str; 8] = [
    "ema", "average", "averaged", "avg", "swa", "shadow", "teacher", "momentum",
];
/// Words in a prefix that mark the trained weights themselves.
const MODELS: [&str; 6] = ["model", "state", "module", "net", "network", "sam2"];

/// SAM 2's tensors by their official names, and what else was found.
pub(super) struct Found {
    pub tensors: Tensors,
    /// Tensors that are two in the file, one after the other along the first dimension.
    pub halves: BTreeMap<String, [StoredTensor; 2]>,
    pub naming: Naming,
    pub chosen: Option<Remark>,
    /// The names in the file of other tensors that were beside them.
    pub beside: Vec<String>,
}

/// Finds SAM 2's tensors.
///
/// # Errors
/// [`CheckpointError::UnknownNames`] or [`CheckpointError::WholeModule`] if there are none, and
/// [`CheckpointError::Surplus`] if two names of transformers mean the same tensor.
pub(super) fn find(file: &TensorFile) -> Result<Found, CheckpointError> {
    let names: Vec<(String, &String)> = file
        .tensors()
        .keys()
        .map(|name| (unwrapped(name), name))
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in &names {
        if let Some(prefix) = prefix(name) {
            *counts.entry(prefix).or_default() += 1;
        }
    }
    let prefix = choose(&counts).ok_or_else(|| nothing(file))?.to_owned();
    let others: Vec<String> = counts
        .keys()
        .filter(|other| **other != prefix)
        .map(|other| shown(other))
        .collect();
    let chosen = (!others.is_empty()).then(|| Remark::Chosen {
        chosen: shown(&prefix),
        others,
    });

    // A pickle may contain other dicts beside the network's, whose tensors are ignored without a remark.
    let groups: BTreeSet<usize> = names
        .iter()
        .filter(|(name, _)| self::prefix(name) == Some(&prefix))
        .map(|(_, original)| file.tensors()[*original].group())
        .collect();
    let mut tensors = Tensors::new();
    let mut beside = Vec::new();
    for (name, original) in &names {
        let stored = &file.tensors()[*original];
        let is_close = groups.contains(&stored.group());
        let owner = owner(name, &counts);
        match name.strip_prefix(prefix.as_str()) {
            Some(rest)
                if owner == Some(&prefix)
                    && (is_close || self::prefix(name).is_some() || !rest.contains('.')) =>
            {
                // A tensor that occurs with and without a wrapper is the same tensor.
                tensors.entry(rest.to_owned()).or_insert_with(|| stored.clone());
            }
            _ if is_close && owner.is_none() => beside.push((*original).clone()),
            _ => {}
        }
    }
    let count = |modules: [&str; 4]| {
        let begins = |name: &&String| modules.iter().any(|module| name.starts_with(module));
        tensors.keys().filter(begins).count()
    };
    let mut halves = BTreeMap::new();
    let naming = match count(TRANSFORMERS) > count(OFFICIAL) {
        true => Naming::Transformers,
        false => Naming::Official,
    };
    if naming == Naming::Transformers {
        Renamed { tensors, halves } = transformers::to_official(tensors)?;
    }
    Ok(Found {
        tensors,
        halves,
        naming,
        chosen,
        beside,
    })
}

/// A name without the wrapper modules.
fn unwrapped(name: &str) -> String {
    let mut name = name.to_owned();
    for wrapper in WRAPPERS {
        if name.contains(wrapper) {
            name = format!(".{name}").replace(&format!(".{wrapper}"), ".")[1..].to_owned();
        }
    }
    name
}

/// The part of a name before SAM 2's own name; `None` if it does not contain a name of SAM 2.
fn prefix(name: &str) -> Option<&str> {
    let starts = std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1));
    for start in starts {
        let rest = &name[start..];
        let mut modules = OFFICIAL.iter().chain(&TRANSFORMERS).chain(&MEMORY);
        if modules.any(|module| rest.starts_with(module)) {
            // An optimiser's state repeats the names of the parameters.
            let prefix = &name[..start];
            return (!prefix.contains("optim")).then_some(prefix);
        }
    }
    None
}

/// The prefix of the network that a tensor belongs to: the longest known prefix of its name.
fn owner<'a>(name: &'a str, counts: &BTreeMap<&str, usize>) -> Option<&'a str> {
    let dots = name.match_indices('.').map(|(at, _)| at + 1);
    let prefixes = std::iter::once(0).chain(dots).map(|end| &name[..end]);
    prefixes.rev().find(|prefix| counts.contains_key(prefix))
}

/// Chooses a prefix: the trained weights rather than their average, then the one with the most tensors.
fn choose<'a>(counts: &BTreeMap<&'a str, usize>) -> Option<&'a str> {
    let most = counts.values().copied().max()?;
    counts
        .iter()
        // A few tensors are not a whole network, but adapters or a second copy of one module.
        .filter(|(_, count)| 2 * **count >= most)
        .min_by_key(|(prefix, count)| (rank(prefix), std::cmp::Reverse(**count), prefix.len()))
        .map(|(prefix, _)| *prefix)
}

fn rank(prefix: &str) -> usize {
    let lower = prefix.to_lowercase();
    let has = |words: &[&str]| {
        lower
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| words.contains(&word))
    };
    match () {
        () if has(&AVERAGES) => 2,
        () if prefix.is_empty() || has(&MODELS) => 0,
        () => 1,
    }
}

/// A prefix as a message shows it.
fn shown(prefix: &str) -> String {
    match prefix.trim_end_matches('.') {
        "" => "the one without a prefix".into(),
        prefix => format!("`{prefix}`"),
    }
}

/// The error for a file without tensors of SAM 2.
fn nothing(file: &TensorFile) -> CheckpointError {
    if let Some(object) = file.objects().iter().find(|object| object.holds_tensors) {
        return CheckpointError::WholeModule {
            class: object.class.clone(),
        };
    }
    let found = match file.tensors().keys().next() {
        _ if file
            .tensors()
            .keys()
            .any(|name| name.contains("image_encoder.patch_embed.")) =>
        {
            "they look like the first SAM's".into()
        }
        Some(first) => format!("the first is `{first}`"),
        None => "there are no tensors".into(),
    };
    CheckpointError::UnknownNames { found }
}

/// A name with `*` for each number in it: equal for the same parameter of two blocks.
pub(super) fn pattern(name: &str) -> String {
    let parts = name
        .split('.')
        .map(|part| match part.bytes().all(|b| b.is_ascii_digit()) {
            true => "*",
            false => part,
        });
    parts.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_name() {
        for (name, wanted) in [
            ("image_encoder.trunk.pos_embed", Some("")),
            ("module.image_encoder.trunk.pos_embed", Some("module.")),
            ("base_model.model.sam_mask_decoder.a", Some("base_model.model.")),
            ("state_dict.model.mask_decoder.a", Some("state_dict.model.")),
            ("optimizer.state.image_encoder.trunk.pos_embed.exp_avg", None),
            ("my_mask_decoder.a", None),
            ("image_encoder.patch_embed.proj.weight", None),
            ("head.weight", None),
        ] {
            assert_eq!(prefix(name), wanted, "{name}");
        }
        assert_eq!(
            unwrapped("_orig_mod.module.image_encoder._orig_mod.trunk.x"),
            "module.image_encoder.trunk.x"
        );
        assert_eq!(unwrapped("my_orig_mod.x"), "my_orig_mod.x");
    }

    #[test]
    fn the_trained_weights_come_before_their_average() {
        let chosen = |counts: &[(&'static str, usize)]| choose(&counts.iter().copied().collect());
        assert_eq!(chosen(&[("ema.", 900), ("model.", 900)]), Some("model."));
        assert_eq!(
            chosen(&[("ema_state_dict.", 900), ("weights.", 900)]),
            Some("weights.")
        );
        assert_eq!(chosen(&[("ema.", 900)]), Some("ema."));
        // Adapters are no network.
        assert_eq!(chosen(&[("ema.", 900), ("model.", 10)]), Some("ema."));
        assert_eq!(chosen(&[]), None);
    }
}
