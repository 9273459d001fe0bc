//! nano on whatever Vulkan offers, which may be a CPU (Debian: `mesa-vulkan-drivers`), with the kernels of every class of
//! adapter: a picture and a click, and a clip that is followed by the memory. The browser's tests reach neither the
//! kernels for real GPUs nor f16, which its software adapter has not. Outputs hold noise before they are written
//! (`sam2-kernels/poison`), so that a kernel that leaves some of them out does not pass.

use std::sync::Arc;

use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, TensorData};
use parity::{Difference, block_on, natively, synthetic};
use sam2::{Checkpoint, Implementation, TensorSource, VideoModel, WeightsError};
use sam2_ops::{Adapter, AdapterClass};
use sam2_predict::{
    ImagePredictor, PictureRef, PixelFormat, PointPrompt, Prompt, VideoOptions, VideoSession,
};

const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/nano.safetensors");
const SIZE: [usize; 2] = [480, 360];
/// Of the largest logit; sums are made in another order.
const TOLERANCE: f64 = 1e-3;
/// The same with products in f16, which have eleven bits.
const TOLERANCE_F16: f64 = 1e-2;

#[test]
fn nano_answers_as_on_the_cpu() {
    let (gpu, has_f16) = open();
    let answers_by = |adapter: Adapter| answers(&Implementation::gpu(gpu.clone(), adapter), adapter.f16);
    let wanted = answers(&natively(), false);
    for class in [AdapterClass::Software, AdapterClass::Hardware] {
        let plain = Adapter {
            class,
            ..Adapter::default()
        };
        let full = answers_by(plain);
        compare(&format!("{class:?}"), &full, &wanted, TOLERANCE);
        if has_f16 {
            // The file's numbers are f16: nothing is lost.
            let halves = Adapter { f16: true, ..plain };
            assert!(
                answers_by(halves) == full,
                "{class:?}: other logits with weights in f16"
            );
            let products = Adapter {
                f16_products: true,
                ..halves
            };
            if products.multiplies_in_f16() {
                let coarse = answers_by(products);
                compare("f16 products", &coarse, &wanted, TOLERANCE_F16);
                assert!(coarse != full, "other products give other digits");
            }
        } else {
            println!("SKIPPED: f16, which this adapter has not");
        }
    }
}

fn compare(what: &str, found: &Answers, wanted: &Answers, tolerance: f64) {
    for ((name, found), (_, wanted)) in found.iter().zip(wanted) {
        let difference = Difference::between(name, found, wanted).relative();
        println!("{what}, {name}: {difference:.1e}");
        assert!(difference < tolerance, "{what}, {name}: {difference}");
    }
}

/// The GPU, and whether its kernels may read f16 numbers.
fn open() -> (Device, bool) {
    let (device, setup) = block_on(Device::wgpu_options().init_with_setup_async())
        .expect("a Vulkan adapter: install mesa-vulkan-drivers, which needs no GPU");
    println!("on {}", setup.adapter.get_info().name);
    let has_f16 = setup.device.features().contains(wgpu::Features::SHADER_F16);
    (device, has_f16)
}

/// The file, and how many of its tensors went to the device in f16.
struct Counted {
    file: Checkpoint,
    halves: usize,
}

impl TensorSource for Counted {
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        self.file.take(name, shape)
    }

    fn take_as_kept(&mut self, name: &str, shape: &[usize]) -> Result<TensorData, WeightsError> {
        let data = self.file.take_as_kept(name, shape)?;
        self.halves += usize::from(data.dtype() == DType::F16);
        Ok(data)
    }
}

/// Logits by what they are of.
type Answers = Vec<(String, Vec<f32>)>;

/// `reads_f16`: whether weights that are f16 stay so.
fn answers(implementation: &Implementation, reads_f16: bool) -> Answers {
    let file = Checkpoint::from_bytes(std::fs::read(WEIGHTS).expect("nano's weights")).expect("weights");
    let config = file.config().expect("a configuration");
    let mut source = Counted { file, halves: 0 };
    let model = Arc::new(VideoModel::load(&config, &mut source, implementation).expect("all tensors"));
    assert_eq!(source.halves > 0, reads_f16);
    let [width, height] = SIZE;
    let wide = synthetic::picture(width + 60, height);
    // A camera that pans.
    let frames: Vec<Vec<u8>> = (0..2)
        .map(|i| {
            let rows = wide.chunks_exact(3 * (width + 60));
            rows.flat_map(|row| &row[3 * 30 * i..][..3 * width])
                .copied()
                .collect()
        })
        .collect();
    let frame = |i: usize| PictureRef::new(&frames[i], PixelFormat::Rgb, width, height).expect("a frame");
    let click = Prompt {
        points: vec![PointPrompt {
            x: 160.0,
            y: 165.0,
            label: 1,
        }],
        multimask: true,
        ..Prompt::default()
    };

    let predictor = ImagePredictor::new(model.image.clone());
    let image = block_on(predictor.set_image(frame(0))).expect("an embedding");
    let masks = block_on(predictor.predict(&image, &click)).expect("masks").masks;
    let masks = masks.iter().enumerate();
    let mut found: Vec<_> = masks
        .map(|(i, mask)| (format!("mask {i}"), mask.logits()))
        .collect();

    let mut session = VideoSession::new(model, VideoOptions::default(), SIZE, Some(2)).expect("a session");
    session.set_frame(0, frame(0)).expect("a frame");
    block_on(session.add_points_or_box(0, 1, &click, true)).expect("masks");
    session.begin_tracking().expect("a prompt");
    for i in 0..2 {
        session.set_frame(i, frame(i)).expect("a frame");
        let masks = block_on(session.track(i, false)).expect("masks");
        found.push((format!("frame {i}"), masks.masks[0].logits.clone()));
    }
    found
}
