//! Packing, reading, names of transformers, detection, and all errors.

mod common;

use burn::tensor::{DType, TensorData};
use common::{MadeUp, f32_bytes, hiera, safetensors, small, values};
use sam2::checkpoint::{Naming, Packing, Remark, pack};
use sam2::config::{RepVitConfig, TrunkConfig};
use sam2::{Checkpoint, CheckpointError, ConfigError, Sam2Config, TensorSource, Version, WeightsError};
use sam2_checkpoint::{Container, Dtype, FileError};

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

/// The error of opening a file.
fn open_error(bytes: &[u8]) -> CheckpointError {
    Checkpoint::from_bytes(bytes).unwrap_err()
}

#[test]
fn packed_files_read_back() {
    for version in [Version::V2_0, Version::V2_1] {
        for (dtype, expected) in [(Packing::F16, Dtype::F16), (Packing::F32, Dtype::F32)] {
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
        Checkpoint::from_bytes(pack(&mut MadeUp, &config, false, Packing::F16).unwrap()).unwrap();
    assert!(!checkpoint.has_memory());
    checkpoint.check(&config).unwrap();
    assert!(
        !Checkpoint::from_bytes(checkpoint.pack(&config, Packing::F32).unwrap())
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
    let file = pack(&mut MadeUp, &config, true, Packing::F32).unwrap();
    let mut memory = Checkpoint::from_bytes(file)
        .unwrap()
        .into_memory(&config)
        .unwrap();
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
    let file = pack(&mut MadeUp, &config, true, Packing::F16).unwrap();
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
    let name = |n: &str| format!("image_encoder.trunk.{n}");
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
    assert_eq!(take(&mut checkpoint, "image_encoder.trunk.f16", &[3]), numbers);
    assert_eq!(take(&mut checkpoint, "image_encoder.trunk.bf16", &[3]), numbers);
    assert_eq!(checkpoint.dtypes(), [Dtype::F16, Dtype::Bf16]);
    // Values that are f16 in the file can be taken as f16.
    for (name, dtype) in [
        ("image_encoder.trunk.f16", DType::F16),
        ("image_encoder.trunk.bf16", DType::F32),
    ] {
        let data = checkpoint.take_as_kept(name, &[3]).unwrap();
        assert_eq!(data.dtype(), dtype);
        assert_eq!(data.iter::<f32>().collect::<Vec<_>>(), numbers);
    }
}

#[test]
fn matrices_of_8_bits_are_within_half_a_scale_of_the_weights() {
    let config = Sam2Config::named("tiny", Version::V2_1).unwrap();
    let file = pack(&mut MadeUp, &config, true, Packing::Q8).unwrap();
    assert!(file.len() < 41_000_000, "{} bytes", file.len());
    let header = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let formats = vec![Dtype::F16, Dtype::Q8];
    let wanted = Some((config.clone(), formats.clone()));
    assert_eq!(Checkpoint::outline(&file[..header]), wanted);

    let checkpoint = Checkpoint::from_bytes(file).unwrap();
    assert_eq!(checkpoint.dtypes(), formats);
    assert_eq!(checkpoint.check(&config), Ok(vec![]));
    assert_eq!(checkpoint.tensor_count(), config.parameters().len());
    let mut memory = Checkpoint::from_bytes(pack(&mut MadeUp, &config, true, Packing::Q8).unwrap())
        .unwrap()
        .into_memory(&config)
        .unwrap();
    let mut checkpoint = checkpoint;
    for spec in config.parameters() {
        let wanted = values(&spec.name, spec.shape.iter().product());
        let found = take(&mut checkpoint, &spec.name, &spec.shape);
        if sam2::parameters::is_memory(&spec.name) {
            assert_eq!(take(&mut memory, &spec.name, &spec.shape), found, "{}", spec.name);
        }
        let largest = found
            .iter()
            .zip(&wanted)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        // All values are within 2, and the largest of each channel is close to it; f16 holds them exactly.
        let is_matrix = [
            "image_encoder.trunk.blocks.3.attn.qkv.weight",
            "image_encoder.neck.convs.0.conv.weight",
            "memory_attention.layers.0.linear1.weight",
            "sam_mask_decoder.output_upscaling.0.weight",
        ];
        let is_small = [
            "image_encoder.trunk.patch_embed.proj.weight",
            "image_encoder.trunk.pos_embed",
            "image_encoder.trunk.pos_embed_window",
            "memory_encoder.fuser.layers.0.dwconv.weight",
            "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
            "maskmem_tpos_enc",
        ];
        assert!(largest <= 1.02 / 127.0, "{}: {largest}", spec.name);
        if is_matrix.contains(&spec.name.as_str()) {
            assert!(largest > 0.0, "{} is not in 8 bits", spec.name);
        }
        if is_small.contains(&spec.name.as_str()) || spec.shape.len() == 1 {
            assert_eq!(largest, 0.0, "{}", spec.name);
        }
    }
    let halves = checkpoint
        .take_as_kept("image_encoder.trunk.blocks.3.attn.qkv.weight", &[1152, 192])
        .map(|data| data.dtype());
    assert_eq!(halves, Ok(DType::F16));
}

/// A source whose transposed convolutions have one output channel of large values.
struct OneLargeChannel;

impl TensorSource for OneLargeChannel {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let mut values = values(name, shape.iter().product());
        if let ("sam_mask_decoder.output_upscaling.0.weight", &[_, outputs, h, w]) = (name, shape) {
            for (i, value) in values.iter_mut().enumerate() {
                if i / (h * w) % outputs == 5 {
                    *value *= 1000.0;
                }
            }
        }
        Ok(TensorData::new(values, shape.to_vec()))
    }
}

#[test]
fn the_output_channel_of_a_transposed_convolution_is_its_second_dimension() {
    let config = Sam2Config::named("tiny", Version::V2_1).unwrap();
    let file = pack(&mut OneLargeChannel, &config, false, Packing::Q8).unwrap();
    let mut checkpoint = Checkpoint::from_bytes(file).unwrap();
    let (name, shape) = ("sam_mask_decoder.output_upscaling.0.weight", [256, 64, 2, 2]);
    let wanted: Vec<f32> = OneLargeChannel
        .take(name, &shape)
        .unwrap()
        .try_into_vec()
        .unwrap();
    let found = take(&mut checkpoint, name, &shape);
    for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        let large = if i / 4 % 64 == 5 { 1000.0 } else { 1.0 };
        assert!(
            (found - wanted).abs() <= large * 1.02 / 127.0,
            "{i}: {found} for {wanted}"
        );
    }
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
        let file = pack(&mut Constant(value), &config, true, Packing::F16).unwrap();
        let mut checkpoint = Checkpoint::from_bytes(file).unwrap();
        assert_eq!(take(&mut checkpoint, "mask_downsample.bias", &[1]), [expected]);
    }
    let error = pack(&mut Constant(65520.0), &config, true, Packing::F16).unwrap_err();
    assert!(matches!(
        error,
        CheckpointError::File(FileError::Overflow {
            value: 65520.0,
            dtype: "f16",
            ..
        })
    ));
    assert!(pack(&mut Constant(65520.0), &config, true, Packing::F32).is_ok());
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

/// A file of EdgeTAM under transformers' names, where a perceiver's keys and values are tensors of their own.
#[test]
fn edgetam_s_transformers_names() {
    let mut config = Sam2Config::named("edgetam", Version::V2_0).unwrap();
    config.neck.d_model = 16;
    config.memory_encoder.out_dim = 8;
    config.memory_attention.dim_feedforward = 8;
    let table: Vec<(&str, &str)> = include_str!("edgetam-transformers-names.tsv")
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(official, rest)| (official, rest.split('\t').next().unwrap()))
        .collect();
    // The table leaves out blocks that are like others.
    let renamed = |name: &str| match name.strip_prefix("image_encoder.trunk.body.") {
        Some(rest) => vec![format!("vision_encoder.backbone.timm_model.{rest}")],
        None => {
            let named = table.iter().filter(|(official, _)| *official == name);
            named.map(|(_, other)| (*other).to_owned()).collect()
        }
    };
    let mut file: Tensors = Vec::new();
    let mut points = Vec::new();
    for (name, dtype, shape, bytes) in tensors(&config) {
        if name.starts_with("sam_prompt_encoder.point_embeddings.") {
            points.extend(bytes);
            continue;
        }
        let names = renamed(&name);
        let part = bytes.len() / names.len();
        let rows = shape.first().map_or(1, |rows| rows / names.len());
        for (i, other) in names.iter().enumerate() {
            let shape = std::iter::once(rows).chain(shape[1..].iter().copied()).collect();
            file.push((other.clone(), dtype, shape, bytes[i * part..][..part].to_vec()));
        }
        // The counter of a batch normalisation, which is not read.
        if let Some(module) = name.strip_suffix("running_mean") {
            let counter = format!(
                "{}num_batches_tracked",
                renamed(&format!("{module}running_mean"))[0]
                    .strip_suffix("running_mean")
                    .unwrap()
            );
            file.push((counter, "I64", vec![], vec![0; 8]));
        }
    }
    file.push((
        "prompt_encoder.point_embed.weight".into(),
        "F32",
        vec![4, 16],
        points,
    ));
    let mut checkpoint = Checkpoint::from_bytes(safetensors(&[("format", "pt")], &file)).unwrap();
    assert_eq!(
        (checkpoint.naming(), checkpoint.has_memory()),
        (Naming::Transformers, true)
    );
    assert_eq!(checkpoint.check(&config).unwrap(), []);
    assert_eq!(checkpoint.config().unwrap().name, "edgetam");
    for spec in config.parameters() {
        let numel = spec.shape.iter().product();
        let found = take(&mut checkpoint, &spec.name, &spec.shape);
        assert_eq!(found, values(&spec.name, numel), "{}", spec.name);
    }
    // With the values of a perceiver's keys only, its tensor is missing.
    file.retain(|(name, ..)| !name.contains("self_attention.v_proj"));
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &file)).unwrap();
    let error = checkpoint.check(&config).unwrap_err();
    assert!(error.to_string().contains("self_attn.to_kv.weight"), "{error}");
}

#[test]
fn an_edgetam_file_and_a_configuration_of_sam_2_do_not_fit() {
    let mut edgetam = Sam2Config::named("edgetam", Version::V2_0).unwrap();
    edgetam.neck.d_model = 16;
    edgetam.memory_encoder.out_dim = 8;
    let sam2 = small(Version::V2_1);
    let file = |config: &Sam2Config| Checkpoint::from_bytes(safetensors(&[], &tensors(config))).unwrap();
    let error = file(&edgetam).check(&sam2).unwrap_err().to_string();
    assert!(
        error.contains("`image_encoder.trunk.") && error.contains("of another variant"),
        "{error}"
    );
    let error = file(&sam2).check(&edgetam).unwrap_err().to_string();
    assert!(
        error.contains("`image_encoder.trunk.body.stem.") && error.contains("of another variant"),
        "{error}"
    );
    // A trunk of another width.
    let mut wider = edgetam.clone();
    wider.trunk = TrunkConfig::RepVit(RepVitConfig {
        embed_dim: [64, 128, 256, 512],
        depth: [2, 2, 14, 2],
    });
    wider.neck.backbone_channel_list = [512, 256, 128, 64];
    let error = file(&wider).check(&edgetam).unwrap_err().to_string();
    assert!(
        error.contains("has shape [32, 3, 3, 3], expected [24, 3, 3, 3]"),
        "{error}"
    );
    // Half a file.
    let half: Tensors = tensors(&edgetam)
        .into_iter()
        .filter(|(name, ..)| !name.contains("stages_3"))
        .collect();
    let error = Checkpoint::from_bytes(safetensors(&[], &half))
        .unwrap()
        .check(&edgetam)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no tensor `image_encoder.trunk.body.stages_3."),
        "{error}"
    );
}

#[test]
fn transformers_names() {
    let mut config = small(Version::V2_1);
    // tiny's stages, so that every name is in the table.
    hiera(&mut config).stages = [1, 2, 7, 2];
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
            // Detection only needs the names, and the shape of the position table.
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
    assert!(matches!(error, CheckpointError::UnknownVariant { .. }), "{error}");
    // The message is used in the browser and on the command line. Each adds how to give the configuration.
    assert!(!error.to_string().contains("--config"), "{error}");
    assert_eq!(error.code(), "WEIGHTS_UNSUPPORTED");
}

#[test]
fn a_wrong_variant_is_named_by_its_first_tensor() {
    let config = small(Version::V2_1);
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &tensors(&config))).unwrap();

    let mut wider = config.clone();
    hiera(&mut wider).embed_dim = 8;
    wider.neck.backbone_channel_list = [64, 32, 16, 8];
    assert!(matches!(
        checkpoint.check(&wider).unwrap_err(),
        CheckpointError::Mismatch(WeightsError::Shape { name, expected, found })
            if name == "image_encoder.trunk.pos_embed" && expected == [1, 8, 7, 7] && found == [1, 4, 7, 7]
    ));
    let mut longer = config.clone();
    hiera(&mut longer).stages[3] = 2;
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
fn other_models_are_told_from_this_one() {
    let open = |name: &str| open_error(&safetensors(&[], &[(name.into(), "F32", vec![1], vec![0; 4])]));
    let error = open("text_model.weight");
    assert!(
        matches!(&error, CheckpointError::UnknownNames { found } if found.contains("text_model.weight")),
        "{error}"
    );
    assert_eq!(error.code(), "WEIGHTS_UNSUPPORTED");
    let error = open("image_encoder.patch_embed.proj.weight");
    assert!(error.to_string().contains("the first SAM"), "{error}");
    let error = open_error(&safetensors(&[], &[]));
    assert!(error.to_string().contains("no tensor"), "{error}");
}

#[test]
fn metadata_that_cannot_be_run() {
    let weight = [("image_encoder.trunk.a".to_owned(), "F32", vec![1], vec![0; 4])];
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
        &pack(&mut MadeUp, &small(Version::V2_1), true, Packing::F16).unwrap(),
        300,
    );
}

/// All tensors of `config` behind a prefix.
fn prefixed(prefix: &str, config: &Sam2Config) -> Tensors {
    let all = tensors(config).into_iter();
    all.map(|(name, dtype, shape, bytes)| (format!("{prefix}{name}"), dtype, shape, bytes))
        .collect()
}

#[test]
fn what_training_tools_put_before_the_names() {
    let config = small(Version::V2_1);
    for prefix in [
        "module.",
        "_orig_mod.",
        "_orig_mod.module.",
        "module._orig_mod.",
        "model.",
        "sam2_model.",
        "base_model.model.",
        "net.sam2.inner.",
    ] {
        let file = safetensors(&[], &prefixed(prefix, &config));
        let mut checkpoint = Checkpoint::from_bytes(file).unwrap();
        assert_eq!(checkpoint.naming(), Naming::Official, "{prefix}");
        assert_eq!(checkpoint.check(&config).unwrap(), [], "{prefix}");
        for spec in config.parameters() {
            let wanted = values(&spec.name, spec.shape.iter().product());
            assert_eq!(take(&mut checkpoint, &spec.name, &spec.shape), wanted);
        }
    }
    // Wrapped modules inside the network.
    let mut wrapped = tensors(&config);
    for (name, ..) in &mut wrapped {
        *name = name.replace("trunk.", "_orig_mod.trunk._checkpoint_wrapped_module.");
    }
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &wrapped)).unwrap();
    assert_eq!(checkpoint.check(&config).unwrap(), []);
}

#[test]
fn an_average_is_taken_only_where_there_is_nothing_else() {
    let config = small(Version::V2_1);
    let mut both = prefixed("ema.module.", &config);
    both.extend(prefixed("model.", &config));
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &both)).unwrap();
    let remarks = checkpoint.check(&config).unwrap();
    let wanted = Remark::Chosen {
        chosen: "`model`".into(),
        others: vec!["`ema.module`".into()],
    };
    assert_eq!(remarks, [wanted]);
    assert_eq!(
        remarks[0].to_string(),
        "the file contains the network more than once: `model` was chosen, and not `ema.module`"
    );
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &prefixed("ema.", &config))).unwrap();
    assert_eq!(checkpoint.check(&config).unwrap(), []);

    // Beside the network itself, which has no prefix.
    let mut both = tensors(&config);
    both.extend(prefixed("ema.", &config));
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &both)).unwrap();
    assert_eq!(checkpoint.tensor_count(), config.parameters().len());
    let remarks = checkpoint.check(&config).unwrap();
    assert_eq!(
        remarks[0].to_string(),
        "the file contains the network more than once: the one without a prefix was chosen, and not `ema`"
    );
    assert_eq!(remarks.len(), 1);
}

#[test]
fn tensors_of_an_own_head_are_passed_over_and_named() {
    let config = small(Version::V2_1);
    let own = |names: &[&str]| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), "I64", vec![1], vec![0; 8]))
            .collect::<Tensors>()
    };
    for (prefix, names, wanted) in [
        (
            "",
            vec!["my_classifier.weight", "image_encoder.trunk.num_batches_tracked"],
            "tensors that do not belong to SAM 2 were ignored: image_encoder.trunk.num_batches_tracked, my_classifier.weight",
        ),
        (
            "model.",
            vec!["head.weight"],
            "a tensor that does not belong to SAM 2 was ignored: head.weight",
        ),
    ] {
        let mut all = prefixed(prefix, &config);
        all.extend(own(&names));
        let mut checkpoint = Checkpoint::from_bytes(safetensors(&[], &all)).unwrap();
        let remarks = checkpoint.check(&config).unwrap();
        assert_eq!(remarks.len(), 1);
        assert_eq!(remarks[0].to_string(), wanted);
        // A packed file no longer has them.
        let packed = checkpoint.pack(&config, Packing::F32).unwrap();
        let packed = Checkpoint::from_bytes(packed).unwrap();
        assert_eq!(packed.tensor_count(), config.parameters().len());
    }
    // With a surplus tensor of SAM 2, the file is another network.
    let mut all = tensors(&config);
    all.extend(own(&["memory_attention.layers.1.norm1.weight"]));
    let error = Checkpoint::from_bytes(safetensors(&[], &all))
        .unwrap()
        .check(&config)
        .unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Surplus { name, .. } if name == "memory_attention.layers.1.norm1.weight"),
        "{error}"
    );
    let many: Vec<String> = (0..25).map(|i| format!("head.{i}")).collect();
    let text = Remark::Ignored { names: many }.to_string();
    assert!(text.ends_with("head.19 and 5 more"), "{text}");
}

#[test]
fn a_part_of_the_network_is_called_a_part() {
    let config = small(Version::V2_1);
    let mut decoder = tensors(&config);
    decoder.retain(|(name, ..)| name.starts_with("sam_mask_decoder."));
    let checkpoint = Checkpoint::from_bytes(safetensors(&[], &decoder)).unwrap();
    for error in [
        checkpoint.check(&config).unwrap_err(),
        checkpoint.config().unwrap_err(),
    ] {
        assert!(
            matches!(&error, CheckpointError::Incomplete { missing, found }
                if missing == "`image_encoder`, `sam_prompt_encoder`" && found == "`sam_mask_decoder`"),
            "{error}"
        );
        assert_eq!(error.code(), "WEIGHTS_MISMATCH");
    }
}

#[test]
fn a_needed_tensor_of_whole_numbers_is_an_error() {
    let config = small(Version::V2_1);
    let mut all = tensors(&config);
    let (_, dtype, shape, bytes) = all.iter_mut().find(|(name, ..)| name == "no_mem_embed").unwrap();
    (*dtype, *bytes) = ("I64", vec![0; 8 * shape.iter().product::<usize>()]);
    let error = Checkpoint::from_bytes(safetensors(&[], &all))
        .unwrap()
        .check(&config)
        .unwrap_err();
    assert!(
        matches!(&error, CheckpointError::File(FileError::Dtype { name, dtype }) if name == "no_mem_embed" && dtype == "int64"),
        "{error}"
    );
}

#[test]
fn doubles_are_read() {
    let config = small(Version::V2_1);
    let doubles: Tensors = config
        .parameters()
        .into_iter()
        .map(|spec| {
            let values = values(&spec.name, spec.shape.iter().product());
            let bytes = values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect();
            (spec.name, "F64", spec.shape, bytes)
        })
        .collect();
    let mut checkpoint = Checkpoint::from_bytes(safetensors(&[], &doubles)).unwrap();
    checkpoint.check(&config).unwrap();
    assert_eq!(checkpoint.dtypes(), [Dtype::F64]);
    let wanted = values("no_mem_embed", config.neck.d_model);
    assert_eq!(
        take(&mut checkpoint, "no_mem_embed", &[1, 1, config.neck.d_model]),
        wanted
    );
}

#[test]
fn a_checkpoint_in_several_files() {
    let config = small(Version::V2_1);
    let all = tensors(&config);
    let (first, second) = all.split_at(all.len() / 2);
    let parts = [safetensors(&[], first), safetensors(&[], second)];
    let mut checkpoint = Checkpoint::from_parts(parts.clone()).unwrap();
    checkpoint.check(&config).unwrap();
    let mut memory = Checkpoint::from_parts(parts.clone())
        .unwrap()
        .into_memory(&config)
        .unwrap();
    for spec in config.parameters() {
        let wanted = values(&spec.name, spec.shape.iter().product());
        assert_eq!(take(&mut checkpoint, &spec.name, &spec.shape), wanted);
        if sam2::parameters::is_memory(&spec.name) {
            assert_eq!(take(&mut memory, &spec.name, &spec.shape), wanted);
        }
    }
    let [first, _] = parts;
    let error = Checkpoint::from_parts([first.clone(), first]).unwrap_err();
    assert!(error.to_string().contains("two of the files"), "{error}");
    assert!(Checkpoint::from_parts([]).is_err());
}
