//! A loaded detector and the pictures that it has seen.

use std::rc::Rc;

use js_sys::{Array, Promise};
use owlv2::{Checkpoint, DetectOptions, Detection, Owlv2Config, config};
use sam2_predict::{PictureRef, PixelFormat};
use sam2_wasm::{Device, JsFailure, Opened, object, promise};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

/// The side of the detector's pictures on this build's device, if its network was trained for larger ones.
const SIDE: usize = if cfg!(feature = "webgpu") {
    config::GPU_SIDE
} else {
    config::CPU_SIDE
};

/// `WasmFindOptions`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsOptions {
    threshold: Option<f32>,
    nms_threshold: Option<f64>,
    per_label: Option<usize>,
    max: Option<usize>,
}

impl JsOptions {
    fn read(options: JsValue) -> Result<DetectOptions, JsFailure> {
        let given: Self = serde_wasm_bindgen::from_value(options).map_err(|error| {
            JsFailure::new(
                "UNSUPPORTED_INPUT",
                format!("the options are not of the right form: {error}"),
            )
        })?;
        let default = DetectOptions::default();
        Ok(DetectOptions {
            threshold: given.threshold.unwrap_or(default.threshold),
            nms_threshold: given.nms_threshold.unwrap_or(default.nms_threshold),
            per_label: given.per_label.unwrap_or(default.per_label),
            max: given.max.unwrap_or(default.max),
        })
    }
}

/// A detector on its device.
#[wasm_bindgen]
pub struct Detector {
    // Pending calls share it, so that `free` may be called at any time.
    detector: Rc<owlv2::Detector>,
    parameters: usize,
    // The last field, so that it is dropped after everything on it.
    device: Rc<Opened>,
}

#[wasm_bindgen]
impl Detector {
    /// Loads the bytes of a detector's file (safetensors or PyTorch, with transformers' names) onto a device, which belongs to
    /// the detector from then on. `merges` is its vocabulary, without which it takes no words. `config` is transformers'
    /// config.json; without it, the configuration comes from the file or its tensors. `imageSize` is the side, in pixels, of
    /// the square to which pictures are resized; by default 640 on a GPU and 480 on a CPU, or less if the network was
    /// trained for less. Resolves to a `Detector`.
    ///
    /// Rejects with `WEIGHTS_…`, `UNSUPPORTED_INPUT`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Detector>")]
    pub fn load(
        device: &Device,
        weights: Vec<u8>,
        merges: Option<Vec<u8>>,
        config: Option<String>,
        #[wasm_bindgen(js_name = imageSize)] image_size: Option<usize>,
    ) -> Promise {
        let device = device.opened();
        promise(async move {
            let mut checkpoint = Checkpoint::from_bytes(weights)?;
            let config = match config {
                Some(text) => Owlv2Config::from_json(&text).map_err(owlv2::LoadError::from)?,
                None => checkpoint.config()?,
            };
            let side = image_size.unwrap_or_else(|| config.side_within(SIDE));
            let parameters = owlv2::parameters(&config)
                .iter()
                .map(|p| p.shape.iter().product::<usize>())
                .sum();
            let loading = async {
                Ok(owlv2::Detector::from_checkpoint(
                    &mut checkpoint,
                    &config,
                    side,
                    merges.as_deref(),
                    device.implementation(),
                )?)
            };
            let detector = Rc::new(device.watch(loading).await?);
            Ok(Detector {
                detector,
                parameters,
                device,
            }
            .into())
        })
    }

    /// The side, in pixels, of the square to which pictures are resized.
    #[wasm_bindgen(getter, js_name = imageSize)]
    pub fn image_size(&self) -> usize {
        self.detector.side()
    }

    /// The number of parameters, including those of the text tower.
    #[wasm_bindgen(getter)]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Whether words can be looked for.
    #[wasm_bindgen(getter, js_name = hasText)]
    pub fn has_text(&self) -> bool {
        self.detector.has_text()
    }

    /// Encodes a picture of RGBA bytes, which takes most of the time. Resolves to a `DetectorImage`.
    ///
    /// Rejects with `INVALID_IMAGE`, `IMAGE_TOO_LARGE`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(js_name = setImage, unchecked_return_type = "Promise<DetectorImage>")]
    pub fn set_image(&self, rgba: Vec<u8>, width: usize, height: usize) -> Promise {
        let (detector, device) = (self.detector.clone(), self.device.clone());
        promise(async move {
            let picture = PictureRef::new(&rgba, PixelFormat::Rgba, width, height)?;
            let read = |line, values: &mut [f32]| picture.read(line, values);
            let encoding = async { Ok(detector.set_image([height, width], &read).await?) };
            let image = Rc::new(device.watch(encoding).await?);
            Ok(DetectorImage {
                detector,
                image,
                device,
            }
            .into())
        })
    }
}

/// A picture that the detector has seen. Its features stay on the device until `free` is called.
#[wasm_bindgen]
pub struct DetectorImage {
    detector: Rc<owlv2::Detector>,
    image: Rc<owlv2::DetectorImage>,
    device: Rc<Opened>,
}

#[wasm_bindgen]
impl DetectorImage {
    /// Finds the objects that labels name, the best first. The labels' embeddings are kept, so that each is computed once.
    ///
    /// Rejects with `INVALID_PROMPT`, `UNSUPPORTED_INPUT`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<WasmDetection[]>")]
    pub fn find(
        &self,
        labels: Vec<String>,
        #[wasm_bindgen(unchecked_param_type = "WasmFindOptions")] options: JsValue,
    ) -> Promise {
        let (detector, image, device) = (self.detector.clone(), self.image.clone(), self.device.clone());
        promise(async move {
            let options = JsOptions::read(options)?;
            let finding = async { Ok(detector.find(&image, &labels, options).await?) };
            Ok(to_js(&device.watch(finding).await?))
        })
    }

    /// Finds the objects that are like the one in a box (left, top, right and bottom in pixels), the best first. That one is
    /// among them.
    ///
    /// Rejects as `find`.
    #[wasm_bindgen(js_name = findLike, unchecked_return_type = "Promise<WasmDetection[]>")]
    pub fn find_like(
        &self,
        x0: f32,
        y0: f32,
        x1: f32,
        y1: f32,
        #[wasm_bindgen(unchecked_param_type = "WasmFindOptions")] options: JsValue,
    ) -> Promise {
        let (detector, image, device) = (self.detector.clone(), self.image.clone(), self.device.clone());
        promise(async move {
            let options = JsOptions::read(options)?;
            let example = [x0, y0, x1, y1];
            let finding = async { Ok(detector.find_like(&image, example, options).await?) };
            Ok(to_js(&device.watch(finding).await?))
        })
    }
}

/// Converts detections to an array of `WasmDetection`.
fn to_js(found: &[Detection]) -> JsValue {
    let each = |found: &Detection| {
        let edges = found.edges.map(JsValue::from);
        object(&[
            ("label", (found.label as u32).into()),
            ("score", found.score.into()),
            ("box", edges.into_iter().collect::<Array>().into()),
        ])
    };
    found.iter().map(each).collect::<Array>().into()
}
