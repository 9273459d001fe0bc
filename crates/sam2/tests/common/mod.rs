//! A small model with made-up weights.
#![allow(dead_code, reason = "each test file uses its part")]

use burn::tensor::TensorData;
use sam2::config::{FpnNeckConfig, HieraConfig, TrunkConfig};
use sam2::{Sam2Config, TensorSource, Version, WeightsError};

/// The configuration of a model's Hiera.
pub fn hiera(config: &mut Sam2Config) -> &mut HieraConfig {
    config.trunk.as_hiera_mut().expect("Hiera")
}

/// The smallest model that the official classes can build.
pub fn small(version: Version) -> Sam2Config {
    let mut config = Sam2Config::named("tiny", version).unwrap();
    config.name = "custom".into();
    config.image_size = 256;
    config.trunk = TrunkConfig::Hiera(HieraConfig {
        embed_dim: 4,
        stages: [1, 1, 1, 1],
        global_att_blocks: vec![],
        ..hiera(&mut config).clone()
    });
    config.neck = FpnNeckConfig {
        d_model: 16,
        backbone_channel_list: [32, 16, 8, 4],
        ..config.neck
    };
    config.memory_attention.num_layers = 1;
    config.memory_attention.dim_feedforward = 8;
    config.memory_encoder.out_dim = 8;
    config.memory_encoder.fuser_layers = 1;
    config
}

/// Values that depend only on a tensor's name, and that f16 can represent exactly.
pub fn values(name: &str, numel: usize) -> Vec<f32> {
    let seed = name
        .bytes()
        .fold(7usize, |seed, byte| (seed * 31 + usize::from(byte)) % 1009);
    (0..numel)
        .map(|i| ((seed + 17 * i) % 257) as f32 / 64.0 - 2.0)
        .collect()
}

/// A source with [`values`] for any name.
pub struct MadeUp;

impl TensorSource for MadeUp {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        Ok(TensorData::new(
            values(name, shape.iter().product()),
            shape.to_vec(),
        ))
    }
}

/// A safetensors file: (name, dtype, shape, bytes).
pub fn safetensors(metadata: &[(&str, &str)], tensors: &[(String, &str, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        header.insert(
            "__metadata__".into(),
            serde_json::json!(
                metadata
                    .iter()
                    .copied()
                    .collect::<std::collections::BTreeMap<_, _>>()
            ),
        );
    }
    let mut data: Vec<u8> = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            name.clone(),
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
        );
        data.extend(bytes);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}

/// Little-endian bytes of f32 values.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Opens the file cut short and with bytes changed, `rounds` times each. The result may be anything but a panic.
pub fn damage(file: &[u8], rounds: usize) {
    fuzz::damaged(file, rounds, |bytes| {
        if let Ok(mut checkpoint) = sam2::Checkpoint::from_bytes(bytes) {
            let _ = checkpoint.config();
            let config = small(Version::V2_1);
            let _ = checkpoint.check(&config);
            let _ = checkpoint.version();
            for spec in config.parameters() {
                let _ = checkpoint.take(&spec.name, &spec.shape);
            }
        }
    });
}
