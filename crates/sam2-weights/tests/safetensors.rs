//! Packing, reading back, transformers names, detection, and every error on the way.

mod common;

use burn::tensor::{DType, TensorData};
use common::{MadeUp, f32_bytes, safetensors, small, values};
use sam2::{ConfigError, Sam2Config, TensorSource, Version, WeightsError};
use sam2_weights::{Checkpoint, CheckpointError, Container, Dtype, Naming, PackedDtype, pack};

type Tensors = Vec<(String, &'static str, Vec<usize>, Vec<u8>)>;

/// All tensors of `config` in f32, official names.
fn tensors(config: &Sam2Config) -> Tensors {
    config
        .parameters()
        .into_iter()
        .map(|spec| {
            let bytes = f32_bytes(&values(&spec.name, spec.shape.iter().product()));
            (spec.name, "F32", spec.shape, bytes)
        })
        .collect()
}

fn take(checkpoint: &mut Checkpoint, name: &str, shape: &[usize]) -> Vec<f32> {
    checkpoint.take(name, shape).unwrap().try_into_vec().unwrap()
}

fn open_error(bytes: &[u8]) -> CheckpointError {
    Checkpoint::from_bytes(bytes).unwrap_err()
}

#[test]
fn packed_files_read_back() {
    for version in [Version::V2_0, Version::V2_1] {
        for (dtype, expected) in [(PackedDtype::F16, Dtype::F16), (PackedDtype::F32, Dtype::F32)] {
            let mut config = small(version);
            config.name = "micro".into();
            let file = pack(&mut MadeUp, &config, true, dtype).unwrap();
            // The reference implementation accepts it too.
            assert_eq!(
                safetensors::SafeTensors::deserialize(&file).unwrap().len(),
                config.parameters().len()
            );

            let mut checkpoint = Checkpoint::from_bytes(file).unwrap();
            assert_eq!(checkpoint.config().unwrap(), config);
            assert_eq!(
                (checkpoint.container(), checkpoint.naming()),
                (Container::Safetensors, Naming::Official)
            );
            assert_eq!(checkpoint.dtypes(), [expected]);
            assert_eq!(checkpoint.metadata()["format"], "sam2-web");
            assert_eq!(checkpoint.metadata()["version"], version.to_string());
            assert!(checkpoint.has_memory());
            checkpoint.check(&config).unwrap();
            for spec in config.parameters() {
                let numel = spec.shape.iter().product();
                assert_eq!(
                    take(&mut checkpoint, &spec.name, &spec.shape),
                    values(&spec.name, numel)
                );
            }
        }
    }
}

#[test]
fn the_memory_part_may_be_absent_as_a_whole_only() {
    let config = small(Version::V2_1);
    let mut checkpoint =
        Checkpoint::from_bytes(pack(&mut MadeUp, &config, false, PackedDtype::F16).unwrap()).unwrap();
    assert!(!checkpoint.has_memory());
    checkpoint.check(&config).unwrap();
    assert!(
        !Checkpoint::from_bytes(checkpoint.pack(&config, PackedDtype::F32).unwrap())
            .unwrap()
            .has_memory()
    );

    let mut some = tensors(&config);
    some.retain(|(name, ..)| name != "memory_attention.norm.weight");
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &some)).unwrap();
    let error = checkpoint.check(&config).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Mismatch(WeightsError::Missing { name, .. }) if name == "memory_attention.norm.weight")
    );
    assert_eq!(error.code(), "WEIGHTS_MISMATCH");
}

#[test]
fn the_memory_part_can_be_kept_alone() {
    let config = small(Version::V2_1);
    let file = pack(&mut MadeUp, &config, true, PackedDtype::F32).unwrap();
    let mut memory = Checkpoint::from_bytes(file).unwrap().into_memory();
    for spec in config.parameters() {
        let numel = spec.shape.iter().product();
        match memory.take(&spec.name, &spec.shape) {
            Ok(kept) if sam2::parameters::is_memory(&spec.name) => {
                assert_eq!(kept.try_into_vec::<f32>().unwrap(), values(&spec.name, numel));
            }
            Err(WeightsError::Missing { .. }) if !sam2::parameters::is_memory(&spec.name) => {}
            other => panic!("{}: {other:?}", spec.name),
        }
    }
}

#[test]
fn a_file_s_beginning_tells_the_configuration_and_the_format() {
    let mut config = small(Version::V2_0);
    config.name = "micro".into();
    let file = pack(&mut MadeUp, &config, true, PackedDtype::F16).unwrap();
    let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    for length in [header, header + 100, file.len()] {
        let wanted = Some((config.clone(), vec![Dtype::F16]));
        assert_eq!(Checkpoint::outline(&file[..length]), wanted);
    }
    for length in [0, 7, 8, header - 1] {
        assert_eq!(Checkpoint::outline(&file[..length]), None);
    }

    // Without metadata, by the tensors' sizes: an official file.
    let tiny = Sam2Config::named("tiny", Version::V2_1).unwrap();
    let mut end = 0;
    let tensors = tiny.parameters().into_iter().map(|spec| {
        let start = end;
        end += 4 * spec.shape.iter().product::<usize>();
        (
            spec.name,
            serde_json::json!({ "dtype": "F32", "shape": spec.shape, "data_offsets": [start, end] }),
        )
    });
    let header = serde_json::Value::Object(tensors.collect()).to_string();
    let beginning = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    assert_eq!(Checkpoint::outline(beginning), Some((tiny, vec![Dtype::F32])));
    assert_eq!(Checkpoint::outline(b"PK\x03\x04 and so on"), None);
}

#[test]
fn half_precision_formats() {
    let name = |n: &str| format!("image_encoder.{n}");
    let numbers = [1.5f32, -2.25, 0.0078125];
    let f16: Vec<u8> = numbers
        .iter()
        .flat_map(|v| half::f16::from_f32(*v).to_le_bytes())
        .collect();
    let bf16: Vec<u8> = numbers
        .iter()
        .flat_map(|v| half::bf16::from_f32(*v).to_le_bytes())
        .collect();
    let file = safetensors(
        &[],
        &[
            (name("f16"), "F16", vec![3], f16),
            (name("bf16"), "BF16", vec![3], bf16),
        ],
    );
    let mut checkpoint = Checkpoint::from_bytes(file).unwrap();
    assert_eq!(take(&mut checkpoint, "image_encoder.f16", &[3]), numbers);
    assert_eq!(take(&mut checkpoint, "image_encoder.bf16", &[3]), numbers);
    assert_eq!(checkpoint.dtypes(), [Dtype::F16, Dtype::Bf16]);
    // For a device that computes with f16, those alone stay as they are.
    for (name, dtype) in [
        ("image_encoder.f16", DType::F16),
        ("image_encoder.bf16", DType::F32),
    ] {
        let data = checkpoint.take_as_kept(name, &[3]).unwrap();
        assert_eq!(data.dtype(), dtype);
        assert_eq!(data.iter::<f32>().collect::<Vec<_>>(), numbers);
    }

    let error = open_error(&safetensors(&[], &[(name("f64"), "F64", vec![1], vec![0; 8])]));
    assert!(
        matches!(&error, CheckpointError::Dtype { name, dtype } if name == "image_encoder.f64" && dtype == "f64")
    );
    assert_eq!(error.code(), "WEIGHTS_UNSUPPORTED");
}

/// One value everywhere.
struct Constant(f32);

impl TensorSource for Constant {
    fn take(&mut self, _: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        Ok(TensorData::new(
            vec![self.0; shape.iter().product()],
            shape.to_vec(),
        ))
    }
}

#[test]
fn rounding_to_f16() {
    let config = small(Version::V2_1);
    for (value, expected) in [
        (2049.0, 2048.0), // half way: to even
        (2051.0, 2052.0),
        (1.0e-10, 0.0),
        (65519.0, 65504.0),
        (f32::NEG_INFINITY, f32::NEG_INFINITY),
    ] {
        let file = pack(&mut Constant(value), &config, true, PackedDtype::F16).unwrap();
        let mut checkpoint = Checkpoint::from_bytes(file).unwrap();
        assert_eq!(take(&mut checkpoint, "mask_downsample.bias", &[1]), [expected]);
    }
    let error = pack(&mut Constant(65520.0), &config, true, PackedDtype::F16).unwrap_err();
    assert!(matches!(error, CheckpointError::Overflow { value: 65520.0, .. }));
    assert!(pack(&mut Constant(65520.0), &config, true, PackedDtype::F32).is_ok());
}

/// The table of names, as `(official, transformers)`.
fn table() -> Vec<(&'static str, &'static str)> {
    include_str!("transformers-names.tsv")
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(official, rest)| (official, rest.split(['\t', '[']).next().unwrap()))
        .collect()
}

/// The small model as transformers would write it, `image_only` or whole.
fn as_transformers(config: &Sam2Config, doubled: bool, image_only: bool) -> Vec<u8> {
    let table = table();
    let mut renamed: Tensors = Vec::new();
    for (name, dtype, shape, bytes) in tensors(config) {
        if image_only && sam2::parameters::is_memory(&name) {
            continue;
        }
        if let Some(label) = name.strip_prefix("sam_prompt_encoder.point_embeddings.") {
            match renamed
                .iter_mut()
                .find(|(name, ..)| name == "prompt_encoder.point_embed.weight")
            {
                Some((.., all)) => all.extend(bytes),
                None => {
                    assert_eq!(label, "0.weight");
                    renamed.push((
                        "prompt_encoder.point_embed.weight".into(),
                        dtype,
                        vec![4, shape[1]],
                        bytes,
                    ));
                }
            }
            continue;
        }
        let other = table
            .iter()
            .find(|(official, _)| *official == name)
            .unwrap()
            .1
            .to_owned();
        if other.ends_with("shared_embedding.positional_embedding") {
            if doubled {
                renamed.push((other, dtype, shape.clone(), bytes.clone()));
            }
            renamed.push((
                "shared_image_embedding.positional_embedding".into(),
                dtype,
                shape,
                bytes,
            ));
            continue;
        }
        renamed.push((other, dtype, shape, bytes));
    }
    safetensors(&[("format", "pt")], &renamed)
}

#[test]
fn transformers_names() {
    let mut config = small(Version::V2_1);
    // tiny's stages, so that every name is in the table.
    config.trunk.stages = [1, 2, 7, 2];
    for (doubled, image_only) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut checkpoint = Checkpoint::from_bytes(as_transformers(&config, doubled, image_only)).unwrap();
        assert_eq!(
            (checkpoint.naming(), checkpoint.has_memory()),
            (Naming::Transformers, !image_only)
        );
        checkpoint.check(&config).unwrap();
        for spec in config
            .parameters()
            .iter()
            .filter(|spec| !(image_only && sam2::parameters::is_memory(&spec.name)))
        {
            let numel = spec.shape.iter().product();
            assert_eq!(
                take(&mut checkpoint, &spec.name, &spec.shape),
                values(&spec.name, numel),
                "{}",
                spec.name
            );
        }
    }
}

#[test]
fn the_official_variants_are_recognised() {
    for version in [Version::V2_0, Version::V2_1] {
        for name in sam2::config::VARIANTS {
            let expected = Sam2Config::named(name, version).unwrap();
            // Empty tensors of the right names would do, but for the position table.
            let tensors: Tensors = expected
                .parameters()
                .into_iter()
                .map(|spec| match spec.name.ends_with("trunk.pos_embed") {
                    true => (
                        spec.name,
                        "F16",
                        spec.shape.clone(),
                        vec![0; 2 * spec.shape.iter().product::<usize>()],
                    ),
                    false => (spec.name, "F16", vec![0], vec![]),
                })
                .collect();
            assert_eq!(
                Checkpoint::from_bytes(safetensors(&[], &tensors))
                    .unwrap()
                    .config()
                    .unwrap(),
                expected
            );
        }
    }
    let error = Checkpoint::from_bytes(safetensors(&[], &tensors(&small(Version::V2_1))))
        .unwrap()
        .config()
        .unwrap_err();
    assert!(error.to_string().contains("--config"), "{error}");
    assert_eq!(error.code(), "WEIGHTS_UNSUPPORTED");
}

#[test]
fn a_wrong_variant_is_named_by_its_first_tensor() {
    let config = small(Version::V2_1);
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &tensors(&config))).unwrap();

    let mut wider = config.clone();
    wider.trunk.embed_dim = 8;
    assert!(matches!(
        checkpoint.check(&wider).unwrap_err(),
        CheckpointError::Mismatch(WeightsError::Shape { name, expected, found })
            if name == "image_encoder.trunk.pos_embed" && expected == [1, 8, 7, 7] && found == [1, 4, 7, 7]
    ));
    let mut longer = config.clone();
    longer.trunk.stages[3] = 2;
    assert!(matches!(
        checkpoint.check(&longer).unwrap_err(),
        CheckpointError::Mismatch(WeightsError::Missing { name, .. }) if name == "image_encoder.trunk.blocks.4.norm1.weight"
    ));
    let older = Sam2Config {
        version: Version::V2_0,
        ..config.clone()
    };
    let error = checkpoint.check(&older).unwrap_err();
    assert!(matches!(&error, CheckpointError::Surplus { name, .. } if name == "no_obj_embed_spatial"));
    assert_eq!(error.code(), "WEIGHTS_MISMATCH");

    let mut checkpoint = checkpoint;
    assert!(matches!(
        checkpoint.take("no_such", &[1]),
        Err(WeightsError::Missing { .. })
    ));
    assert!(matches!(
        checkpoint.take("mask_downsample.bias", &[2]),
        Err(WeightsError::Shape { .. })
    ));
}

#[test]
fn damaged_files() {
    let file = safetensors(&[], &tensors(&small(Version::V2_1)));
    let half = open_error(&file[..file.len() / 2]);
    assert!(matches!(half, CheckpointError::Truncated { .. }), "{half}");
    assert_eq!(half.code(), "WEIGHTS_CORRUPT");
    let mut longer = file.clone();
    longer.push(0);
    for bytes in [&file[..100], &file[..8], &longer, b""] {
        assert!(matches!(
            open_error(bytes).code(),
            "WEIGHTS_CORRUPT" | "WEIGHTS_UNSUPPORTED"
        ));
    }
    // Shape and bytes disagree.
    let bytes = safetensors(&[], &[("image_encoder.a".into(), "F32", vec![3], vec![0; 8])]);
    assert!(matches!(open_error(&bytes), CheckpointError::Corrupt { .. }));
    let bytes = safetensors(
        &[],
        &[("image_encoder.a".into(), "F32", vec![usize::MAX, 8], vec![0; 8])],
    );
    assert!(matches!(open_error(&bytes), CheckpointError::Corrupt { .. }));
}

#[test]
fn other_files_are_called_by_name() {
    for (bytes, word) in [
        (b"<!DOCTYPE html><html>".as_slice(), "HTML"),
        (b"\n  <html lang=en>", "HTML"),
        (b"\x1f\x8b\x08\x00 something", "gzip"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "Git LFS",
        ),
        (b"{\"error\": \"not found\"}", "JSON"),
        (b"\x89PNG\r\n\x1a\n more bytes", "unknown kind"),
        (b"PK\x03\x04", "cut short"),
    ] {
        let error = open_error(bytes);
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = open_error(&safetensors(
        &[],
        &[("text_model.weight".into(), "F32", vec![1], vec![0; 4])],
    ));
    assert!(matches!(error, CheckpointError::UnknownNames { example } if example == "text_model.weight"));
    assert!(matches!(
        open_error(&safetensors(&[], &[])),
        CheckpointError::UnknownNames { .. }
    ));
}

#[test]
fn metadata_that_cannot_be_run() {
    let weight = [("image_encoder.a".to_owned(), "F32", vec![1], vec![0; 4])];
    let open = |config: &str| {
        Checkpoint::from_bytes(safetensors(&[("config", config)], &weight))
            .unwrap()
            .config()
            .unwrap_err()
    };
    assert_eq!(open("{").code(), "WEIGHTS_CORRUPT");
    let mut tree = small(Version::V2_1).to_official();
    tree["pred_obj_scores"] = false.into();
    assert!(
        matches!(open(&tree.to_string()), CheckpointError::Config(ConfigError::Value { key, .. }) if key == "pred_obj_scores")
    );
}

#[test]
fn arbitrary_damage_never_panics() {
    common::damage(
        &pack(&mut MadeUp, &small(Version::V2_1), true, PackedDtype::F16).unwrap(),
        300,
    );
}
