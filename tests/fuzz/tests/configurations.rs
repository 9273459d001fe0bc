//! Random configurations: the text, the tree, and networks of unusual sizes that are allowed.

use std::sync::Arc;

use burn::tensor::TensorData;
use fuzz::arbitrary::{Result, Unstructured};
use fuzz::{damage, found, fuzz};
use pollster::block_on;
use sam2::config::{
    EfficientNetLiteConfig, FpnNeckConfig, HieraConfig, LiteStageConfig, MemoryAttentionConfig,
    MemoryEncoderConfig, PerceiverConfig, RepVitConfig, TrunkConfig,
};
use sam2::{Implementation, LoadError, Sam2Config, TensorSource, Version, VideoModel, WeightsError};
use sam2_ops::Products;
use sam2_predict::{PictureRef, PixelFormat, PointPrompt, Prompt, VideoOptions, VideoSession};

/// A configuration of each trunk.
const FILES: [&str; 3] = [
    include_str!("../../../weights/nano/nano.yaml"),
    include_str!("../../../weights/nano/second.yaml"),
    include_str!("../../parity/fixtures/edgetam_micro/edgetam_micro.yaml"),
];

/// A configuration that is read can be written, and its sizes do not overflow.
fn read(text: &str) {
    match sam2_yaml::config(text) {
        Ok(config) => {
            assert_eq!(config.validate(), Ok(()));
            let mut again = Sam2Config::from_official(&config.to_official()).expect("what was written");
            again.name.clone_from(&config.name);
            assert_eq!(again, config);
            for spec in config.parameters() {
                let numel = spec
                    .shape
                    .iter()
                    .try_fold(4u32, |bytes, n| bytes.checked_mul(*n as u32));
                assert!(numel.is_some(), "{} of {:?} on 32 bits", spec.name, spec.shape);
            }
        }
        Err(error) => assert!((1..2000).contains(&error.to_string().len()), "{error}"),
    }
}

#[test]
fn found_texts() {
    for (path, bytes) in found("yaml") {
        println!("{}", path.display());
        read(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn yaml() {
    let values = [
        "0",
        "1",
        "2",
        "3",
        "7",
        "16",
        "48",
        "64",
        "96",
        "512",
        "1024",
        "1048576",
        "1048577",
        "4294967296",
        "-1",
        "1e300",
        ".nan",
        ".inf",
        "true",
        "null",
        "''",
        "text",
        "[]",
        "{}",
        "[1, 2, 7, 2]",
        "[256, 1, 1, 1]",
        "&a [*a]",
        "*b",
        "!!binary aGk=",
        "0x10",
        "1_000",
    ];
    fuzz(|u| {
        let mut lines: Vec<String> = u.choose(&FILES)?.lines().map(str::to_owned).collect();
        for _ in 0..u.int_in_range(1..=6)? {
            let at = u.choose_index(lines.len())?;
            match u.int_in_range(0..=5)? {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines[at].insert(0, ' '),
                3 => lines[at] = format!("{}{}", u.choose(&["- ", "? ", "<<: ", "# ", "--- "])?, lines[at]),
                _ => {
                    if let Some(colon) = lines[at].find(':') {
                        lines[at].truncate(colon + 1);
                        lines[at].push(' ');
                        lines[at].push_str(u.choose(&values)?);
                    }
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        let mut text = lines.join("\n").into_bytes();
        if u.ratio(1, 4)? {
            damage(u, &mut text)?;
        }
        read(&String::from_utf8_lossy(&text));
        Ok(())
    });
}

/// Sizes inside and around the limits, small enough to be run.
fn config(u: &mut Unstructured) -> Result<Sam2Config> {
    let mut size = |choices: &[usize]| u.choose(choices).copied();
    let embed_dim = size(&[0, 1, 2, 4, 6, 8, 12])?;
    let stages = [
        size(&[1, 2])?,
        size(&[1, 2])?,
        size(&[1, 2, 3])?,
        size(&[0, 1, 2])?,
    ];
    let d_model = size(&[0, 8, 16, 32, 48])?;
    let out_dim = size(&[0, 1, 2, 4, 8, 12, 16, 24, 48])?;
    let window_spec = [
        size(&[2, 4, 8])?,
        size(&[2, 4, 6])?,
        size(&[0, 2, 14, 64])?,
        size(&[1, 3, 7])?,
    ];
    let trunk = match size(&[0, 1, 2])? {
        0 => TrunkConfig::RepVit(RepVitConfig {
            embed_dim: [
                size(&[8, 15, 16])?,
                size(&[16, 24])?,
                size(&[16, 20])?,
                size(&[16, 18])?,
            ],
            depth: [2, 2, 14, 2],
        }),
        1 => {
            let stage = |stride, channels| LiteStageConfig {
                kernel: 3,
                stride,
                expansion: 2,
                channels,
                blocks: 2,
            };
            let widths = [size(&[0, 1, 8])?, size(&[3, 8])?, size(&[5, 8])?, size(&[8, 9])?];
            TrunkConfig::EfficientNetLite(EfficientNetLiteConfig {
                stem: size(&[0, 1, 8])?,
                stages: widths.map(|channels| stage(2, channels)).to_vec(),
                taps: [0, 1, 2, size(&[3, 4, usize::MAX])?],
            })
        }
        _ => TrunkConfig::Hiera(HieraConfig {
            embed_dim,
            num_heads: size(&[0, 1, 2, 3])?,
            stages,
            global_att_blocks: vec![size(&[0, 1, 2, 3, 4, 5])?],
            window_spec,
            window_pos_embed_bkg_spatial_size: [size(&[1, 7])?, size(&[1, 3, 14])?],
        }),
    };
    let mut backbone_channel_list = trunk.channels();
    backbone_channel_list.reverse();
    let spatial_perceiver = match size(&[0, 1])? {
        0 => None,
        _ => Some(PerceiverConfig {
            depth: size(&[0, 1, 2])?,
            ff_mult: size(&[0, 1, 4])?,
            num_latents: size(&[0, 1, 5])?,
            num_latents_2d: size(&[0, 1, 3, 4, 16])?,
        }),
    };
    let config = Sam2Config {
        name: "random".into(),
        version: if size(&[0, 1])? == 0 {
            Version::V2_0
        } else {
            Version::V2_1
        },
        image_size: size(&[0, 32, 64, 96, 128, 160])?,
        trunk,
        neck: FpnNeckConfig {
            d_model,
            backbone_channel_list,
            fpn_top_down_levels: vec![size(&[0, 2])?, size(&[1, 3])?],
        },
        scalp: 1,
        memory_attention: MemoryAttentionConfig {
            num_layers: size(&[0, 1])?,
            dim_feedforward: size(&[0, 1, 8])?,
            rope_theta: 10_000.0,
        },
        memory_encoder: MemoryEncoderConfig {
            out_dim,
            fuser_layers: size(&[0, 1])?,
        },
        spatial_perceiver,
        num_maskmem: size(&[0, 1, 2, 7])?,
    };
    Ok(config)
}

/// Random weights.
struct Ramp;

impl TensorSource for Ramp {
    fn take(&mut self, _: &str, shape: &[usize]) -> std::result::Result<TensorData, WeightsError> {
        let values = (0..shape.iter().product::<usize>()).map(|i| ((7 * i) % 13) as f32 / 64.0 - 0.1);
        Ok(TensorData::new(values.collect::<Vec<_>>(), shape.to_vec()))
    }
}

/// Every network that is allowed can track a click from one frame to the next.
fn run(config: &Sam2Config) {
    let loaded = VideoModel::load(config, &mut Ramp, &Implementation::cpu(Products::Burn));
    let model = match (loaded, config.validate()) {
        (Ok(model), Ok(())) => Arc::new(model),
        (Err(LoadError::Config(error)), Err(refused)) => return assert_eq!(error, refused),
        (loaded, refused) => panic!("{:?}, {refused:?}", loaded.map(drop)),
    };
    let mut session =
        VideoSession::new(model, VideoOptions::default(), [30, 20], Some(2)).expect("a session");
    let rgb = [90; 3 * 30 * 20];
    let picture = || PictureRef::new(&rgb, PixelFormat::Rgb, 30, 20).expect("a picture");
    let prompt = Prompt {
        points: vec![PointPrompt {
            x: 10.0,
            y: 10.0,
            label: 1,
        }],
        ..Prompt::default()
    };
    session.set_frame(0, picture()).expect("the first frame");
    block_on(session.add_points_or_box(0, 1, &prompt, true)).expect("a mask");
    session.begin_tracking().expect("an object");
    session.set_frame(1, picture()).expect("the next frame");
    block_on(session.track(1, false)).expect("its mask");
}

#[test]
fn networks() {
    fuzz(|u| {
        let config = config(u)?;
        println!("{config:?}");
        run(&config);
        Ok(())
    });
}
