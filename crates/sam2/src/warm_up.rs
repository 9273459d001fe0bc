//! What a device compiles on first use, compiled while a network's weights are still on their way.

use burn::tensor::{Tensor, TensorData, f16};
use sam2_ops::{Implementation, TensorSource, WeightsError};

use crate::Sam2Config;
use crate::image_model::ImageModel;
use crate::prompt_encoder::{Point, PointLabel};

/// Makes the pipelines that an [`ImageModel`] of `config` needs to encode a picture and to answer a click on it. Nothing
/// is computed: kernels are compiled and left at that. `half`: the weights are f16.
///
/// # Errors
/// [`WeightsError::Width`] for a network that the implementation cannot run.
pub fn warm_up(config: &Sam2Config, half: bool, implementation: &Implementation) -> Result<(), WeightsError> {
    let mut done = Ok(());
    implementation.warm_up(&mut || done = run(config, half, implementation));
    done
}

fn run(config: &Sam2Config, half: bool, implementation: &Implementation) -> Result<(), WeightsError> {
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

/// The same widths with as few blocks as are of all kinds: kernels are the same, and weights few.
fn shallow(config: &Sam2Config) -> Sam2Config {
    let mut shallow = config.clone();
    let [first, second, third, fourth] = config.trunk.stages;
    let stages = [first.min(2), second.min(2), third.min(3), fourth.min(2)];
    shallow.trunk.stages = stages;
    if !config.trunk.global_att_blocks.is_empty() {
        // The third stage's last block, which is neither its first nor the only one in windows.
        shallow.trunk.global_att_blocks = vec![stages[0] + stages[1] + stages[2] - 1];
    }
    shallow
}

/// Weights for that.
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
