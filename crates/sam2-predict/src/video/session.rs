//! Tracking of objects through a video, whose frames are given one by one
//! (`sam2.sam2_video_predictor.SAM2VideoPredictor`).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData, Transaction};
use sam2::mask_decoder::ImageFeatures;
use sam2::memory::{MemoryRules, recall};
use sam2::prompt_encoder::Point;
use sam2::{ObjectPointer, SamOutput, SpatialMemory, VideoModel};
use sam2_resample::{antialiased, of_pixels};

use super::object::{Answer, FrameOutput, Memory, Object};
use crate::fill_holes;
use crate::image::check_count;
use crate::mask::non_overlapping_bits;
use crate::{LowResMask, Mask, PictureRef, PredictError, Prompt, VideoError, VideoOptions, frame_to_tensor};

/// The logit of every pixel of an object without a result on the frame.
const NO_OBJ_SCORE: f32 = -1024.0;
/// The bound to which the absolute values of earlier logits are limited in a new prompt.
const MAX_PROMPT_LOGIT: f32 = 32.0;

/// A session on one video: its objects and their memories. Frames are given one at a time, so the video may be a stream.
/// Only the features of the current frame are kept, for all objects together.
#[derive(Debug)]
pub struct VideoSession {
    model: Arc<VideoModel>,
    options: VideoOptions,
    rules: MemoryRules,
    width: usize,
    height: usize,
    num_frames: Option<usize>,
    current: Option<(usize, ImageFeatures)>,
    objects: Vec<Object>,
    encodes: usize,
    /// The background of the first frame that was not opaque, which is used for the others too.
    ground: Option<u8>,
}

/// The masks of all objects on a frame, in the order in which the objects were added.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoMasks {
    /// The frame's number.
    pub frame: usize,
    /// One mask for each object.
    pub masks: Vec<VideoMask>,
}

/// One object's mask on a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoMask {
    /// The object's number.
    pub object: u32,
    /// The mask, which is empty if the object is not visible or has no result on this frame.
    pub mask: Mask,
    /// Low-resolution logits, clamped to ±32, row-major, which can be the mask of a later prompt. Empty if only the mask
    /// is kept ([`VideoSession::masks_at`]).
    pub logits: Vec<f32>,
    /// A logit that is positive if the object is visible; `None` if the object has no result on this frame.
    pub object_score: Option<f32>,
}

/// The memory of a session without the network; see [`VideoSession::memory_use`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// The number of tensors on the device.
    pub tensors: usize,
    /// The memory of these tensors, in bytes.
    pub device_bytes: usize,
    /// The memory of logits and compressed masks on the host, in bytes.
    pub host_bytes: usize,
}

/// The numbers of the frames that a session remembers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectFrames {
    /// The object's number.
    pub object: u32,
    /// The conditioning frames, in the order in which they became conditioning frames.
    pub cond: Vec<usize>,
    /// The other frames with a memory.
    pub non_cond: Vec<usize>,
    /// The tracked frames, and whether they were tracked in reverse.
    pub tracked: Vec<(usize, bool)>,
}

impl VideoSession {
    /// A session for frames of `width` x `height` pixels. `num_frames` is `None` for a stream of unknown length.
    ///
    /// # Errors
    /// The frames are empty or too large, or an option has a value that is not allowed.
    pub fn new(
        model: Arc<VideoModel>,
        options: VideoOptions,
        [width, height]: [usize; 2],
        num_frames: Option<usize>,
    ) -> Result<Self, VideoError> {
        PictureRef::check_size(width, height)?;
        options.check()?;
        Ok(Self {
            rules: options.rules(model.rules()),
            model,
            options,
            width,
            height,
            num_frames,
            current: None,
            objects: Vec::new(),
            encodes: 0,
            ground: None,
        })
    }

    /// Makes a frame the current one, and encodes it unless it is so already. Prompts and tracking need the current
    /// frame.
    ///
    /// # Errors
    /// There is no such frame, or it has another size than the video.
    pub fn set_frame(&mut self, frame: usize, picture: PictureRef<'_>) -> Result<(), VideoError> {
        self.check_frame(frame)?;
        let (width, height) = (picture.width(), picture.height());
        if [width, height] != [self.width, self.height] {
            return Err(VideoError::FrameSize {
                width,
                height,
                video_width: self.width,
                video_height: self.height,
            });
        }
        if self.current.as_ref().is_none_or(|(at, _)| *at != frame) {
            self.settle(frame);
            self.ground = self.ground.or(picture.ground());
            let picture = match self.ground {
                Some(ground) => picture.with_ground(ground),
                None => picture,
            };
            let image = &self.model.image;
            let input = frame_to_tensor(picture, image.config.image_size, image.device());
            self.current = Some((frame, image.encode(input)));
            self.encodes += 1;
        }
        Ok(())
    }

    /// The width of the frames, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The height of the frames, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The number of frames that have been encoded so far.
    pub fn encodes(&self) -> usize {
        self.encodes
    }

    /// Prompts an object on the current frame with points and a box, and returns the masks of all objects. A new object
    /// is added. With `clear_old_points`, the points replace the earlier ones on the frame; otherwise they are added to
    /// them. The prompt's mask and `multimask` are ignored; see [`Self::add_mask`].
    ///
    /// # Errors
    /// The prompt is wrong, the frame is not the current one, or the device failed. The session then has not changed.
    pub async fn add_points_or_box(
        &mut self,
        frame: usize,
        object: u32,
        prompt: &Prompt,
        clear_old_points: bool,
    ) -> Result<VideoMasks, VideoError> {
        let features = self.features(frame)?;
        let image_size = self.model.image.config.image_size;
        let new = prompt.to_points(self.width, self.height, image_size)?;
        if new.is_empty() {
            return Err(VideoError::EmptyPrompt);
        }
        if prompt.box_.is_some() && !clear_old_points {
            return Err(VideoError::BoxAfterPoints);
        }
        let known = self.object(object);
        let mut points = match known.and_then(|known| known.points.get(&frame)) {
            Some(old) if !clear_old_points => old.clone(),
            _ => Vec::new(),
        };
        points.extend(new);
        check_count(&self.model.image, points.len())?;

        self.wake(frame, object, &features).await?;
        let known = self.object(object);
        let kind = self.prompt_kind(object, frame);
        let previous = known.and_then(|known| known.output(frame, kind.conditions));
        let previous = previous.map(|output| {
            self.to_logits(&output.low_res)
                .clamp(-MAX_PROMPT_LOGIT, MAX_PROMPT_LOGIT)
        });
        let image = match (kind.first, known) {
            (false, Some(known)) => self.condition(known, &features, frame, kind.reverse),
            _ => self.model.image.without_memory(features.clone()),
        };
        let output = self
            .model
            .forward_sam_heads(&image, &points, previous, wants_candidates(&points));
        let output = self.finish(output, Memory::ToMake(features.embedding)).await?;

        let known = self.object_or_new(object);
        known.points.insert(frame, points);
        known.masks.remove(&frame);
        known.set_prompted(frame, kind.conditions, output);
        Ok(self.masks_on(frame, kind.conditions))
    }

    /// Prompts an object on the current frame with its mask, which has a byte for each pixel, row by row: 0 is not on the
    /// object, and any other value is. Returns the masks of all objects.
    ///
    /// # Errors
    /// The mask has another size or is empty, the frame is not the current one, or the device failed. The session then
    /// has not changed.
    pub async fn add_mask(
        &mut self,
        frame: usize,
        object: u32,
        mask: &[u8],
    ) -> Result<VideoMasks, VideoError> {
        let features = self.features(frame)?;
        if mask.len() != self.width * self.height {
            return Err(VideoError::MaskSize {
                expected: self.width * self.height,
                found: mask.len(),
            });
        }
        if mask.iter().all(|&byte| byte == 0) {
            return Err(VideoError::EmptyMask);
        }
        let kind = self.prompt_kind(object, frame);
        let output = self.model.use_mask_as_output(&features, &self.to_square(mask));
        let output = self.finish(output, Memory::ToMake(features.embedding)).await?;

        let known = self.object_or_new(object);
        known.points.remove(&frame);
        known.masks.insert(frame);
        known.set_prompted(frame, kind.conditions, output);
        Ok(self.masks_on(frame, kind.conditions))
    }

    /// Makes the prompts since the last call final, and makes their memories. It has to be called before tracking
    /// (`propagate_in_video_preflight`).
    ///
    /// # Errors
    /// There is no object, or an object has no prompts.
    pub fn begin_tracking(&mut self) -> Result<(), VideoError> {
        if self.objects.is_empty() {
            return Err(VideoError::NoObjects);
        }
        self.make_memories();
        for object in &mut self.objects {
            object.remember_prompted();
            if object.cond.is_empty() {
                return Err(VideoError::NoPrompts { object: object.id });
            }
        }
        Ok(())
    }

    /// The frames to track, in their order, as the official `propagate_in_video` chooses them: from `start`, or the first
    /// conditioning frame, to `max_frames` frames after it, both inclusive. `None` if there is nothing to track.
    pub fn frames_to_track(
        &self,
        start: Option<usize>,
        max_frames: Option<usize>,
        reverse: bool,
    ) -> Option<RangeInclusive<usize>> {
        let first = self
            .objects
            .iter()
            .flat_map(|object| object.cond.iter().copied())
            .min();
        let start = start.or(first)?;
        let last = self
            .num_frames
            .map_or(usize::MAX, |count| count.saturating_sub(1));
        let further = max_frames.unwrap_or(usize::MAX);
        match reverse {
            true => (start > 0).then(|| start.saturating_sub(further)..=start),
            false => Some(start..=start.saturating_add(further).min(last)),
        }
    }

    /// Tracks all objects to the current frame, and returns their masks. Prompted frames keep their masks.
    ///
    /// # Errors
    /// [`Self::begin_tracking`] has to be called first, the frame is not the current one, or the device failed.
    pub async fn track(&mut self, frame: usize, reverse: bool) -> Result<VideoMasks, VideoError> {
        let features = self.features(frame)?;
        if self.objects.is_empty() {
            return Err(VideoError::NoObjects);
        }
        for index in 0..self.objects.len() {
            let object = &self.objects[index];
            if object.cond.is_empty() {
                return Err(VideoError::NoPrompts { object: object.id });
            }
            self.wake(frame, object.id, &features).await?;
            let object = &self.objects[index];
            if !object.cond_outputs.contains_key(&frame) {
                let image = self.condition(object, &features, frame, reverse);
                let output = self.model.forward_sam_heads(&image, &[], None, true);
                let memory = self.model.encode_new_memory(
                    features.embedding.clone(),
                    output.low_res_masks.clone(),
                    output.object_score_logits.clone(),
                    false,
                );
                let output = self.finish(output, Memory::Made(memory)).await?;
                self.objects[index].remember(frame, false, output);
            }
            self.objects[index].tracked.insert(frame..=frame, reverse);
        }
        let reach = match self.options.keep_all_memories {
            true => usize::MAX,
            false => self.options.memory_reach(&self.rules),
        };
        self.leave_far_frames(frame, reach);
        Ok(self.masks_on(frame, true))
    }

    /// Removes an object's prompts on a frame, and returns the masks of all objects on the frame.
    ///
    /// # Errors
    /// There is no such object, or no such frame.
    pub fn clear_prompts(&mut self, frame: usize, object: u32) -> Result<VideoMasks, VideoError> {
        self.check_frame(frame)?;
        let known = self.objects.iter_mut().find(|known| known.id == object);
        known.ok_or(VideoError::NoSuchObject { object })?.clear(frame);
        Ok(self.masks_on(frame, self.is_prompted(frame)))
    }

    /// Removes an object, and returns the masks of the others on the frames on which it was prompted. Nothing happens if
    /// there is no such object.
    pub fn remove_object(&mut self, object: u32) -> Vec<VideoMasks> {
        let Some(index) = self.objects.iter().position(|known| known.id == object) else {
            return Vec::new();
        };
        let removed = self.objects.remove(index);
        if self.objects.is_empty() {
            return Vec::new();
        }
        let frames: BTreeSet<usize> = removed.points.into_keys().chain(removed.masks).collect();
        frames
            .into_iter()
            .map(|frame| self.masks_on(frame, self.is_prompted(frame)))
            .collect()
    }

    /// Removes all objects. The current frame is kept.
    pub fn reset(&mut self) {
        self.objects.clear();
    }

    /// The latest masks of all objects on a frame. Frames whose memories are no longer kept have masks without logits;
    /// see [`VideoOptions::max_past_mask_bytes`] for how long these are kept.
    pub fn masks_at(&self, frame: usize) -> VideoMasks {
        self.masks_on(frame, true)
    }

    /// An object's latest logits on a frame at low resolution, row by row, after holes were filled. All are -1024 if the
    /// object is not visible. `None` if the frame's logits are no longer kept.
    pub fn logits(&self, object: u32, frame: usize) -> Option<&[f32]> {
        let output = self.object(object)?.output(frame, true)?;
        Some(&output.low_res)
    }

    /// The frames that are remembered, for each object.
    pub fn objects(&self) -> Vec<ObjectFrames> {
        let frames = |object: &Object| ObjectFrames {
            object: object.id,
            cond: object.cond.clone(),
            non_cond: object.non_cond_outputs.keys().copied().collect(),
            tracked: object
                .tracked
                .iter()
                .flat_map(|(frames, reverse)| frames.clone().map(|frame| (frame, *reverse)))
                .collect(),
        };
        self.objects.iter().map(frames).collect()
    }

    /// The memory of the session without the network. It does not grow with the video's length, except for the compressed
    /// masks on the host, up to [`VideoOptions::max_past_mask_bytes`] and those of prompted frames.
    pub fn memory_use(&self) -> MemoryUse {
        let mut held = MemoryUse::default();
        let mut hold = |numbers: usize| {
            held.tensors += 1;
            held.device_bytes += numbers * size_of::<f32>();
        };
        if let Some((_, features)) = &self.current {
            for tensor in [&features.embedding, &features.high_res_0, &features.high_res_1] {
                hold(tensor.shape().num_elements());
            }
        }
        let outputs: Vec<&FrameOutput> = self.objects.iter().flat_map(Object::outputs).collect();
        for output in &outputs {
            hold(output.obj_ptr.shape().num_elements());
            match &output.memory {
                Memory::Made(memory) => hold(memory.shape().num_elements()),
                // The embedding is that of the current frame.
                Memory::ToMake(_) => {}
            }
        }
        let logits: usize = outputs.iter().map(|output| output.low_res.len()).sum();
        held.host_bytes = logits * size_of::<f32>() + self.past_bytes();
        held
    }

    fn check_frame(&self, frame: usize) -> Result<(), VideoError> {
        match self.num_frames {
            Some(num_frames) if frame >= num_frames => Err(VideoError::NoSuchFrame { frame, num_frames }),
            _ => Ok(()),
        }
    }

    /// The features of the current frame, which must be `frame`.
    fn features(&self, frame: usize) -> Result<ImageFeatures, VideoError> {
        self.check_frame(frame)?;
        match &self.current {
            Some((at, features)) if *at == frame => Ok(features.clone()),
            _ => Err(VideoError::FrameNotSet { frame }),
        }
    }

    fn object(&self, id: u32) -> Option<&Object> {
        self.objects.iter().find(|object| object.id == id)
    }

    fn object_or_new(&mut self, id: u32) -> &mut Object {
        let index = self
            .objects
            .iter()
            .position(|object| object.id == id)
            .unwrap_or_else(|| {
                self.objects.push(Object::new(id));
                self.objects.len() - 1
            });
        &mut self.objects[index]
    }

    /// How a prompt on a frame is treated.
    fn prompt_kind(&self, object: u32, frame: usize) -> PromptKind {
        let known = self.object(object);
        let tracked = known.and_then(|known| known.tracked.get(&frame));
        let first = tracked.is_none() || known.is_some_and(|known| known.cond.is_empty());
        PromptKind {
            first,
            reverse: tracked.copied().unwrap_or(false) && !first,
            conditions: first || self.options.add_all_frames_to_correct_as_cond,
        }
    }

    /// The frame's features, conditioned on the object's memories.
    fn condition(
        &self,
        object: &Object,
        features: &ImageFeatures,
        frame: usize,
        reverse: bool,
    ) -> ImageFeatures {
        let non_cond = object.non_cond_outputs.keys().copied().collect();
        let recalled = recall(
            &self.rules,
            object.remembered(&non_cond),
            frame,
            reverse,
            self.num_frames,
        );
        let memories: Vec<SpatialMemory> = recalled
            .memories
            .iter()
            .filter_map(|(at, t_pos)| match &object.remembered_output(*at).memory {
                Memory::Made(features) => Some(SpatialMemory {
                    features: features.clone(),
                    t_pos: *t_pos,
                }),
                Memory::ToMake(_) => None,
            })
            .collect();
        let pointers: Vec<ObjectPointer> = recalled
            .pointers
            .iter()
            .map(|(at, distance)| ObjectPointer {
                pointer: object.remembered_output(*at).obj_ptr.clone(),
                distance: *distance,
            })
            .collect();
        let max_pointers = self.rules.max_pointers(self.num_frames);
        self.model
            .prepare_memory_conditioned_features(features, &memories, &pointers, max_pointers)
    }

    /// Prepares for another current frame: the memories of the latest prompts are made, so that only one frame's
    /// embedding is ever kept. If there are too many prompts, they become final.
    fn settle(&mut self, next: usize) {
        self.make_memories();
        if let Some(limit) = self.options.max_cond_frames_kept {
            let prompted = |object: &Object| object.prompted.iter().map(Vec::len).sum::<usize>();
            let mut full: Vec<_> = self.objects.iter_mut().filter(|o| prompted(o) > limit).collect();
            if !full.is_empty() {
                full.iter_mut().for_each(|object| object.remember_prompted());
                // Tracking may continue where it was, so its memories are kept.
                self.leave_far_frames(next, usize::MAX);
            }
        }
    }

    /// Makes the memories of prompted frames that have not been made yet.
    fn make_memories(&mut self) {
        for index in 0..self.objects.len() {
            for conditions in 0..2 {
                for at in 0..self.objects[index].prompted[conditions].len() {
                    let output = &self.objects[index].prompted[conditions][at].1;
                    if let Memory::ToMake(embedding) = &output.memory {
                        let memory = self.memory_of_prompt(embedding.clone(), output);
                        self.objects[index].prompted[conditions][at].1.memory = Memory::Made(memory);
                    }
                }
            }
        }
    }

    /// If the current frame was prompted and only its mask has been kept, the mask becomes its prompt.
    async fn wake(&mut self, frame: usize, object: u32, features: &ImageFeatures) -> Result<(), VideoError> {
        let Some(known) = self.object(object).filter(|known| known.sleeps_on(frame)) else {
            return Ok(());
        };
        let Some(past) = known.past.get(frame) else {
            return Ok(());
        };
        let mask = past.to_mask(self.width, self.height).to_bytes();
        let output = self.model.use_mask_as_output(features, &self.to_square(&mask));
        let embedding = features.embedding.clone();
        let mut output = self.finish(output, Memory::ToMake(embedding.clone())).await?;
        output.memory = Memory::Made(self.memory_of_prompt(embedding, &output));
        self.object_or_new(object).remember(frame, true, output);
        Ok(())
    }

    /// Keeps only the masks of tracked frames that are more than `reach` frames from `frame`, and of conditioning frames
    /// beyond their limit. Masks beyond the limit of their memory are dropped.
    fn leave_far_frames(&mut self, frame: usize, reach: usize) {
        let limit = self.options.max_cond_frames_kept.map(|limit| limit.max(2));
        let far: BTreeSet<usize> = self
            .objects
            .iter()
            .flat_map(|object| object.far_frames(frame, reach, limit))
            .collect();
        for at in far {
            // All objects are needed, because the owner of a pixel may depend on the others.
            let masks = self.masks_on(at, true).masks;
            for (object, mask) in self.objects.iter_mut().zip(&masks) {
                if object.far_frames(frame, reach, limit).contains(&at) {
                    object.leave_behind(at, mask);
                }
            }
        }
        while self.past_bytes() > self.options.max_past_mask_bytes {
            let largest = self.objects.iter_mut().max_by_key(|object| object.past.bytes());
            if !largest.is_some_and(|object| object.past.drop_farthest(frame)) {
                break;
            }
        }
    }

    /// The memory of all compressed masks, in bytes.
    fn past_bytes(&self) -> usize {
        self.objects.iter().map(|object| object.past.bytes()).sum()
    }

    /// Makes the memory of a prompted frame from its result.
    fn memory_of_prompt(&self, embedding: Tensor<4>, output: &FrameOutput) -> Tensor<3> {
        let score = Tensor::<2>::from_data([[output.object_score]], self.model.image.device());
        self.model
            .encode_new_memory(embedding, self.to_logits(&output.low_res), score, true)
    }

    /// Reads a result back from the device.
    async fn finish(&self, output: SamOutput, memory: Memory) -> Result<FrameOutput, VideoError> {
        let data = Transaction::default()
            .register(output.low_res_masks)
            .register(output.ious)
            .register(output.object_score_logits)
            .execute_async()
            .await
            .map_err(device_error)?;
        let values: Vec<Vec<f32>> = data
            .into_iter()
            .map(|data| data.try_to_vec::<f32>().map_err(device_error))
            .collect::<Result<_, _>>()?;
        let [mut low_res, ious, score]: [Vec<f32>; 3] =
            values.try_into().expect("three tensors were registered");
        if self.options.fill_hole_area > 0 {
            fill_holes(
                &mut low_res,
                self.model.image.config.mask_side(),
                self.options.fill_hole_area,
            );
        }
        Ok(FrameOutput {
            low_res,
            iou: ious.into_iter().fold(0.0, f32::max),
            object_score: score[0],
            obj_ptr: output.obj_ptr,
            memory,
        })
    }

    /// Whether any object was prompted on the frame, as a conditioning frame, since tracking last began.
    fn is_prompted(&self, frame: usize) -> bool {
        self.objects
            .iter()
            .any(|object| object.prompted(frame, true).is_some())
    }

    /// The masks of all objects on a frame. Of prompts that are not final yet, only those on conditioning frames count if
    /// `conditions`, else only the others.
    fn masks_on(&self, frame: usize, conditions: bool) -> VideoMasks {
        let side = self.model.image.config.mask_side();
        let nothing = vec![NO_OBJ_SCORE; side * side];
        let answers: Vec<_> = self
            .objects
            .iter()
            .map(|object| object.answer(frame, conditions))
            .collect();
        let logits: Vec<&[f32]> = answers
            .iter()
            .map(|answer| match answer {
                Some(Answer::Whole(output)) => &output.low_res[..],
                _ => &nothing[..],
            })
            .collect();
        let (width, height) = (self.width, self.height);
        let low_res = |answer: &Option<Answer>| {
            let (logits, score) = match answer {
                Some(Answer::Whole(output)) => (output.low_res.clone(), output.iou),
                _ => (nothing.clone(), 0.0),
            };
            LowResMask::new(logits, side, score, [width, height])
        };
        let mut masks: Vec<VideoMask> = self
            .objects
            .iter()
            .zip(&answers)
            .map(|(object, answer)| {
                let (mask, logits) = match answer {
                    Some(Answer::Past(past)) => (past.to_mask(width, height), Vec::new()),
                    answer => {
                        let low_res = low_res(answer);
                        (low_res.to_mask(), low_res.logits())
                    }
                };
                VideoMask {
                    object: object.id,
                    mask,
                    logits,
                    object_score: answer.map(|answer| match answer {
                        Answer::Whole(output) => output.object_score,
                        Answer::Past(past) => past.object_score,
                    }),
                }
            })
            .collect();
        if self.options.non_overlap_masks && masks.len() > 1 {
            let past = |answer: &Option<Answer>| matches!(answer, Some(Answer::Past(_)));
            let mut taken = vec![0u8; (width * height).div_ceil(8)];
            for (mask, _) in masks.iter().zip(&answers).filter(|(_, answer)| past(answer)) {
                taken.iter_mut().zip(mask.mask.bits()).for_each(|(a, b)| *a |= b);
            }
            let all_bits = non_overlapping_bits(&logits, [side, side], [height, width]);
            let whole = masks.iter_mut().zip(all_bits).zip(&answers);
            for ((mask, mut bits), _) in whole.filter(|(_, answer)| !past(answer)) {
                // The logits of a past mask are no longer known, so it keeps its pixels.
                bits.iter_mut()
                    .zip(&taken)
                    .for_each(|(bit, taken)| *bit &= !taken);
                mask.mask.set_bits(bits);
            }
        }
        VideoMasks { frame, masks }
    }

    /// Copies low-resolution logits to the device: `[1, side, side]`.
    fn to_logits(&self, logits: &[f32]) -> Tensor<3> {
        let side = self.model.image.config.mask_side();
        Tensor::from_data(
            TensorData::new(logits.to_vec(), [1, side, side]),
            self.model.image.device(),
        )
    }

    /// Resizes a mask of the video's size to the network's: `[s, s]` of 0 and 1.
    fn to_square(&self, mask: &[u8]) -> Vec<f32> {
        let side = self.model.image.config.image_size;
        let on = of_pixels(|y, x| f32::from(u8::from(mask[y * self.width + x] != 0)));
        let mut values = antialiased(1, [self.height, self.width], [side, side], &on);
        for value in &mut values {
            *value = f32::from(u8::from(*value >= 0.5));
        }
        values
    }
}

/// How a prompt on a frame is treated; see [`VideoSession::prompt_kind`].
#[derive(Clone, Copy)]
struct PromptKind {
    /// Whether the frame was never tracked, so that its features are not conditioned on memories.
    first: bool,
    /// The direction in which the frame was tracked.
    reverse: bool,
    /// Whether the frame becomes a conditioning frame.
    conditions: bool,
}

/// Whether a prompt has at most one point, which may mean several objects (`SAM2Base._use_multimask`). A box is two
/// points.
fn wants_candidates(points: &[Point]) -> bool {
    points.len() <= 1
}

fn device_error(error: impl std::fmt::Debug) -> VideoError {
    PredictError::Device(format!("{error:?}")).into()
}
