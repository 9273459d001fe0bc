//! nano on a device with small buffers, so that much of the work is done in parts: it answers as it does on the same device
//! with large buffers, and refuses what does not fit. The device itself refuses to bind more.

use std::sync::Arc;

use burn::tensor::Device;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use parity::{block_on, synthetic};
use sam2::{Checkpoint, Implementation, LoadError, VideoModel};
use sam2_ops::Adapter;
use sam2_predict::{
    ImageEmbedding, ImagePredictor, PictureRef, PixelFormat, PointPrompt, Prompt, VideoOptions, VideoSession,
};

const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../weights/nano.safetensors");
/// The side of the network's picture in pixels: half of nano's own, to take less time.
const IMAGE_SIZE: usize = 256;
/// In bytes: the smallest that nano needs, for features with 128 channels of 64 x 64 pixels. Then the blocks whose queries,
/// keys and values have 192 channels are done in two parts, and eight prompts are decoded at a time.
const SMALL: u64 = 2 << 20;
/// One more than are decoded at a time.
const PROMPTS: usize = 9;
/// The picture's size in pixels.
const SIZE: [usize; 2] = [96, 72];

#[test]
fn nano_answers_the_same_with_small_buffers() {
    let large = open(u64::MAX);
    let small = open(SMALL);
    let error = load(&small, IMAGE_SIZE + 32).expect_err("its features have 2.6 MiB");
    assert_eq!(error.code(), "OUT_OF_MEMORY", "{error}");
    assert!(error.to_string().contains("a buffer of 3 MiB"), "{error}");

    let [large, small] = [large, small].map(|device| Opened::new(&device));
    assert_eq!(large.model.image.prompts_at_once(1), 64);
    assert_eq!(small.model.image.prompts_at_once(1), PROMPTS - 1);
    small.refuses_too_many_points();
    let wanted = large.answers();
    assert!(
        wanted.iter().flatten().any(|&logit| logit > 0.0),
        "nothing is found"
    );
    assert!(small.answers() == wanted, "other logits with small buffers");
}

/// A GPU that binds buffers of at most `largest` bytes.
fn open(largest: u64) -> Implementation {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
        .expect("a Vulkan adapter: install mesa-vulkan-drivers, which needs no GPU");
    // The features for which burn asks.
    let features = adapter
        .features()
        .difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask());
    let limits = adapter.limits();
    let (device, queue) = block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: features,
        required_limits: wgpu::Limits {
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size.min(largest),
            // burn's pools allocate at least 8 MiB.
            max_buffer_size: limits.max_buffer_size.min(largest.max(8 << 20)),
            ..limits
        },
        ..wgpu::DeviceDescriptor::default()
    }))
    .expect("a device");
    let setup = WgpuSetup {
        backend: adapter.get_info().backend,
        instance,
        adapter,
        device,
        queue,
    };
    let device: Device = Device::wgpu_options().setup(setup).init().expect("a device");
    let adapter = Adapter::default();
    let largest_buffer = adapter.largest_buffer.min(largest);
    Implementation::gpu(
        device,
        Adapter {
            largest_buffer,
            ..adapter
        },
    )
}

fn load(implementation: &Implementation, image_size: usize) -> Result<VideoModel, LoadError> {
    let mut file = Checkpoint::from_bytes(std::fs::read(WEIGHTS).expect("nano's weights")).expect("weights");
    let config = file.config().expect("a configuration");
    let config = config.with_image_size(image_size)?;
    VideoModel::load(&config, &mut file, implementation)
}

/// nano, and a picture.
struct Opened {
    model: Arc<VideoModel>,
    predictor: ImagePredictor,
    image: ImageEmbedding,
    pixels: Vec<u8>,
}

impl Opened {
    fn new(implementation: &Implementation) -> Self {
        let model = Arc::new(load(implementation, IMAGE_SIZE).expect("a model"));
        let predictor = ImagePredictor::new(model.image.clone());
        let pixels = synthetic::picture(SIZE[0], SIZE[1]);
        let image = block_on(predictor.set_image(picture(&pixels))).expect("an embedding");
        Self {
            model,
            predictor,
            image,
            pixels,
        }
    }

    /// The logits of a batch of prompts with masks, and of two frames.
    fn answers(&self) -> Vec<Vec<f32>> {
        let first = block_on(self.predictor.predict(&self.image, &clicks(1))).expect("masks");
        let prompts: Vec<Prompt> = (0..PROMPTS)
            .map(|i| {
                let mut prompt = clicks(1);
                prompt.points[0].x += 5.0 * i as f32;
                prompt.mask = Some(first.masks[0].logits());
                prompt
            })
            .collect();
        let answers = block_on(self.predictor.predict_batch(&self.image, &prompts)).expect("masks");
        let mut found: Vec<_> = answers.iter().map(|answer| answer.masks[0].logits()).collect();

        let mut session = self.session();
        block_on(session.add_points_or_box(0, 1, &clicks(1), true)).expect("masks");
        session.begin_tracking().expect("a prompt");
        for frame in 0..2 {
            session.set_frame(frame, picture(&self.pixels)).expect("a frame");
            let masks = block_on(session.track(frame, false)).expect("masks");
            found.push(masks.masks[0].logits.clone());
        }
        found
    }

    fn refuses_too_many_points(&self) {
        // 512 bytes per token, of which the decoder adds seven.
        let most = 4096 - 7;
        let error = block_on(self.predictor.predict(&self.image, &clicks(most + 1))).expect_err("too many");
        assert_eq!(error.code(), "INVALID_PROMPT", "{error}");
        assert!(error.to_string().contains("at most 4089"), "{error}");
        block_on(self.predictor.predict(&self.image, &clicks(most))).expect("masks");

        // Clicks on one frame are added up.
        let mut session = self.session();
        block_on(session.add_points_or_box(0, 1, &clicks(1), true)).expect("masks");
        let error = block_on(session.add_points_or_box(0, 1, &clicks(most), false)).expect_err("too many");
        assert_eq!(error.code(), "INVALID_PROMPT", "{error}");
    }

    /// A session at its first frame.
    fn session(&self) -> VideoSession {
        let mut session =
            VideoSession::new(self.model.clone(), VideoOptions::default(), SIZE, None).expect("a session");
        session.set_frame(0, picture(&self.pixels)).expect("a frame");
        session
    }
}

fn picture(pixels: &[u8]) -> PictureRef<'_> {
    PictureRef::new(pixels, PixelFormat::Rgb, SIZE[0], SIZE[1]).expect("a picture")
}

/// `count` clicks on the red disc.
fn clicks(count: usize) -> Prompt {
    let click = PointPrompt {
        x: 28.0,
        y: 32.0,
        label: 1,
    };
    Prompt {
        points: vec![click; count],
        ..Prompt::default()
    }
}
