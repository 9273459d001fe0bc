//! The results of the official code in `fixture.safetensors` and `events.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde::Deserialize;
use serde_json::Value;

use crate::cases::PredictCase;
use crate::events::Event;
use crate::recipe::Recipe;

/// A fixture in memory.
#[derive(Debug)]
pub struct Fixture {
    dir: PathBuf,
    tensors: HashMap<String, Stored>,
    /// The contents of `events.json`.
    pub events: Value,
    info: HashMap<String, Info>,
}

/// The description of a tensor in `events.json`.
#[derive(Debug, Deserialize)]
struct Info {
    shape: Vec<usize>,
    /// The distance between stored values.
    stride: Option<usize>,
    min: Option<f64>,
    max: Option<f64>,
    /// The shape of the masks whose packed bits the tensor contains.
    bits_shape: Option<Vec<usize>>,
}

#[derive(Debug)]
enum Stored {
    F32(Vec<f32>),
    I32(Vec<i32>),
    U8(Vec<u8>),
}

/// The difference between values and the expected ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The largest absolute difference of the compared values.
    pub max: f64,
    /// The largest absolute expected value.
    pub scale: f64,
}

impl Difference {
    /// Compares `ours` with `theirs`, value by value.
    ///
    /// # Panics
    /// If the numbers of values differ, or one of `ours` is NaN.
    pub fn between(name: &str, ours: &[f32], theirs: &[f32]) -> Self {
        assert_eq!(ours.len(), theirs.len(), "values of `{name}`");
        let pairs = ours.iter().zip(theirs);
        let max = pairs.fold(0.0, |max: f64, (a, b)| {
            assert!(a.is_finite(), "`{name}` holds {a}");
            max.max((f64::from(*a) - f64::from(*b)).abs())
        });
        let scale = theirs
            .iter()
            .fold(0.0, |scale: f64, b| scale.max(f64::from(b.abs())));
        Self { max, scale }
    }

    /// The largest difference, as a fraction of the tensor's scale.
    pub fn relative(self) -> f64 {
        self.max / self.scale
    }
}

impl Fixture {
    /// Reads a fixture of the repository.
    ///
    /// # Panics
    /// If it is missing or incomplete.
    pub fn committed(name: &str) -> Self {
        Self::read(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name),
            "fixture",
        )
    }

    /// Reads EdgeTAM's fixture at full size from the folder that `SAM2_EDGETAM_FIXTURE` names. It is not committed. `None`,
    /// and a message, if the variable is not set.
    ///
    /// # Panics
    /// If the folder has none.
    pub fn of_edgetam_at_full_size() -> Option<Self> {
        match std::env::var_os("SAM2_EDGETAM_FIXTURE") {
            Some(folder) => Some(Self::read(Path::new(&folder), "fixture")),
            None => {
                println!("skipped: SAM2_EDGETAM_FIXTURE does not name a fixture of EdgeTAM");
                None
            }
        }
    }

    /// Reads `events.json` and `{tensors}.safetensors` of a folder.
    ///
    /// # Panics
    /// If they are missing or incomplete.
    pub fn read(dir: &Path, tensors: &str) -> Self {
        let events = std::fs::read_to_string(dir.join("events.json")).expect("the fixture's events.json");
        let events: Value = serde_json::from_str(&events).expect("events.json is JSON");
        let info = serde_json::from_value(events["tensors"].clone()).expect("events.json lists the tensors");
        let bytes = std::fs::read(dir.join(format!("{tensors}.safetensors"))).expect("the fixture's tensors");
        let file = SafeTensors::deserialize(&bytes).expect("the fixture is safetensors");
        let tensors = file
            .iter()
            .map(|(name, view)| (name.to_string(), Stored::from_view(view.dtype(), view.data())))
            .collect();
        Self {
            dir: dir.to_path_buf(),
            tensors,
            events,
            info,
        }
    }

    /// The weights of the fixture, checked against the hash in `events.json`.
    ///
    /// # Panics
    /// If the hashes differ.
    pub fn recipe(&self) -> Recipe {
        let recipe = Recipe::read(self.dir.join("weights.json"));
        assert_eq!(
            recipe.sha256(),
            self.events["weights_sha256"].as_str().expect("a hash")
        );
        recipe
    }

    /// The configuration's YAML; `None` for official variants, which need none.
    pub fn yaml(&self) -> Option<String> {
        let name = self.dir.file_name()?.to_string_lossy();
        std::fs::read_to_string(self.dir.join(format!("{name}.yaml"))).ok()
    }

    /// The image predictor's cases.
    ///
    /// # Panics
    /// If `events.json` does not list them as expected.
    pub fn predict_cases(&self) -> Vec<PredictCase> {
        let cases = self.events["predict"].as_array().expect("a list of cases");
        cases.iter().map(PredictCase::from_event).collect()
    }

    /// The video predictor's log of the script `tag`.
    ///
    /// # Panics
    /// If `events.json` does not contain it in the expected form.
    pub fn video_events(&self, tag: &str) -> Vec<Event> {
        serde_json::from_value(self.events["video"][tag].clone()).expect("a log of events")
    }

    /// The official tensor's shape.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.info(name).shape
    }

    /// Whether the fixture contains this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.info.contains_key(name)
    }

    /// A tensor that is stored whole.
    ///
    /// # Panics
    /// If there is no tensor of this name, type and number of dimensions.
    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let data = TensorData::new(self.floats(name).to_vec(), self.shape(name).to_vec());
        Tensor::from_data(data, &crate::cpu())
    }

    /// The values of a tensor that is stored whole.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn floats(&self, name: &str) -> &[f32] {
        match self.tensors.get(name) {
            Some(Stored::F32(values)) => values,
            _ => panic!("`{name}` is not stored whole as f32"),
        }
    }

    /// A tensor of integers, stored whole.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn integers(&self, name: &str) -> &[i32] {
        match self.tensors.get(name) {
            Some(Stored::I32(values)) => values,
            _ => panic!("`{name}` is not stored whole as i32"),
        }
    }

    /// A tensor of bytes, stored whole.
    ///
    /// # Panics
    /// If there is no such tensor.
    pub fn bytes(&self, name: &str) -> &[u8] {
        match self.tensors.get(name) {
            Some(Stored::U8(values)) => values,
            _ => panic!("`{name}` is not stored whole as u8"),
        }
    }

    /// Masks that are stored as bits: their shape, and a byte (0 or 1) for each pixel.
    ///
    /// # Panics
    /// If `name` is not such a tensor.
    pub fn masks(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let shape = self.info(name).bits_shape.clone().expect("packed bits");
        let packed = self.bytes(name);
        let pixels = (0..shape.iter().product()).map(|i: usize| packed[i / 8] >> (7 - i % 8) & 1);
        (shape, pixels.collect())
    }

    /// Compares a tensor in the official layout with the stored values of the official one.
    ///
    /// # Panics
    /// If the shapes differ, or a value is NaN.
    pub fn difference<const D: usize>(&self, name: &str, ours: Tensor<D>) -> Difference {
        assert_eq!(ours.dims().as_slice(), self.shape(name), "shape of `{name}`");
        self.difference_of_values(name, &ours.into_data().try_to_vec::<f32>().expect("f32"))
    }

    /// The same as [`Self::difference`], for values of any shape in the order of the official tensor.
    ///
    /// # Panics
    /// If the numbers of values differ, or a value is NaN.
    pub fn difference_of_values(&self, name: &str, ours: &[f32]) -> Difference {
        let info = self.info(name);
        assert_eq!(
            ours.len(),
            info.shape.iter().product::<usize>(),
            "values of `{name}`"
        );
        let Some((Stored::F32(theirs), stride)) = self.stored(name) else {
            panic!("`{name}` is not stored as f32")
        };
        let compared: Vec<f32> = ours.iter().step_by(stride).copied().collect();
        let scale = info.min.unwrap_or(0.0).abs().max(info.max.unwrap_or(0.0).abs());
        Difference {
            scale,
            ..Difference::between(name, &compared, theirs)
        }
    }

    /// The number of stored bytes of a tensor that differ from `ours`.
    ///
    /// # Panics
    /// If the numbers of bytes differ.
    pub fn different_bytes(&self, name: &str, ours: &[u8]) -> usize {
        assert_eq!(
            ours.len(),
            self.shape(name).iter().product::<usize>(),
            "values of `{name}`"
        );
        match self.stored(name) {
            Some((Stored::U8(theirs), stride)) => ours
                .iter()
                .step_by(stride)
                .zip(theirs)
                .filter(|(a, b)| a != b)
                .count(),
            _ => panic!("`{name}` is not stored as u8"),
        }
    }

    /// The stored values of a tensor, and the distance between them.
    fn stored(&self, name: &str) -> Option<(&Stored, usize)> {
        let whole = self.tensors.get(name).map(|stored| (stored, 1));
        let strided = || Some((self.tensors.get(&format!("{name}@s"))?, self.info(name).stride?));
        whole.or_else(strided)
    }

    /// Prints [`Self::difference`] and checks that it is at most `limit`, as a fraction of the tensor's scale.
    ///
    /// # Panics
    /// If the difference is larger, and as [`Self::difference`].
    pub fn assert_close<const D: usize>(&self, name: &str, ours: Tensor<D>, limit: f64) {
        report(name, self.difference(name, ours), limit);
    }

    /// The same for [`Self::difference_of_values`].
    ///
    /// # Panics
    /// If the difference is larger, and as [`Self::difference_of_values`].
    pub fn assert_values_close(&self, name: &str, ours: &[f32], limit: f64) {
        report(name, self.difference_of_values(name, ours), limit);
    }

    fn info(&self, name: &str) -> &Info {
        self.info
            .get(name)
            .unwrap_or_else(|| panic!("the fixture has no `{name}`"))
    }
}

fn report(name: &str, difference: Difference, limit: f64) {
    let (Difference { max, scale }, relative) = (difference, difference.relative());
    println!("{name:32} {max:.1e} of {scale:.4} = {relative:.1e}");
    assert!(
        relative <= limit,
        "`{name}`: {difference:?} = {relative:.1e}, limit {limit:e} of the scale"
    );
}

impl Stored {
    fn from_view(dtype: Dtype, bytes: &[u8]) -> Self {
        let words = || {
            bytes
                .chunks_exact(4)
                .map(|word| word.try_into().expect("four bytes"))
        };
        match dtype {
            Dtype::F32 => Self::F32(words().map(f32::from_le_bytes).collect()),
            Dtype::I32 => Self::I32(words().map(i32::from_le_bytes).collect()),
            Dtype::BF16 => {
                let halves = bytes
                    .chunks_exact(2)
                    .map(|half| half.try_into().expect("two bytes"));
                Self::F32(
                    halves
                        .map(|half| half::bf16::from_le_bytes(half).to_f32())
                        .collect(),
                )
            }
            Dtype::U8 | Dtype::BOOL => Self::U8(bytes.to_vec()),
            other => panic!("the fixture holds {other:?}"),
        }
    }
}
