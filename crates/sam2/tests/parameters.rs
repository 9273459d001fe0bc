//! Names and shapes against the official `state_dict`s: as counts, and as a hash (FNV-1a, 64 bits) over the
//! sorted lines `name<TAB>[d0, d1]` of each, taken from the official classes.

use sam2::parameters::is_memory;
use sam2::{Sam2Config, Version};
use serde_json::Value;

const OFFICIAL: [(&str, Version, usize, u64); 8] = [
    ("tiny", Version::V2_1, 471, 0xe566_126c_0d46_a833),
    ("tiny", Version::V2_0, 468, 0xb01a_dc4a_2218_eeff),
    ("small", Version::V2_1, 519, 0xc908_11a1_f7ff_0a93),
    ("small", Version::V2_0, 516, 0x859c_67b6_293b_d29f),
    ("base_plus", Version::V2_1, 615, 0x8710_27e6_76f1_9af0),
    ("base_plus", Version::V2_0, 612, 0x3b4e_acfc_17ff_e0e4),
    ("large", Version::V2_1, 903, 0x0517_0faa_41e7_c967),
    ("large", Version::V2_0, 900, 0x560c_7e02_4c6b_476b),
];

fn hash(config: &Sam2Config) -> u64 {
    let mut lines: Vec<String> = config
        .parameters()
        .iter()
        .map(|spec| format!("{}\t{:?}\n", spec.name, spec.shape))
        .collect();
    lines.sort();
    lines.concat().bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn numel(config: &Sam2Config) -> usize {
    config
        .parameters()
        .iter()
        .map(|spec| spec.shape.iter().product::<usize>())
        .sum()
}

#[test]
fn names_and_shapes_of_the_official_variants() {
    for (name, version, count, expected) in OFFICIAL {
        let config = Sam2Config::named(name, version).unwrap();
        assert_eq!(config.parameters().len(), count, "{name} {version}");
        assert_eq!(hash(&config), expected, "{name} {version}");
    }
}

#[test]
fn parameter_counts_are_the_published_ones() {
    // Only `nn.Parameter`s count; the 256 values of the random position matrix are a buffer.
    let published = [
        ("tiny", 38_962_498),
        ("small", 46_060_354),
        ("base_plus", 80_850_178),
        ("large", 224_446_642),
    ];
    for (name, parameters) in published {
        assert_eq!(
            numel(&Sam2Config::named(name, Version::V2_1).unwrap()),
            parameters + 256,
            "{name}"
        );
        assert_eq!(
            numel(&Sam2Config::named(name, Version::V2_0).unwrap()),
            parameters + 256 - 16_512,
            "{name}"
        );
    }
}

#[test]
fn names_and_shapes_of_a_custom_size() {
    // The test configuration of the parity fixtures.
    for (version, count, expected) in [
        (Version::V2_1, 371, 0xcf04_5190_5e21_01cc),
        (Version::V2_0, 368, 0xcf1a_c627_ef43_564e),
    ] {
        let mut tree = Sam2Config::named("tiny", version).unwrap().to_official();
        for (pointer, value) in [
            ("/image_size", "256"),
            ("/image_encoder/trunk/embed_dim", "16"),
            ("/image_encoder/trunk/stages", "[1,2,3,2]"),
            ("/image_encoder/trunk/global_att_blocks", "[5]"),
            ("/image_encoder/neck/d_model", "64"),
            ("/image_encoder/neck/backbone_channel_list", "[128,64,32,16]"),
            ("/image_encoder/neck/position_encoding/num_pos_feats", "64"),
            ("/memory_attention/d_model", "64"),
            ("/memory_attention/num_layers", "2"),
            ("/memory_attention/layer/d_model", "64"),
            ("/memory_attention/layer/dim_feedforward", "128"),
            ("/memory_attention/layer/self_attention/embedding_dim", "64"),
            ("/memory_attention/layer/cross_attention/embedding_dim", "64"),
            ("/memory_attention/layer/cross_attention/kv_in_dim", "16"),
            ("/memory_encoder/out_dim", "16"),
            ("/memory_encoder/in_dim", "64"),
            ("/memory_encoder/position_encoding/num_pos_feats", "16"),
            ("/memory_encoder/mask_downsampler/embed_dim", "64"),
            ("/memory_encoder/fuser/layer/dim", "64"),
        ] {
            *tree.pointer_mut(pointer).unwrap() = serde_json::from_str::<Value>(value).unwrap();
        }
        let config = Sam2Config::from_official(&tree).unwrap();
        assert_eq!(
            (config.parameters().len(), hash(&config)),
            (count, expected),
            "{version}"
        );
    }
}

#[test]
fn the_image_part_is_what_an_image_only_model_has() {
    let config = Sam2Config::named("tiny", Version::V2_1).unwrap();
    let image: Vec<_> = config
        .parameters()
        .into_iter()
        .filter(|spec| !is_memory(&spec.name))
        .collect();
    // transformers' Sam2Model has 309 tensors: one doubled, and four point embeddings in one.
    assert_eq!(image.len(), 309 - 1 + 3);
    assert!(!is_memory("no_mem_embed") && !is_memory("sam_mask_decoder.iou_token.weight"));
    assert!(is_memory("mask_downsample.weight") && is_memory("memory_attention.norm.bias"));
}
