//! Compiles a network's kernels while its weights are still being loaded.

use burn::tensor::{Tensor, TensorData, f16};
use sam2_ops::{Implementation, TensorSource, WeightsError};

use crate::image_model::ImageModel;
use crate::prompt_encoder::{Point, PointLabel};
use crate::{LoadError, Sam2Config};

/// Compiles the kernels that an [`ImageModel`] of `config` needs to encode a picture and to answer a click on it. Nothing
/// is computed. `half` says that the weights are f16.
///
/// Nothing is compiled for a network that needs much more memory than any official one: so far, such a network is only
/// announced by a file's header, and the file may be damaged.
///
/// # Errors
/// [`LoadError`] for a network that the implementation cannot run.
pub fn warm_up(config: &Sam2Config, half: bool, implementation: &Implementation) -> Result<(), LoadError> {
    config.validate()?;
    if !is_modest(config) {
        return Ok(());
    }
    let mut done = Ok(());
    implementation.warm_up(&mut || done = run(config, half, implementation));
    done
}

/// Whether the weights and the largest features that warming up allocates are at most 256 MiB each.
fn is_modest(config: &Sam2Config) -> bool {
    const MAX_VALUES: usize = 1 << 26;
    let weights = shallow(config).parameters();
    let weights = weights.iter().map(|spec| spec.shape.iter().product::<usize>());
    let hidden = config.trunk.largest_hidden(config.image_size);
    weights.fold(0, usize::saturating_add) <= MAX_VALUES && hidden <= MAX_VALUES
}

fn run(config: &Sam2Config, half: bool, implementation: &Implementation) -> Result<(), LoadError> {
    let model = ImageModel::load(&shallow(config), &mut Zeros { half }, implementation)?;
    let side = config.image_size;
    let picture = Tensor::zeros([1, 3, side, side], implementation.device());
    let features = model.without_memory(model.encode(picture));
    let click = Point {
        x: 0.0,
        y: 0.0,
        label: PointLabel::Positive,
    };
    let sparse = model.prompt_encoder.sparse(&[vec![click]]);
    let output = model.decode(&features, Some(sparse), None);
    let selected = output.select(true, None);
    implementation.before_reading_maps(features.probe());
    implementation.before_reading_maps(selected.masks);
    implementation.before_reading_matrix(selected.ious);
    implementation.before_reading_matrix(output.object_score_logits);
    Ok(())
}

/// The same network with the fewest blocks that still include every kind: it needs the same kernels and few weights.
fn shallow(config: &Sam2Config) -> Sam2Config {
    let mut shallow = config.clone();
    shallow.trunk = config.trunk.shallow();
    shallow
}

/// A source of weights that are all zero.
struct Zeros {
    half: bool,
}

impl TensorSource for Zeros {
    fn take(&mut self, _name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        Ok(TensorData::zeros::<f32, _>(shape.to_vec()))
    }

    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        match self.half {
            true => Ok(TensorData::zeros::<f16, _>(shape.to_vec())),
            false => self.take(name, shape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;
    use crate::config::VARIANTS;

    #[test]
    fn official_networks_are_warmed_up_and_a_huge_claim_is_not() {
        for name in VARIANTS {
            let config = Sam2Config::named(name, Version::V2_1).unwrap();
            assert!(is_modest(&config), "{name}");
        }
        let mut config = Sam2Config::named("tiny", Version::V2_1).unwrap();
        config.trunk.as_hiera_mut().unwrap().embed_dim = 512;
        config.neck.backbone_channel_list = [4096, 2048, 1024, 512];
        assert_eq!(config.validate(), Ok(()));
        assert!(!is_modest(&config));
    }
}
