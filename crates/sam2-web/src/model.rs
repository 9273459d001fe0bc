//! A loaded network and its encoded pictures.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Float32Array, Function, Promise};
use sam2::{Checkpoint, ImageModel, Sam2Config, Version, VideoModel};
use sam2_predict::{Cleanup, ImageEmbedding, ImagePredictor, PictureRef, PixelFormat};
use sam2_wasm::{Device, JsFailure, Opened, promise};
use wasm_bindgen::prelude::*;

use crate::everything;
use crate::prompt;
use crate::video::Video;

/// A network on its device.
#[wasm_bindgen]
pub struct Model {
    // Pending calls share it, so that `free` may be called at any time.
    predictor: Rc<ImagePredictor>,
    image: Arc<ImageModel>,
    memory: RefCell<Memory>,
    parameters: usize,
    warnings: Vec<String>,
    // The last field, so that it is dropped after everything on it.
    device: Rc<Opened>,
}

/// The memory, which only video needs.
enum Memory {
    /// The tensors as in the file. They are only loaded for the first video, so that a page with pictures only need not
    /// wait.
    Stored(Checkpoint),
    /// The whole network, which shares the weights of the image model.
    Loaded(Arc<VideoModel>),
}

impl Model {
    /// The whole network. Its memory is loaded on the first call.
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
    /// Loads the bytes of a weights file (safetensors or PyTorch) onto a device, which belongs to the model from then
    /// on. `config` is the name of a variant or the official configuration as JSON; without it, the configuration comes
    /// from the file or its tensors. `imageSize` is the side, in pixels, of the square to which pictures are resized,
    /// if not the configuration's. Resolves to a `Model`.
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

    /// Remarks on the weights file for the user: which tensors were ignored, or which of several networks was chosen.
    #[wasm_bindgen(getter)]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The name of the configuration, such as `tiny` or `nano`.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.predictor.config().name.clone()
    }

    /// The release of SAM 2: `2.0` or `2.1`.
    #[wasm_bindgen(getter)]
    pub fn version(&self) -> String {
        match self.predictor.config().version {
            Version::V2_0 => "2.0".into(),
            Version::V2_1 => "2.1".into(),
        }
    }

    /// The side, in pixels, of the square to which pictures are resized.
    #[wasm_bindgen(getter, js_name = imageSize)]
    pub fn image_size(&self) -> usize {
        self.predictor.config().image_size
    }

    /// The number of parameters, including those of the memory.
    #[wasm_bindgen(getter)]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// The number of pictures that have been encoded.
    #[wasm_bindgen(getter)]
    pub fn encodes(&self) -> usize {
        self.predictor.encodes()
    }

    /// Encodes a picture of RGBA bytes, which takes most of the time. Resolves to an `Embedding`.
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

    /// Makes the embedding of a picture of this size from the features that `Embedding.features` resolved to, which takes
    /// no encoding. Resolves to an `Embedding`.
    ///
    /// Rejects with `UNSUPPORTED_INPUT` (features of another network), `INVALID_IMAGE`, `IMAGE_TOO_LARGE`, `DEVICE_LOST` or
    /// `OUT_OF_MEMORY`.
    #[wasm_bindgen(js_name = restoreImage, unchecked_return_type = "Promise<Embedding>")]
    pub fn restore_image(
        &self,
        #[wasm_bindgen(js_name = highRes0)] high_res_0: Vec<f32>,
        #[wasm_bindgen(js_name = highRes1)] high_res_1: Vec<f32>,
        embedding: Vec<f32>,
        width: usize,
        height: usize,
    ) -> Promise {
        let (predictor, device) = (self.predictor.clone(), self.device.clone());
        promise(async move {
            let values = [high_res_0, high_res_1, embedding];
            let restoring = async { Ok(predictor.restore_image(values, [width, height])?) };
            let image = Rc::new(device.watch(restoring).await?);
            Ok(Embedding {
                predictor,
                image,
                device,
            }
            .into())
        })
    }

    /// Opens a video with frames of this size. The frame count of a stream is `undefined`.
    ///
    /// Throws `INVALID_IMAGE`, `IMAGE_TOO_LARGE`, `UNSUPPORTED_INPUT`, or `WEIGHTS_MISMATCH` if the weights are for
    /// pictures only.
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

/// An encoded picture. Its features stay on the device until `free` is called.
#[wasm_bindgen]
pub struct Embedding {
    predictor: Rc<ImagePredictor>,
    image: Rc<ImageEmbedding>,
    device: Rc<Opened>,
}

#[wasm_bindgen]
impl Embedding {
    /// The picture's width, in pixels.
    #[wasm_bindgen(getter)]
    pub fn width(&self) -> usize {
        self.image.width()
    }

    /// The picture's height, in pixels.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.image.height()
    }

    /// The features that prompts read: of strides 4, 8 and 16, as three `Float32Array`s.
    ///
    /// Rejects with `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<[Float32Array, Float32Array, Float32Array]>")]
    pub fn features(&self) -> Promise {
        let (image, device) = (self.image.clone(), self.device.clone());
        promise(async move {
            let values = device.watch(async { Ok(image.values().await?) }).await?;
            let arrays = values.map(|values| Float32Array::from(&values[..]));
            Ok(arrays.into_iter().collect::<Array>().into())
        })
    }

    /// Predicts the masks of many prompts, in their order, which is faster than one prompt at a time. The masks' holes
    /// and islands of at most the given numbers of low-resolution pixels are filled and removed.
    ///
    /// Rejects with `INVALID_PROMPT`, `DEVICE_LOST` or `OUT_OF_MEMORY`. Nothing is predicted then.
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

    /// Finds the masks of everything in the picture: a grid of points is asked, in batches. `picture` is that of
    /// `setImage`, and needed only for `cropNLayers`. After each batch `found(batch)` is called and waited for; with
    /// `false` it ends the search. Resolves to all masks.
    ///
    /// Rejects with `UNSUPPORTED_INPUT` for an option out of its bounds, with what `found` rejects with, or with
    /// `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<WasmMaskRecord[]>")]
    pub fn generate(
        &self,
        #[wasm_bindgen(unchecked_param_type = "WasmGeneratorOptions")] options: JsValue,
        rgba: Option<Vec<u8>>,
        #[wasm_bindgen(unchecked_param_type = "(batch: WasmFoundMasks) => Promise<boolean>")] found: Function,
    ) -> Promise {
        let (predictor, image) = (self.predictor.clone(), self.image.clone());
        let device = self.device.clone();
        promise(async move {
            let generating = everything::generate(&predictor, &image, options, rgba.as_deref(), &found);
            device.watch(generating).await
        })
    }
}

/// The configuration that was given as the name of a variant or as JSON, or else the file's own, with `image_size` if
/// that was given.
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
    // As in the official YAML files, the tree may be the value of the key `model`.
    Sam2Config::from_official(tree.get("model").unwrap_or(&tree)).map_err(unsupported)
}

fn unsupported(error: impl std::fmt::Display) -> JsFailure {
    JsFailure::new("WEIGHTS_UNSUPPORTED", error.to_string())
}
