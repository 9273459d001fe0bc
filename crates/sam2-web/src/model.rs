//! A loaded network and the pictures encoded with it.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Promise};
use sam2::{ImageModel, Sam2Config, Version, VideoModel};
use sam2_predict::{ImageEmbedding, ImagePredictor, PictureRef, PixelFormat};
use sam2_weights::Checkpoint;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::error::JsFailure;
use crate::video::Video;
use crate::{device, prompt};

/// A network on its device.
#[wasm_bindgen]
pub struct Model {
    // Shared with every call under way, so that `free` may come at any time.
    predictor: Rc<ImagePredictor>,
    image: Arc<ImageModel>,
    memory: RefCell<Memory>,
    parameters: usize,
    device: String,
    f16_products: bool,
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
    /// Loads a weights file's bytes (safetensors, or the official `.pt`). `config` is a variant's name or the official
    /// configuration as JSON; without it the file says, or its tensors do. `f16_products` asks a GPU with `shader-f16` to
    /// multiply matrices in f16. Resolves to a `Model`.
    ///
    /// Rejects with `WEIGHTS_…` or `DEVICE_UNAVAILABLE`.
    #[wasm_bindgen(unchecked_return_type = "Promise<Model>")]
    pub fn load(
        weights: Vec<u8>,
        config: Option<String>,
        #[wasm_bindgen(js_name = f16Products)] f16_products: bool,
    ) -> Promise {
        promise(async move {
            let mut checkpoint = Checkpoint::from_bytes(weights)?;
            let config = match config {
                Some(text) => parse_config(&text, checkpoint.version())?,
                None => checkpoint.config()?,
            };
            checkpoint.check(&config)?;
            let parameters = config
                .parameters()
                .iter()
                .map(|p| p.shape.iter().product::<usize>())
                .sum();
            let opened = device::open(f16_products).await?;
            let image = Arc::new(ImageModel::load(
                &config,
                &mut checkpoint,
                &opened.implementation,
            )?);
            device::check()?;
            Ok(Model {
                predictor: Rc::new(ImagePredictor::new(image.clone())),
                image,
                memory: RefCell::new(Memory::Stored(checkpoint.into_memory())),
                parameters,
                device: opened.name,
                f16_products: opened.f16_products,
            }
            .into())
        })
    }

    /// Readies the device for a model while its file is still coming: `beginning` is a safetensors file's header, and
    /// `f16_products` as [`Model::load`] will be told. Resolves to whether there was anything to do.
    ///
    /// Rejects with `DEVICE_UNAVAILABLE`.
    #[wasm_bindgen(js_name = warmUp, unchecked_return_type = "Promise<boolean>")]
    pub fn warm_up(beginning: Vec<u8>, #[wasm_bindgen(js_name = f16Products)] f16_products: bool) -> Promise {
        promise(async move { Ok(device::warm_up(beginning, f16_products).await?.into()) })
    }

    /// Whether matrices are multiplied in f16: it was asked for, and the device can.
    #[wasm_bindgen(getter, js_name = f16Products)]
    pub fn f16_products(&self) -> bool {
        self.f16_products
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

    /// `cpu`, or what the GPU calls itself.
    #[wasm_bindgen(getter)]
    pub fn device(&self) -> String {
        self.device.clone()
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
        let predictor = self.predictor.clone();
        promise(async move {
            let picture = PictureRef::new(&rgba, PixelFormat::Rgba, width, height)?;
            let image = predictor.set_image(picture).await?;
            device::check()?;
            Ok(Embedding {
                predictor,
                image: Rc::new(image),
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
        Ok(Video::open(self.video()?, [width, height], frame_count, options)?)
    }
}

/// An encoded picture; its features stay on the device until `free`.
#[wasm_bindgen]
pub struct Embedding {
    predictor: Rc<ImagePredictor>,
    image: Rc<ImageEmbedding>,
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

    /// Answers a prompt.
    ///
    /// Rejects with `INVALID_PROMPT`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<WasmPrediction>")]
    pub fn predict(&self, #[wasm_bindgen(unchecked_param_type = "WasmPrompt")] prompt: JsValue) -> Promise {
        let (predictor, image) = (self.predictor.clone(), self.image.clone());
        promise(async move {
            let prediction = predictor.predict(&image, &prompt::from_js(&prompt)?).await?;
            device::check()?;
            Ok(prompt::to_js(&prediction))
        })
    }

    /// Answers many prompts, in their order; quicker than one by one.
    ///
    /// Rejects as `predict`; then none is answered.
    #[wasm_bindgen(js_name = predictBatch, unchecked_return_type = "Promise<WasmPrediction[]>")]
    pub fn predict_batch(
        &self,
        #[wasm_bindgen(unchecked_param_type = "WasmPrompt[]")] prompts: Array,
    ) -> Promise {
        let (predictor, image) = (self.predictor.clone(), self.image.clone());
        promise(async move {
            let prompts = prompts
                .iter()
                .map(|value| prompt::from_js(&value))
                .collect::<Result<Vec<_>, _>>()?;
            let predictions = predictor.predict_batch(&image, &prompts).await?;
            device::check()?;
            Ok(predictions.iter().map(prompt::to_js).collect::<Array>().into())
        })
    }
}

/// `work`, its failure as a JavaScript `Error`.
pub fn promise(work: impl Future<Output = Result<JsValue, JsFailure>> + 'static) -> Promise {
    future_to_promise(async { work.await.map_err(JsValue::from) })
}

fn parse_config(text: &str, version: Version) -> Result<Sam2Config, JsFailure> {
    let unsupported = |message: String| JsFailure::new("WEIGHTS_UNSUPPORTED", message);
    if !text.trim_start().starts_with('{') {
        return Sam2Config::named(text, version).map_err(|error| unsupported(error.to_string()));
    }
    let tree = serde_json::from_str(text)
        .map_err(|error| unsupported(format!("the configuration is not JSON: {error}")))?;
    Sam2Config::from_official(&tree).map_err(|error| unsupported(error.to_string()))
}
