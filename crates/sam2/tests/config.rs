//! The official configuration tree: what is read, what is refused.

mod common;

use common::hiera;
use sam2::config::{LiteStageConfig, PerceiverConfig, TrunkConfig, VARIANTS};
use sam2::{ConfigError, Sam2Config, Version, WeightsError};
use serde_json::{Value, json};

/// The tree of EdgeTAM's image encoder (facebookresearch/EdgeTAM, `sam2/configs/edgetam.yaml`) in a model of SAM 2.
fn with_repvit() -> Value {
    let mut tree = named("tiny").to_official();
    tree["image_encoder"]["trunk"] = json!({
        "_target_": "sam2.modeling.backbones.timm.TimmBackbone",
        "name": "repvit_m1.dist_in1k",
        "features": ["layer0", "layer1", "layer2", "layer3"],
    });
    tree["image_encoder"]["neck"]["backbone_channel_list"] = json!([384, 192, 96, 48]);
    tree
}

/// A model of SAM 2 with nano's second trunk (`weights/nano/second.yaml`).
fn with_lite() -> Value {
    let mut tree = named("tiny").to_official();
    tree["image_encoder"]["trunk"] = json!({
        "_target_": "efficientnet_lite.EfficientNetLite",
        "stem": 32,
        "stages": [
            [3, 1, 1, 16, 1], [3, 2, 6, 24, 3], [5, 2, 6, 48, 3], [3, 2, 6, 88, 4], [5, 1, 6, 120, 4], [5, 2, 6, 208, 5],
            [3, 1, 6, 352, 1],
        ],
        "taps": [1, 2, 4, 6],
    });
    tree["image_encoder"]["neck"]["backbone_channel_list"] = json!([352, 120, 48, 24]);
    tree
}

#[test]
fn other_trunks_round_trip() {
    for (tree, channels) in [
        (with_repvit(), [48, 96, 192, 384]),
        (with_lite(), [24, 48, 120, 352]),
    ] {
        let config = Sam2Config::from_official(&tree).unwrap();
        assert_eq!(config.trunk.channels(), channels);
        assert_eq!(config.to_official(), tree);
        assert_eq!(config.check_widths(4), Ok(()));
        // Every tensor has a name of its own.
        let names: Vec<String> = config.parameters().into_iter().map(|spec| spec.name).collect();
        let unique: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
    let parameters = |tree: Value| Sam2Config::from_official(&tree).unwrap().parameters();
    let of_trunk = |tree| {
        let specs = parameters(tree)
            .into_iter()
            .filter(|spec| spec.name.starts_with("image_encoder.trunk."));
        // Batch normalisation's statistics are no parameters.
        let learned = specs.filter(|spec| !spec.name.contains(".running_"));
        learned
            .map(|spec| spec.shape.iter().product::<usize>())
            .sum::<usize>()
    };
    // As PyTorch counts them: timm's repvit_m1 without its head, and the second edition's trunk.
    assert_eq!(of_trunk(with_repvit()), 4_713_712);
    assert_eq!(of_trunk(with_lite()), 4_330_184);
}

#[test]
fn trunks_that_do_not_exist_are_refused() {
    let refused = |tree: Value, key: &str| match Sam2Config::from_official(&tree) {
        Err(ConfigError::Value { key: found, .. } | ConfigError::Unknown { key: found, .. }) => {
            assert_eq!(found, key);
        }
        other => panic!("{key}: {other:?}"),
    };
    let changed = |mut tree: Value, key: &str, value: Value| {
        tree["image_encoder"]["trunk"][key] = value;
        tree
    };
    refused(
        changed(with_repvit(), "_target_", json!("timm.Other")),
        "image_encoder.trunk._target_",
    );
    refused(
        changed(with_repvit(), "name", json!("repvit_m3")),
        "image_encoder.trunk.name",
    );
    refused(
        changed(with_repvit(), "features", json!(["layer0"])),
        "image_encoder.trunk.features",
    );
    refused(
        changed(with_repvit(), "embed_dim", json!(96)),
        "image_encoder.trunk.embed_dim",
    );
    refused(
        changed(with_lite(), "stages", json!([[3, 1, 1, 16]])),
        "image_encoder.trunk.stages",
    );
    refused(
        changed(with_lite(), "stages", json!("many")),
        "image_encoder.trunk.stages",
    );
    refused(
        changed(with_lite(), "taps", json!([0, 2, 4, 6])),
        "image_encoder.trunk.taps",
    );
    refused(
        changed(with_lite(), "taps", json!([1, 2, 4, 1 << 20])),
        "image_encoder.trunk.taps",
    );
    refused(
        changed(with_lite(), "stem", json!(1 << 20)),
        "image_encoder.trunk.stem",
    );
    // Nothing stands for a network's name.
    let mut nameless = with_repvit();
    nameless["image_encoder"]["trunk"]
        .as_object_mut()
        .unwrap()
        .remove("name");
    assert!(matches!(
        Sam2Config::from_official(&nameless),
        Err(ConfigError::Missing { key, .. }) if key == "image_encoder.trunk.name"
    ));
    let mut other = with_repvit();
    other["image_encoder"]["neck"]["backbone_channel_list"] = json!([384, 192, 96, 47]);
    refused(other, "image_encoder.neck.backbone_channel_list");

    let mut config = Sam2Config::from_official(&with_lite()).unwrap();
    let TrunkConfig::EfficientNetLite(lite) = &mut config.trunk else {
        panic!("the trunk that was given");
    };
    lite.stages[0] = LiteStageConfig {
        kernel: 4,
        ..lite.stages[0]
    };
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("kernel 3, 5 or 7"), "{error}");
}

fn named(name: &str) -> Sam2Config {
    Sam2Config::named(name, Version::V2_1).unwrap()
}

#[test]
fn trees_round_trip_and_find_their_name() {
    for version in [Version::V2_0, Version::V2_1] {
        for name in VARIANTS {
            let config = Sam2Config::named(name, version).unwrap();
            assert_eq!(Sam2Config::from_official(&config.to_official()).unwrap(), config);
        }
    }
    assert_eq!(named("base-plus"), named("base_plus"));
    let mut other = named("tiny");
    other.image_size = 512;
    assert_eq!(
        Sam2Config::from_official(&other.to_official()).unwrap().name,
        "custom"
    );
}

/// EdgeTAM's memory, on SAM 2's smallest trunk.
fn with_perceiver() -> Sam2Config {
    let mut config = Sam2Config::named("tiny", Version::V2_0).unwrap();
    config.name = "custom".into();
    config.memory_attention.num_layers = 2;
    config.spatial_perceiver = Some(PerceiverConfig {
        depth: 2,
        ff_mult: 4,
        num_latents: 256,
        num_latents_2d: 256,
    });
    config
}

#[test]
fn a_perceiver_is_part_of_the_tree() {
    let config = with_perceiver();
    let mut tree = config.to_official();
    assert_eq!(Sam2Config::from_official(&tree).unwrap(), config);
    let cross_attention = &tree["memory_attention"]["layer"]["cross_attention"];
    assert_eq!(
        cross_attention["_target_"],
        "sam2.modeling.sam.transformer.RoPEAttentionv2"
    );
    assert_eq!(cross_attention["q_sizes"], json!([64, 64]));
    assert_eq!(cross_attention["k_sizes"], json!([16, 16]));
    // The positions of queries and keys follow the picture's side.
    let smaller = config.clone().with_image_size(512).unwrap();
    assert_eq!(
        smaller.to_official()["memory_attention"]["layer"]["cross_attention"]["q_sizes"],
        json!([32, 32])
    );
    // Those that only affect training
    tree["spatial_perceiver"]["hidden_dropout_p"] = json!(0.1);
    tree["spatial_perceiver"]["attention_dropout_p"] = json!(0.05);
    assert_eq!(Sam2Config::from_official(&tree).unwrap(), config);
}

#[test]
fn a_perceiver_that_is_not_implemented_is_refused() {
    let refused = |path: &str, value: Value| {
        let mut tree = with_perceiver().to_official();
        *tree.pointer_mut(path).unwrap() = value;
        Sam2Config::from_official(&tree).unwrap_err().to_string()
    };
    for (path, value) in [
        ("/spatial_perceiver/heads", json!(8)),
        ("/spatial_perceiver/dim", json!(32)),
        ("/spatial_perceiver/depth", json!(65)),
        ("/spatial_perceiver/use_self_attn", json!(false)),
        ("/spatial_perceiver/concat_kv_latents", json!(true)),
        // Not a square, and a grid that does not divide 64
        ("/spatial_perceiver/num_latents_2d", json!(255)),
        ("/spatial_perceiver/num_latents_2d", json!(144)),
        ("/memory_attention/layer/cross_attention/k_sizes", json!([32, 32])),
        ("/memory_attention/layer/cross_attention/q_sizes", json!([32, 32])),
    ] {
        let key = path[1..].replace('/', ".");
        let error = refused(path, value);
        assert!(error.contains(&key), "{error}");
    }
    // SAM 2's cross attention with a perceiver
    let mut tree = with_perceiver().to_official();
    tree["memory_attention"] =
        Sam2Config::named("tiny", Version::V2_0).unwrap().to_official()["memory_attention"].clone();
    tree["memory_attention"]["num_layers"] = json!(2);
    let error = Sam2Config::from_official(&tree).unwrap_err().to_string();
    assert!(error.contains("cross_attention"), "{error}");
    // SAM 2.1's embedding of absent objects
    let mut config = with_perceiver();
    config.version = Version::V2_1;
    assert!(
        config
            .validate()
            .unwrap_err()
            .to_string()
            .contains("no_obj_embed_spatial")
    );
    // A picture whose features the grid does not divide
    let error = with_perceiver().with_image_size(672).unwrap_err().to_string();
    assert!(error.contains("num_latents_2d"), "{error}");
}

#[test]
fn a_file_and_a_configuration_of_another_model_do_not_match() {
    let of = |config: &Sam2Config| -> Vec<String> {
        config.parameters().into_iter().map(|spec| spec.name).collect()
    };
    let mut plain = with_perceiver();
    plain.spatial_perceiver = None;
    let (with, without) = (of(&with_perceiver()), of(&plain));
    let surplus: Vec<&String> = with.iter().filter(|name| !without.contains(name)).collect();
    assert_eq!(without.iter().filter(|name| !with.contains(name)).count(), 0);
    // Latents, the last norm's two, and 20 of each layer.
    assert_eq!(surplus.len(), 4 + 2 * 20);
    assert!(surplus.iter().all(|name| name.starts_with("spatial_perceiver.")));
}

#[test]
fn a_silent_tree_takes_the_classes_defaults() {
    let mut tree = named("base_plus").to_official();
    let trunk = tree
        .pointer_mut("/image_encoder/trunk")
        .unwrap()
        .as_object_mut()
        .unwrap();
    for key in [
        "stages",
        "global_att_blocks",
        "window_pos_embed_bkg_spatial_size",
        "window_spec",
    ] {
        trunk.remove(key);
    }
    tree["memory_encoder"]["mask_downsampler"]
        .as_object_mut()
        .unwrap()
        .remove("embed_dim");
    tree["memory_encoder"].as_object_mut().unwrap().remove("in_dim");
    assert_eq!(Sam2Config::from_official(&tree).unwrap(), named("base_plus"));
}

#[test]
fn training_keys_do_not_matter() {
    let mut tree = named("tiny").to_official();
    tree["compile_image_encoder"] = json!(true);
    tree["image_encoder"]["trunk"]["drop_path_rate"] = json!(0.1);
    tree["memory_attention"]["layer"]["dropout"] = json!(0);
    tree["memory_encoder"]["fuser"]["layer"]["layer_scale_init_value"] = json!("1e-6");
    tree["image_encoder"]["trunk"]["q_stride"] = json!([2, 2]);
    assert_eq!(Sam2Config::from_official(&tree).unwrap(), named("tiny"));
}

#[test]
fn what_the_port_does_not_implement_is_named() {
    let refused = |pointer: &str, value: Value| {
        let mut tree = named("tiny").to_official();
        *tree.pointer_mut(pointer).unwrap() = value;
        match Sam2Config::from_official(&tree).unwrap_err() {
            ConfigError::Value { key, .. } => key,
            other => panic!("{other}"),
        }
    };
    for (pointer, value) in [
        ("/_target_", json!("training.model.sam2.SAM2Train")),
        ("/image_encoder/trunk/_target_", json!("timm.VisionTransformer")),
        ("/image_encoder/neck/fpn_interp_model", json!("bilinear")),
        ("/pred_obj_scores", json!(false)),
        ("/sigmoid_scale_for_mem_enc", json!(1.0)),
        ("/add_tpos_enc_to_obj_ptrs", json!(false)),
        ("/image_encoder/scalp", json!(0)),
        ("/image_encoder/trunk/stages", json!([1, 2, 7])),
        ("/image_encoder/trunk/stages", json!([1, 2, 7, 1_000_000])),
        ("/image_encoder/trunk/global_att_blocks", json!([3])),
        ("/image_encoder/neck/d_model", json!(-256)),
        ("/image_size", json!("1024")),
        ("/num_maskmem", json!(1e300)),
    ] {
        assert_eq!(refused(pointer, value), pointer[1..].replace('/', "."));
    }

    let mut tree = named("tiny").to_official();
    tree["mixture_of_experts"] = json!(8);
    assert!(
        matches!(Sam2Config::from_official(&tree), Err(ConfigError::Unknown { key, .. }) if key == "mixture_of_experts")
    );

    let mut tree = named("tiny").to_official();
    tree.as_object_mut()
        .unwrap()
        .remove("use_high_res_features_in_sam");
    assert!(
        matches!(Sam2Config::from_official(&tree), Err(ConfigError::Missing { key, .. }) if key == "use_high_res_features_in_sam")
    );

    for nonsense in [json!(null), json!([]), json!("tiny"), json!({}), json!(7)] {
        assert!(Sam2Config::from_official(&nonsense).is_err());
    }
    assert!(matches!(
        Sam2Config::named("huge", Version::V2_1),
        Err(ConfigError::Variant { .. })
    ));
}

#[test]
fn sizes_out_of_bounds_are_named_whoever_made_them() {
    let refused = |key: &str, change: fn(&mut Sam2Config)| {
        let mut config = named("tiny");
        change(&mut config);
        match config.validate() {
            Err(ConfigError::Value { key: found, .. }) => assert_eq!(found, key),
            other => panic!("{key}: {other:?}"),
        }
    };
    for name in VARIANTS {
        assert_eq!(named(name).validate(), Ok(()));
    }
    refused("image_size", |c| c.image_size = 0);
    refused("image_size", |c| c.image_size = usize::MAX - 31);
    refused("image_size", |c| c.image_size = 4096);
    refused("image_encoder.scalp", |c| c.scalp = 2);
    refused("image_encoder.trunk.num_heads", |c| hiera(c).num_heads = 0);
    refused("image_encoder.trunk.embed_dim", |c| hiera(c).embed_dim = 0);
    refused("image_encoder.trunk.embed_dim", |c| {
        hiera(c).embed_dim = usize::MAX;
    });
    refused("image_encoder.trunk.stages", |c| hiera(c).stages[0] = 0);
    refused("image_encoder.trunk.stages", |c| {
        hiera(c).stages = [usize::MAX; 4];
    });
    refused("image_encoder.trunk.global_att_blocks", |c| {
        hiera(c).global_att_blocks = vec![usize::MAX];
    });
    refused("image_encoder.trunk.global_att_blocks", |c| {
        // 512 x 512 tokens that all attend to each other.
        c.image_size = 2048;
        (hiera(c).stages[0], hiera(c).global_att_blocks) = (2, vec![1]);
    });
    refused("image_encoder.trunk.window_spec", |c| {
        hiera(c).window_spec[2] = 0;
    });
    refused("image_encoder.neck.d_model", |c| c.neck.d_model = 0);
    refused("image_encoder.neck.fpn_top_down_levels", |c| {
        c.neck.fpn_top_down_levels = vec![3; 100];
    });
    refused("memory_attention.num_layers", |c| {
        c.memory_attention.num_layers = 0;
    });
    refused("memory_attention.layer.self_attention.rope_theta", |c| {
        c.memory_attention.rope_theta = f64::NAN;
    });
    for out_dim in [0, 1, 2, 6, 24, 512] {
        let mut config = named("tiny");
        config.memory_encoder.out_dim = out_dim;
        let error = config.validate().unwrap_err();
        assert!(error.to_string().contains("memory_encoder.out_dim"), "{error}");
    }
    refused("num_maskmem", |c| c.num_maskmem = usize::MAX);
}

#[test]
fn another_side_keeps_the_network() {
    let half = named("tiny").with_image_size(512).unwrap();
    assert_eq!((half.image_size, half.name.as_str()), (512, "tiny"));
    assert_eq!(half.parameters(), named("tiny").parameters());
    for side in [0, 32, 500, 4097, usize::MAX] {
        let error = named("tiny").with_image_size(side).unwrap_err();
        assert!(
            error.to_string().contains("a multiple of 32 from 64 to 4096"),
            "{error}"
        );
    }
}

#[test]
fn widths_that_no_gpu_kernel_can_do_are_named() {
    for name in VARIANTS {
        assert_eq!(named(name).check_widths(4), Ok(()));
    }
    let refused = |change: fn(&mut Sam2Config), expected: (&str, usize, usize)| {
        let mut config = named("base_plus");
        change(&mut config);
        let error = config.check_widths(4).unwrap_err();
        let (key, multiple, found) = expected;
        assert!(
            matches!(error, WeightsError::Width { key: k, multiple: m, found: f } if (k, m, f) == expected),
            "{error}"
        );
        assert_eq!(
            error.to_string(),
            format!(
                "configuration key `{key}` is {found}, expected a multiple of {multiple} on a GPU: load this model on the CPU (device \"cpu\")"
            )
        );
    };
    // Two heads of 54 each.
    refused(
        |config| hiera(config).embed_dim = 108,
        ("image_encoder.trunk.embed_dim", 8, 108),
    );
    refused(
        |config| config.neck.d_model = 96,
        ("image_encoder.neck.d_model", 64, 96),
    );
    refused(
        |config| config.memory_attention.dim_feedforward = 2046,
        ("memory_attention.layer.dim_feedforward", 4, 2046),
    );
    refused(
        |config| config.memory_encoder.out_dim = 2,
        ("memory_encoder.out_dim", 4, 2),
    );
}
