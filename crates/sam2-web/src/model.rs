//! A loaded network and the pictures encoded with it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Promise};
use sam2::{Checkpoint, ImageModel, Sam2Config, Version, VideoModel};
use sam2_predict::{Cleanup, ImageEmbedding, ImagePredictor, PictureRef, PixelFormat};
use wasm_bindgen::prelude::*;

use crate::device::{Device, Opened};
use crate::error::JsFailure;
use crate::promise::promise;
use crate::prompt;
use crate::video::Video;

/// A network on its device.
#[wasm_bindgen]
pub struct Model {
    // Shared with every call under way, so that `free` may come at any time.
    predictor: Rc<ImagePredictor>,
    image: Arc<ImageModel>,
    memory: RefCell<Memory>,
    parameters: usize,
    warnings: Vec<String>,
    // The last field, so that it goes after all that is on it.
    device: Rc<Opened>,
}

/// What only video needs.
enum Memory {
    /// As the file has it: a page of pictures never waits for the rest.
    Stored(Checkpoint),
    /// With the model's own weights of the image part.
    Loaded(Arc<VideoModel>),
}

impl Model {
    /// The whole network; its memory is readied the first time.
    fn video(&self) -> Result<Arc<VideoModel>, JsFailure> {
        let mut memory = self.memory.borrow_mut();
        let loaded = match &mut *memory {
            Memory::Loaded(loaded) => return Ok(loaded.clone()),
            Memory::Stored(weights) => VideoModel::load_memory(self.image.clone(), weights)?,
        };
        let loaded = Arc::new(loaded);
        *memory = Memory::Loaded(loaded.clone());
        Ok(loaded)
    }
}

#[wasm_bindgen]
impl Model {
    /// Loads a weights file's bytes (safetensors, or PyTorch's) onto a device, which is the model's own from then on.
    /// `config` is a variant's name or the official configuration as JSON; without it the file says, or its tensors do.
    /// `imageSize` is the side in pixels of the square that pictures are resized to, if not the configuration's. Resolves
    /// to a `Model`.
    ///
    /// Rejects with `WEIGHTS_…`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Model>")]
    pub fn load(
        device: &Device,
        weights: Vec<u8>,
        config: Option<String>,
        #[wasm_bindgen(js_name = imageSize)] image_size: Option<usize>,
    ) -> Promise {
        let device = device.opened();
        promise(async move {
            let mut checkpoint = Checkpoint::from_bytes(weights)?;
            let config = configuration(&checkpoint, config.as_deref(), image_size)?;
            let remarks = checkpoint.check(&config)?;
            let parameters = config
                .parameters()
                .iter()
                .map(|p| p.shape.iter().product::<usize>())
                .sum();
            let loading = async {
                Ok(ImageModel::load(
                    &config,
                    &mut checkpoint,
                    device.implementation(),
                )?)
            };
            let image = Arc::new(device.watch(loading).await?);
            Ok(Model {
                predictor: Rc::new(ImagePredictor::new(image.clone())),
                image,
                memory: RefCell::new(Memory::Stored(checkpoint.into_memory(&config)?)),
                parameters,
                warnings: remarks.iter().map(ToString::to_string).collect(),
                device,
            }
            .into())
        })
    }

    /// What a user should know of the weights file: that tensors of it were passed over, or which of several networks was
    /// taken.
    #[wasm_bindgen(getter)]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// `tiny`, `nano`, …
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.predictor.config().name.clone()
    }

    /// `2.0` or `2.1`.
    #[wasm_bindgen(getter)]
    pub fn version(&self) -> String {
        match self.predictor.config().version {
            Version::V2_0 => "2.0".into(),
            Version::V2_1 => "2.1".into(),
        }
    }

    /// Side in pixels of the square that pictures are resized to.
    #[wasm_bindgen(getter, js_name = imageSize)]
    pub fn image_size(&self) -> usize {
        self.predictor.config().image_size
    }

    /// How many numbers the network has learned, its memory included.
    #[wasm_bindgen(getter)]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// How many pictures have been encoded.
    #[wasm_bindgen(getter)]
    pub fn encodes(&self) -> usize {
        self.predictor.encodes()
    }

    /// Encodes a picture of RGBA bytes: the only heavy step. Resolves to an `Embedding`.
    ///
    /// Rejects with `INVALID_IMAGE`, `IMAGE_TOO_LARGE`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(js_name = setImage, unchecked_return_type = "Promise<Embedding>")]
    pub fn set_image(&self, rgba: Vec<u8>, width: usize, height: usize) -> Promise {
        let (predictor, device) = (self.predictor.clone(), self.device.clone());
        promise(async move {
            let picture = PictureRef::new(&rgba, PixelFormat::Rgba, width, height)?;
            let encoding = async { Ok(predictor.set_image(picture).await?) };
            let image = Rc::new(device.watch(encoding).await?);
            Ok(Embedding {
                predictor,
                image,
                device,
            }
            .into())
        })
    }

    /// Opens a video of frames of that size; a stream has no frame count.
    ///
    /// Throws `INVALID_IMAGE`, `IMAGE_TOO_LARGE`, `UNSUPPORTED_INPUT`, or `WEIGHTS_MISMATCH` if the weights are for pictures
    /// only.
    #[wasm_bindgen(js_name = openVideo)]
    pub fn open_video(
        &self,
        width: usize,
        height: usize,
        #[wasm_bindgen(js_name = frameCount)] frame_count: Option<usize>,
        #[wasm_bindgen(unchecked_param_type = "WasmVideoOptions")] options: JsValue,
    ) -> Result<Video, JsValue> {
        let model = self.video()?;
        Ok(Video::open(
            model,
            self.device.clone(),
            [width, height],
            frame_count,
            options,
        )?)
    }
}

/// An encoded picture; its features stay on the device until `free`.
#[wasm_bindgen]
pub struct Embedding {
    predictor: Rc<ImagePredictor>,
    image: Rc<ImageEmbedding>,
    device: Rc<Opened>,
}

#[wasm_bindgen]
impl Embedding {
    /// In pixels.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.image.width()
    }

    /// In pixels.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.image.height()
    }

    /// Answers many prompts, in their order; quicker than one by one. Holes and islands of the masks of at most so many
    /// low-resolution pixels are filled and taken away.
    ///
    /// Rejects with `INVALID_PROMPT`, `DEVICE_LOST` or `OUT_OF_MEMORY`; then none is answered.
    #[wasm_bindgen(js_name = predictBatch, unchecked_return_type = "Promise<WasmPrediction[]>")]
    pub fn predict_batch(
        &self,
        #[wasm_bindgen(unchecked_param_type = "WasmPrompt[]")] prompts: Array,
        #[wasm_bindgen(js_name = maxHoleArea)] max_hole_area: usize,
        #[wasm_bindgen(js_name = maxSprinkleArea)] max_sprinkle_area: usize,
    ) -> Promise {
        let cleanup = Cleanup {
            max_hole_area,
            max_sprinkle_area,
        };
        let (predictor, image) = (self.predictor.clone(), self.image.clone());
        let device = self.device.clone();
        promise(async move {
            let prompts = prompts
                .iter()
                .map(|value| prompt::from_js(&value))
                .collect::<Result<Vec<_>, _>>()?;
            let answering = async {
                let answers = predictor.predict_batch_cleaned(&image, &prompts, cleanup).await;
                Ok(answers?)
            };
            let predictions = device.watch(answering).await?;
            Ok(predictions.iter().map(prompt::to_js).collect::<Array>().into())
        })
    }
}

/// The configuration that was given, as a variant's name or as JSON, else the file's own; with its own `image_size`.
fn configuration(
    checkpoint: &Checkpoint,
    given: Option<&str>,
    image_size: Option<usize>,
) -> Result<Sam2Config, JsFailure> {
    let config = match given {
        None => checkpoint.config()?,
        Some(text) => parse_config(text, checkpoint.version())?,
    };
    Ok(match image_size {
        None => config,
        Some(side) => config.with_image_size(side).map_err(unsupported)?,
    })
}

fn parse_config(text: &str, version: Version) -> Result<Sam2Config, JsFailure> {
    if !text.trim_start().starts_with('{') {
        return Sam2Config::named(text.trim(), version).map_err(unsupported);
    }
    let tree: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| unsupported(format!("the configuration is not JSON: {error}")))?;
    // A whole file has it under `model`, as the official YAML does.
    Sam2Config::from_official(tree.get("model").unwrap_or(&tree)).map_err(unsupported)
}

fn unsupported(error: impl std::fmt::Display) -> JsFailure {
    JsFailure::new("WEIGHTS_UNSUPPORTED", error.to_string())
}
