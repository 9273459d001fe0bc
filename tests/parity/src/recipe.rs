//! Weights that nobody trained: each parameter is a pure function of its name and a seed, so that a fixture
//! needs no checkpoint beside it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::TensorData;
use half::f16;
use safetensors::tensor::{Dtype, TensorView};
use sam2::{TensorSource, WeightsError};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// `weights.json`: what every parameter is made from.
#[derive(Debug, Deserialize)]
pub struct Recipe {
    seed: u64,
    weights: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    offset: f64,
    amp: f64,
    /// Whose random stream it shares; its own where absent.
    stream: Option<String>,
}

impl Recipe {
    /// Reads `weights.json`.
    ///
    /// # Panics
    /// If the file is missing or not a recipe.
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Official names, in the official order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.iter().map(|entry| entry.name.as_str())
    }

    /// A parameter's values, row-major: every one of them is also a half-precision number.
    ///
    /// # Panics
    /// If the recipe has no such parameter.
    pub fn values(&self, name: &str) -> Vec<f32> {
        self.values_of(
            self.entry(name)
                .unwrap_or_else(|| panic!("no parameter `{name}`")),
        )
    }

    /// SHA-256 over all parameters in the order of their names: the name, then the values, little-endian.
    pub fn sha256(&self) -> String {
        let entries: BTreeMap<_, _> = self.weights.iter().map(|entry| (&entry.name, entry)).collect();
        let mut hash = Sha256::new();
        for (name, entry) in entries {
            hash.update(name);
            for value in self.values_of(entry) {
                hash.update(value.to_le_bytes());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A checkpoint file with these weights and the official names; `F16` loses nothing.
    ///
    /// # Panics
    /// If `dtype` is neither `F32` nor `F16`.
    pub fn to_safetensors(&self, dtype: Dtype, metadata: HashMap<String, String>) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = self
            .weights
            .iter()
            .map(|entry| {
                let values = self.values_of(entry);
                match dtype {
                    Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                    Dtype::F16 => values
                        .iter()
                        .flat_map(|&v| f16::from_f32(v).to_le_bytes())
                        .collect(),
                    other => panic!("{other:?} is not written here"),
                }
            })
            .collect();
        let tensors = self.weights.iter().zip(&bytes).map(|(entry, bytes)| {
            let view =
                TensorView::new(dtype, entry.shape.clone(), bytes).expect("as many values as the shape");
            (&entry.name, view)
        });
        safetensors::serialize(tensors, Some(metadata)).expect("sound tensors")
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.weights.iter().find(|entry| entry.name == name)
    }

    fn values_of(&self, entry: &Entry) -> Vec<f32> {
        let stream = entry.stream.as_ref().unwrap_or(&entry.name);
        let count = entry.shape.iter().product();
        uniform(stream, self.seed)
            .take(count)
            .map(|v| f16::from_f32((entry.offset + entry.amp * v) as f32).to_f32())
            .collect()
    }
}

/// Rebuilds each tensor as it is asked for.
impl TensorSource for &Recipe {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let entry = self.entry(name).ok_or_else(|| WeightsError::Missing {
            name: name.into(),
            shape: shape.into(),
        })?;
        if entry.shape != shape {
            return Err(WeightsError::Shape {
                name: name.into(),
                expected: shape.into(),
                found: entry.shape.clone(),
            });
        }
        Ok(TensorData::new(self.values_of(entry), shape.to_vec()))
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The SplitMix64 stream of a name, as numbers in [-1, 1).
pub fn uniform(name: &str, seed: u64) -> impl Iterator<Item = f64> {
    let mut state = fnv1a64(name) ^ seed.wrapping_mul(GOLDEN);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(GOLDEN);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    })
}

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a64() {
        assert_eq!(fnv1a64("no_mem_embed"), 0xE5ED_C8D3_3CA9_CF6A);
    }
}
