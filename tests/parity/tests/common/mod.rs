//! What several tests share.
#![allow(dead_code, reason = "each test uses its part")]

use burn::tensor::Tensor;
use parity::{COMMITTED, Fixture, PredictCase, cpu};
use sam2::prompt_encoder::{Point, PointLabel};
use sam2::{ImageModel, Sam2Config};
use sam2_predict::{PictureRef, PixelFormat};

/// Each committed fixture with its network.
pub fn networks() -> impl Iterator<Item = (Fixture, ImageModel)> {
    COMMITTED.into_iter().map(|name| {
        println!("-- {name}");
        let fixture = Fixture::committed(name);
        let model = ImageModel::load(&config(&fixture), &mut &fixture.recipe(), &cpu()).expect("all tensors");
        (fixture, model)
    })
}

/// The fixture's picture.
pub fn picture(fixture: &Fixture) -> PictureRef<'_> {
    let [width, height] = picture_size(fixture);
    PictureRef::new(fixture.bytes("img.u8"), PixelFormat::Rgb, width, height).expect("a picture")
}

/// Its width and height.
pub fn picture_size(fixture: &Fixture) -> [usize; 2] {
    let shape = fixture.shape("img.u8");
    [shape[1], shape[0]]
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

/// The fixture's configuration.
pub fn config(fixture: &Fixture) -> Sam2Config {
    use sam2::config::*;
    let v20 = fixture.yaml().find("no_obj_embed_spatial").is_none();
    Sam2Config {
        name: "micro".into(),
        version: if v20 { Version::V2_0 } else { Version::V2_1 },
        image_size: 256,
        trunk: HieraConfig {
            embed_dim: 16,
            num_heads: 1,
            stages: [1, 2, 3, 2],
            global_att_blocks: vec![5],
            window_spec: [8, 4, 14, 7],
            window_pos_embed_bkg_spatial_size: [7, 7],
        },
        neck: FpnNeckConfig {
            d_model: 64,
            backbone_channel_list: [128, 64, 32, 16],
            fpn_top_down_levels: vec![2, 3],
        },
        scalp: 1,
        memory_attention: MemoryAttentionConfig {
            num_layers: 2,
            dim_feedforward: 128,
            rope_theta: 10000.0,
        },
        memory_encoder: MemoryEncoderConfig {
            out_dim: 16,
            fuser_layers: 2,
        },
        num_maskmem: 7,
    }
}

/// Channels-last to the official layout.
pub fn nchw(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

/// A case's points as the official predictor hands them to the prompt encoder: in the network's pixels,
/// a box's corners first. None where it has neither points nor a box.
pub fn points(fixture: &Fixture, case: &PredictCase) -> Option<Vec<Vec<Point>>> {
    let [coords, labels] = ["coords", "labels"].map(|part| format!("pred.{}.{part}", case.name));
    fixture.has(&coords).then(|| points_of(fixture, &coords, &labels))
}

/// Points stored as coordinates `[b, n, 2]` and labels `[b, n]`.
pub fn points_of(fixture: &Fixture, coords: &str, labels: &str) -> Vec<Vec<Point>> {
    let n = fixture.shape(labels)[1];
    let coords = fixture
        .tensor::<3>(coords)
        .into_data()
        .try_to_vec::<f32>()
        .expect("f32");
    let points = coords
        .chunks(2)
        .zip(fixture.integers(labels))
        .map(|(place, label)| Point {
            x: place[0],
            y: place[1],
            label: match label {
                -1 => PointLabel::Padding,
                0 => PointLabel::Negative,
                1 => PointLabel::Positive,
                2 => PointLabel::BoxTopLeft,
                3 => PointLabel::BoxBottomRight,
                other => panic!("label {other}"),
            },
        });
    let points: Vec<Point> = points.collect();
    points.chunks(n).map(<[Point]>::to_vec).collect()
}
