//! The official configuration and the rebuilt weights as this project's network, on the CPU.

use burn::tensor::{Device, Tensor};
use sam2::prompt_encoder::{Point, PointLabel};
use sam2::{ImageModel, Implementation, Sam2Config, Version, VideoModel};
use sam2_ops::Products;
#[cfg(feature = "gpu")]
use sam2_ops::{Adapter, AdapterClass};
use sam2_predict::{PictureRef, PixelFormat};

use crate::{Fixture, PredictCase};

/// The fixtures that are in the repository: SAM 2.1 and SAM 2.0.
pub const COMMITTED: [&str; 2] = ["micro", "micro20"];

/// EdgeTAM's fixture, with SAM 2.1's video predictor over its modules.
pub const EDGETAM: &str = "edgetam_micro";

/// Where the fixtures' tensors are.
pub fn cpu() -> Device {
    Device::flex()
}

/// What the command-line tool computes with.
pub fn natively() -> Implementation {
    Implementation::cpu(Products::Burn)
}

/// Every implementation, the GPU's on whatever Vulkan offers (Debian's `mesa-vulkan-drivers` needs no GPU).
///
/// # Panics
/// If there is no Vulkan adapter.
#[cfg(feature = "gpu")]
pub fn implementations() -> Vec<Implementation> {
    let mut all = vec![
        Implementation::portable(cpu()),
        natively(),
        Implementation::cpu(Products::Packed),
    ];
    // A process opens it once.
    static GPU: std::sync::OnceLock<Device> = std::sync::OnceLock::new();
    let device = GPU.get_or_init(|| {
        let opened = block_on(Device::wgpu_options().init_with_setup_async());
        let (device, _) = opened.expect("a Vulkan adapter: install mesa-vulkan-drivers, which needs no GPU");
        device
    });
    for class in [AdapterClass::Software, AdapterClass::Hardware] {
        let adapter = Adapter {
            class,
            ..Adapter::default()
        };
        all.push(Implementation::gpu(device.clone(), adapter));
    }
    all
}

/// Each committed fixture of SAM 2 with its network, computed in every way.
#[cfg(feature = "gpu")]
pub fn networks() -> impl Iterator<Item = (Fixture, ImageModel)> {
    networks_of(COMMITTED)
}

/// [`networks`], and EdgeTAM's.
#[cfg(feature = "gpu")]
pub fn every_network() -> impl Iterator<Item = (Fixture, ImageModel)> {
    networks_of(COMMITTED.into_iter().chain([EDGETAM]))
}

#[cfg(feature = "gpu")]
fn networks_of(names: impl IntoIterator<Item = &'static str>) -> impl Iterator<Item = (Fixture, ImageModel)> {
    let implementations = implementations();
    names.into_iter().flat_map(move |name| {
        implementations.clone().into_iter().map(move |implementation| {
            println!("-- {name}, {}", implementation.name());
            let fixture = Fixture::committed(name);
            let model = fixture.image_model(&implementation);
            (fixture, model)
        })
    })
}

/// Channels-last to the official layout.
pub fn nchw(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

/// Waits for a future of the CPU device, which is never pending for long.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

impl Fixture {
    /// The official configuration: of the folder's YAML, or an official variant's.
    ///
    /// # Panics
    /// If it is not understood.
    pub fn config(&self) -> Sam2Config {
        match self.yaml() {
            Some(yaml) => sam2_yaml::config(&yaml).expect("the official format"),
            None => {
                let name = self.events["config"].as_str().expect("a name");
                Sam2Config::named(name, Version::V2_1).expect("an official variant")
            }
        }
    }

    /// The image half of the network, with the recipe's weights.
    ///
    /// # Panics
    /// If a weight is missing.
    pub fn image_model(&self, implementation: &Implementation) -> ImageModel {
        ImageModel::load(&self.config(), &mut &self.recipe(), implementation).expect("all tensors")
    }

    /// The whole network, with the recipe's weights.
    ///
    /// # Panics
    /// If a weight is missing.
    pub fn video_model(&self, implementation: &Implementation) -> VideoModel {
        VideoModel::load(&self.config(), &mut &self.recipe(), implementation).expect("all tensors")
    }

    /// Width and height of the picture.
    pub fn picture_size(&self) -> [usize; 2] {
        let shape = self.shape("img.u8");
        [shape[1], shape[0]]
    }

    /// The picture, where it is stored.
    ///
    /// # Panics
    /// If it is not.
    pub fn picture(&self) -> PictureRef<'_> {
        let [width, height] = self.picture_size();
        PictureRef::new(self.bytes("img.u8"), PixelFormat::Rgb, width, height).expect("a picture")
    }

    /// A case's points as the official predictor hands them to the prompt encoder: in the network's pixels,
    /// a box's corners first. None where it has neither points nor a box.
    pub fn case_points(&self, case: &PredictCase) -> Option<Vec<Vec<Point>>> {
        let [coords, labels] = ["coords", "labels"].map(|part| format!("pred.{}.{part}", case.name));
        self.has(&coords).then(|| self.points(&coords, &labels))
    }

    /// Points stored as coordinates `[b, n, 2]` and labels `[b, n]`.
    ///
    /// # Panics
    /// If they are not stored whole.
    pub fn points(&self, coords: &str, labels: &str) -> Vec<Vec<Point>> {
        let n = self.shape(labels)[1];
        let positions = self.floats(coords).chunks(2).zip(self.integers(labels));
        let points: Vec<Point> = positions
            .map(|(position, label)| Point {
                x: position[0],
                y: position[1],
                label: match label {
                    -1 => PointLabel::Padding,
                    0 => PointLabel::Negative,
                    1 => PointLabel::Positive,
                    2 => PointLabel::BoxTopLeft,
                    3 => PointLabel::BoxBottomRight,
                    other => panic!("label {other}"),
                },
            })
            .collect();
        points.chunks(n).map(<[Point]>::to_vec).collect()
    }
}
