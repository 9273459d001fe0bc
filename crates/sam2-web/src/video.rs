//! A video and its tracked objects.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use js_sys::{Array, Float32Array, Promise, Uint8Array};
use sam2::VideoModel;
use sam2_predict::{
    PictureRef, PixelFormat, VideoError, VideoMask, VideoMasks, VideoOptions, VideoSession,
    object_in_mask_picture,
};
use sam2_wasm::{JsFailure, Opened, object, promise};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::prompt;

/// The options of a video, as in [`TYPES`].
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

/// A video. The memories of its objects stay on the device until `free` is called. Prompts and tracking use the current
/// frame, which was set last.
#[wasm_bindgen]
pub struct Video {
    // The session is taken out during a call, so that `free` and further calls are possible at any time.
    session: Rc<Cell<Option<VideoSession>>>,
    device: Rc<Opened>,
}

impl Video {
    /// Opens a video.
    ///
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

    /// Runs `work` on the session. Rejects with `INTERNAL` during another call.
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
    /// Makes a frame of RGBA bytes the current one, and encodes it unless it is so already.
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

    /// Prompts an object on the current frame with points and a box. Resolves to the masks of all objects.
    ///
    /// Rejects with `INVALID_PROMPT`, `FRAME_GONE` if the frame is not the current one, `DEVICE_LOST` or `OUT_OF_MEMORY`.
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

    /// Prompts an object on the current frame with its mask, which has a byte for each pixel, or RGBA bytes, from which
    /// `object_in_mask_picture` takes the object. Resolves to the masks of all objects.
    ///
    /// Rejects with the codes of `prompt`.
    #[wasm_bindgen(js_name = promptMask, unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn prompt_mask(&self, frame: usize, object: u32, mask: Vec<u8>) -> Promise {
        self.work(async move |mut session| {
            let channels = match session.width() * session.height() {
                // There are at most 64 million pixels, so this cannot overflow.
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

    /// Removes an object's prompts on a frame. Resolves to the masks of all objects.
    ///
    /// Rejects with `FRAME_OUT_OF_RANGE`.
    #[wasm_bindgen(js_name = clearPrompts, unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn clear_prompts(&self, frame: usize, object: u32) -> Promise {
        self.work(async move |mut session| {
            // An unknown object has no prompts to remove.
            let masks = match session.clear_prompts(frame, object) {
                Err(VideoError::NoSuchObject { .. }) => Ok(session.masks_at(frame)),
                cleared => cleared,
            };
            (session, masks.map(|masks| to_js(&masks)).map_err(JsFailure::from))
        })
    }

    /// The frame at which tracking begins by default, which is the first prompted one.
    ///
    /// Rejects with `INVALID_PROMPT` if an object has no prompts, or if there are no objects.
    #[wasm_bindgen(js_name = firstFrame, unchecked_return_type = "Promise<number>")]
    pub fn first_frame(&self) -> Promise {
        self.work(async move |mut session| {
            let begun = session.begin_tracking().map_err(JsFailure::from);
            let frames = session.frames_to_track(None, None, false);
            // After `begin_tracking` there is always a prompted frame.
            let first = frames.map_or(0, |frames| *frames.start());
            (session, begun.map(|()| JsValue::from(first)))
        })
    }

    /// Tracks all objects to the current frame. Resolves to their masks.
    ///
    /// Rejects with `INVALID_PROMPT` if an object has no prompts or if there are no objects, and with the codes of
    /// `prompt`.
    #[wasm_bindgen(unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn track(&self, frame: usize, backward: bool) -> Promise {
        self.work(async move |mut session| {
            // There may be new prompts since the last step.
            let masks = match session.begin_tracking() {
                Ok(()) => session.track(frame, backward).await,
                Err(error) => Err(error),
            };
            (session, masks.map(|masks| to_js(&masks)).map_err(JsFailure::from))
        })
    }

    /// Resolves to the latest masks of all objects on a frame.
    #[wasm_bindgen(js_name = masksAt, unchecked_return_type = "Promise<WasmFrameMasks>")]
    pub fn masks_at(&self, frame: usize) -> Promise {
        self.work(async move |session| {
            let masks = to_js(&session.masks_at(frame));
            (session, Ok(masks))
        })
    }

    /// Removes an object. Resolves to the masks of the others on the frames on which it was prompted.
    #[wasm_bindgen(js_name = removeObject, unchecked_return_type = "Promise<WasmFrameMasks[]>")]
    pub fn remove_object(&self, object: u32) -> Promise {
        self.work(async move |mut session| {
            let frames: Array = session.remove_object(object).iter().map(to_js).collect();
            (session, Ok(frames.into()))
        })
    }

    /// Removes all objects.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn reset(&self) -> Promise {
        self.work(async move |mut session| {
            session.reset();
            (session, Ok(JsValue::UNDEFINED))
        })
    }

    /// Resolves to the memory of the video without the network.
    #[wasm_bindgen(js_name = memoryUse, unchecked_return_type = "Promise<WasmMemoryUse>")]
    pub fn memory_use(&self) -> Promise {
        self.work(async move |session| {
            let held = session.memory_use();
            let use_ = object(&[
                ("tensors", held.tensors.into()),
                ("deviceBytes", held.device_bytes.into()),
                ("hostBytes", held.host_bytes.into()),
            ]);
            (session, Ok(use_))
        })
    }
}

/// Converts masks to a `WasmFrameMasks`.
fn to_js(masks: &VideoMasks) -> JsValue {
    let each = |mask: &VideoMask| {
        object(&[
            ("object", mask.object.into()),
            ("objectScore", mask.object_score.into()),
            ("score", mask.mask.score().into()),
            ("bits", Uint8Array::from(mask.mask.bits()).into()),
            ("logits", Float32Array::from(&mask.logits[..]).into()),
        ])
    };
    object(&[
        ("frame", masks.frame.into()),
        ("masks", masks.masks.iter().map(each).collect::<Array>().into()),
    ])
}
