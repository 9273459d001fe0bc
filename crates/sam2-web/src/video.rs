//! A video whose objects are followed.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Promise};
use sam2::VideoModel;
use sam2_predict::{
    PictureRef, PixelFormat, VideoError, VideoMask, VideoMasks, VideoOptions, VideoSession,
    object_in_mask_picture,
};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::device::Opened;
use crate::error::JsFailure;
use crate::promise::promise;
use crate::prompt;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export interface WasmVideoOptions {
  nonOverlapping: boolean;
  fillHoles: number;
  memoryStride: number;
  maxConditioningFrames: number;
  officialCorrections: boolean;
  pastMaskBytes: number;
}
export interface WasmVideoMask extends WasmMask {
  object: number;
  objectScore: number | undefined;
}
export interface WasmFrameMasks {
  frame: number;
  masks: WasmVideoMask[];
}
export interface WasmMemoryUse {
  tensors: number;
  deviceBytes: number;
  hostBytes: number;
}
"#;

/// As in [`TYPES`].
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsOptions {
    non_overlapping: bool,
    fill_holes: usize,
    memory_stride: usize,
    max_conditioning_frames: usize,
    official_corrections: bool,
    past_mask_bytes: usize,
}

/// Its objects' memories stay on the device until `free`. Every call works on the frame set last.
#[wasm_bindgen]
pub struct Video {
    // Taken out while a call is under way, so that `free` and further calls may come at any time.
    session: Rc<Cell<Option<VideoSession>>>,
    device: Rc<Opened>,
}

impl Video {
    /// # Errors
    /// `INVALID_IMAGE` or `IMAGE_TOO_LARGE` for frames of that size, `UNSUPPORTED_INPUT` for the options.
    pub fn open(
        model: Arc<VideoModel>,
        device: Rc<Opened>,
        size: [usize; 2],
        frame_count: Option<usize>,
        options: JsValue,
    ) -> Result<Self, JsFailure> {
        let options: JsOptions = serde_wasm_bindgen::from_value(options).map_err(|error| {
            JsFailure::new(
                "UNSUPPORTED_INPUT",
                format!("the video's options are not of the right form: {error}"),
            )
        })?;
        let options = VideoOptions {
            non_overlap_masks: options.non_overlapping,
            fill_hole_area: options.fill_holes,
            memory_temporal_stride: options.memory_stride,
            max_cond_frames_in_attn: Some(options.max_conditioning_frames),
            add_all_frames_to_correct_as_cond: !options.official_corrections,
            max_past_mask_bytes: options.past_mask_bytes,
            ..VideoOptions::default()
        };
        let session = VideoSession::new(model, options, size, frame_count)?;
        Ok(Self {
            session: Rc::new(Cell::new(Some(session))),
            device,
        })
    }

    /// Does `work` on the session. Rejects with `INTERNAL` while another call is under way.
    fn work<F>(&self, work: impl FnOnce(VideoSession) -> F + 'static) -> Promise
    where
        F: Future<Output = (VideoSession, Result<JsValue, JsFailure>)> + 'static,
    {
        let (slot, device) = (self.session.clone(), self.device.clone());
        promise(async move {
            let session = slot
                .take()
                .ok_or_else(|| JsFailure::new("INTERNAL", "another call on this video is still under way"))?;
            let working = async {
                let (session, result) = work(session).await;
                slot.set(Some(session));
                result
            };
            device.watch(working).await
        })
    }
}

#[wasm_bindgen]
impl Video {
    /// Encodes a frame of RGBA bytes, unless it is the one at hand.
    ///
    /// Rejects with `FRAME_OUT_OF_RANGE`, `FRAME_SIZE_CHANGED`, `INVALID_IMAGE`, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(js_name = setFrame, unchecked_return_type = "Promise<void>")]
    pub fn set_frame(&self, frame: usize, rgba: Vec<u8>, width: usize, height: usize) -> Promise {
        self.work(async move |mut session| {
            let set = PictureRef::new(&rgba, PixelFormat::Rgba, width, height)
                .map_err(JsFailure::from)
                .and_then(|picture| Ok(session.set_frame(frame, picture)?));
            (session, set.map(|()| JsValue::UNDEFINED))
        })
    }

    /// Prompts an object with points and a box.
    ///
    /// Rejects with `INVALID_PROMPT`, `FRAME_GONE` if the frame is not at hand, `DEVICE_LOST` or `OUT_OF_MEMORY`.
    #[wasm_bindgen(unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn prompt(
        &self,
        frame: usize,
        object: u32,
        #[wasm_bindgen(unchecked_param_type = "WasmPrompt")] prompt: JsValue,
        #[wasm_bindgen(js_name = keepPoints)] keep_points: bool,
    ) -> Promise {
        self.work(async move |mut session| {
            let prompt = match prompt::from_js(&prompt) {
                Ok(prompt) => prompt,
                Err(failure) => return (session, Err(failure)),
            };
            let masks = session
                .add_points_or_box(frame, object, &prompt, !keep_points)
                .await;
            (session, masks.map(|masks| to_js(&masks)).map_err(JsFailure::from))
        })
    }

    /// Prompts an object with its mask: a byte a pixel, or RGBA, as `object_in_mask_picture` reads it.
    ///
    /// Rejects as `prompt`.
    #[wasm_bindgen(js_name = promptMask, unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn prompt_mask(&self, frame: usize, object: u32, mask: Vec<u8>) -> Promise {
        self.work(async move |mut session| {
            let channels = match session.width() * session.height() {
                // 64 MP at most.
                pixels if mask.len() == 4 * pixels => 4,
                _ => 1,
            };
            let Some(mask) = object_in_mask_picture(&mask, channels) else {
                return (session, Err(VideoError::EmptyMask.into()));
            };
            let masks = session.add_mask(frame, object, &mask).await;
            (session, masks.map(|masks| to_js(&masks)).map_err(JsFailure::from))
        })
    }

    /// Takes an object's prompts on a frame back.
    ///
    /// Rejects with `FRAME_OUT_OF_RANGE`.
    #[wasm_bindgen(js_name = clearPrompts, unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn clear_prompts(&self, frame: usize, object: u32) -> Promise {
        self.work(async move |mut session| {
            // Of an object that is not known there is nothing to take back.
            let masks = match session.clear_prompts(frame, object) {
                Err(VideoError::NoSuchObject { .. }) => Ok(session.masks_at(frame)),
                cleared => cleared,
            };
            (session, masks.map(|masks| to_js(&masks)).map_err(JsFailure::from))
        })
    }

    /// Where tracking begins unless it is told: the first prompted frame.
    ///
    /// Rejects with `INVALID_PROMPT` if an object has no prompt, or there is none.
    #[wasm_bindgen(js_name = firstFrame, unchecked_return_type = "Promise<number>")]
    pub fn first_frame(&self) -> Promise {
        self.work(async move |mut session| {
            let begun = session.begin_tracking().map_err(JsFailure::from);
            let frames = session.frames_to_track(None, None, false);
            // Once tracking has begun there is a prompted frame.
            let first = frames.map_or(0, |frames| *frames.start());
            (session, begun.map(|()| JsValue::from(first)))
        })
    }

    /// Follows all objects to the frame at hand.
    ///
    /// Rejects with `INVALID_PROMPT` if an object has no prompt, or there is none, or as `prompt`.
    #[wasm_bindgen(unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn track(&self, frame: usize, backward: bool) -> Promise {
        self.work(async move |mut session| {
            // Prompts may have come since the last step.
            let masks = match session.begin_tracking() {
                Ok(()) => session.track(frame, backward).await,
                Err(error) => Err(error),
            };
            (session, masks.map(|masks| to_js(&masks)).map_err(JsFailure::from))
        })
    }

    /// All objects' latest masks on a frame.
    #[wasm_bindgen(js_name = masksAt, unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn masks_at(&self, frame: usize) -> Promise {
        self.work(async move |session| {
            let masks = to_js(&session.masks_at(frame));
            (session, Ok(masks))
        })
    }

    /// Forgets an object; the frames on which it was prompted, as they are without it.
    #[wasm_bindgen(js_name = removeObject, unchecked_return_type = "Promise<WasmFrameMasks[]>")]
    pub fn remove_object(&self, object: u32) -> Promise {
        self.work(async move |mut session| {
            let frames: Array = session.remove_object(object).iter().map(to_js).collect();
            (session, Ok(frames.into()))
        })
    }

    /// Forgets all objects.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn reset(&self) -> Promise {
        self.work(async move |mut session| {
            session.reset();
            (session, Ok(JsValue::UNDEFINED))
        })
    }

    /// What is held besides the network.
    #[wasm_bindgen(js_name = memoryUse, unchecked_return_type = "Promise<WasmMemoryUse>")]
    pub fn memory_use(&self) -> Promise {
        self.work(async move |session| {
            let held = session.memory_use();
            let use_ = prompt::object(&[
                ("tensors", held.tensors.into()),
                ("deviceBytes", held.device_bytes.into()),
                ("hostBytes", held.host_bytes.into()),
            ]);
            (session, Ok(use_))
        })
    }
}

/// A `WasmFrameMasks`.
fn to_js(masks: &VideoMasks) -> JsValue {
    let each = |mask: &VideoMask| {
        let mut fields = prompt::mask_fields(&mask.mask).to_vec();
        fields.push(("object", mask.object.into()));
        fields.push(("objectScore", mask.object_score.into()));
        prompt::object(&fields)
    };
    prompt::object(&[
        ("frame", masks.frame.into()),
        ("masks", masks.masks.iter().map(each).collect::<Array>().into()),
    ])
}
