//! What this project's video session does beyond the official predictor: corrections last, memories are bounded,
//! streams have no length, and wrong calls say why and change nothing.

use std::sync::Arc;

use parity::{Fixture, block_on, natively};
use sam2::VideoModel;
use sam2_predict::{
    BoxPrompt, ImagePredictor, PictureRef, PixelFormat, PointPrompt, PredictError, Prompt, VideoError,
    VideoMasks, VideoOptions, VideoSession,
};

/// The fixture's clip and network.
struct Clip {
    fixture: Fixture,
    model: Arc<VideoModel>,
    size: [usize; 2],
}

impl Clip {
    fn new() -> Self {
        let fixture = Fixture::committed("micro");
        let model = fixture.video_model(&natively()).into();
        let shape = fixture.shape("vid.frames_u8");
        let size = [shape[2], shape[1]];
        Self { fixture, model, size }
    }

    /// Its eight frames, over and over.
    fn frame(&self, index: usize) -> PictureRef<'_> {
        let [width, height] = self.size;
        let mut frames = self
            .fixture
            .bytes("vid.frames_u8")
            .chunks_exact(width * height * 3);
        let bytes = frames.nth(index % 8).expect("eight frames");
        PictureRef::new(bytes, PixelFormat::Rgb, width, height).expect("a frame")
    }

    fn session(&self, options: VideoOptions, num_frames: Option<usize>) -> VideoSession {
        VideoSession::new(self.model.clone(), options, self.size, num_frames).expect("a session")
    }

    /// A session of a stream whose first frame is prompted for two objects.
    fn two_objects(&self, options: VideoOptions) -> VideoSession {
        let mut session = self.session(options, None);
        session.set_frame(0, self.frame(0)).expect("a frame");
        for (object, x) in [(1, 32.0), (2, 112.0)] {
            block_on(session.add_points_or_box(0, object, &click(x, 40.0, 1), true)).expect("masks");
        }
        session
    }

    fn track(&self, session: &mut VideoSession, frames: std::ops::Range<usize>) -> Vec<VideoMasks> {
        session.begin_tracking().expect("prompts");
        frames
            .map(|frame| {
                session.set_frame(frame, self.frame(frame)).expect("a frame");
                block_on(session.track(frame, false)).expect("masks")
            })
            .collect()
    }
}

fn click(x: f32, y: f32, label: i32) -> Prompt {
    Prompt {
        points: vec![PointPrompt { x, y, label }],
        ..Prompt::default()
    }
}

#[test]
fn a_correction_lasts_unless_the_official_behaviour_is_asked_for() {
    let clip = Clip::new();
    for (options, lasts) in [(VideoOptions::default(), true), (VideoOptions::official(), false)] {
        let mut session = clip.session(options, Some(8));
        session.set_frame(0, clip.frame(0)).expect("a frame");
        block_on(session.add_points_or_box(0, 1, &click(32.0, 50.0, 1), true)).expect("masks");
        let before = clip.track(&mut session, 0..6);

        session.set_frame(4, clip.frame(4)).expect("a frame");
        let corrected =
            block_on(session.add_points_or_box(4, 1, &click(112.0, 29.0, 1), true)).expect("masks");
        assert_ne!(corrected.masks[0].mask.bits(), before[4].masks[0].mask.bits());
        let after = clip.track(&mut session, 3..6);
        assert_eq!(after[1].masks[0].mask == corrected.masks[0].mask, lasts);
        assert_eq!(session.masks_at(4) == corrected, lasts);
    }
}

#[test]
fn memories_are_bounded_and_frames_are_encoded_once() {
    let clip = Clip::new();
    let mut session = clip.two_objects(VideoOptions::default());
    assert_eq!(session.encodes(), 1);
    let masks = clip.track(&mut session, 0..50);
    let early = session.memory_use();
    clip.track(&mut session, 50..80);
    let late = session.memory_use();
    assert_eq!(session.encodes(), 80);
    assert_eq!(
        (early.tensors, early.device_bytes),
        (late.tensors, late.device_bytes)
    );
    for object in session.objects() {
        assert_eq!(object.cond, [0]);
        assert_eq!(object.non_cond, (63..80).collect::<Vec<_>>());
        assert_eq!(object.tracked.len(), 80);
    }
    // A frame that was left behind still has its masks.
    for (then, now) in masks[5].masks.iter().zip(session.masks_at(5).masks) {
        assert_eq!(now.mask.bits(), then.mask.bits());
        assert_eq!(
            (now.object_score, now.mask.score()),
            (then.object_score, then.mask.score())
        );
        assert!(now.logits.is_empty());
    }
}

#[test]
#[ignore = "minutes: cargo test --release -p parity --test video_session -- --ignored --nocapture"]
fn ten_thousand_frames_hold_what_fifty_hold() {
    let clip = Clip::new();
    let mut session = clip.two_objects(VideoOptions::default());
    let mut after_50 = None;
    for frame in 0..10_000 {
        clip.track(&mut session, frame..frame + 1);
        if frame == 49 || (frame + 1) % 1000 == 0 {
            let held = session.memory_use();
            println!("frame {frame}: {held:?}, resident {} kB", resident());
            let (tensors, bytes) = *after_50.get_or_insert((held.tensors, held.device_bytes));
            assert_eq!((held.tensors, held.device_bytes), (tensors, bytes));
        }
    }
}

/// The process's memory in kB, as Linux tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or("unknown")
        .trim()
        .trim_end_matches(" kB")
        .to_string()
}

#[test]
fn past_masks_have_a_limit() {
    let clip = Clip::new();
    let options = VideoOptions {
        max_past_mask_bytes: 20_000,
        ..VideoOptions::default()
    };
    let mut session = clip.two_objects(options);
    clip.track(&mut session, 0..60);
    let has = |frame: usize| session.masks_at(frame).masks[0].object_score.is_some();
    assert!(has(0) && !has(1) && has(42) && has(59));
}

#[test]
fn prompted_frames_beyond_the_limit_keep_their_masks() {
    let clip = Clip::new();
    let options = VideoOptions {
        max_cond_frames_kept: Some(3),
        ..VideoOptions::default()
    };
    let mut session = clip.session(options, None);
    // More prompts than may be kept, before any tracking, then some on the way.
    let mut prompted = Vec::new();
    for frame in 0..40 {
        if frame % 4 == 0 {
            session.set_frame(frame, clip.frame(frame)).expect("a frame");
            let x = 32.0 + frame as f32;
            prompted.push(
                block_on(session.add_points_or_box(frame, 1, &click(x, 50.0, 1), true)).expect("masks"),
            );
        }
        if frame > 16 {
            clip.track(&mut session, frame..frame + 1);
        }
    }
    assert_eq!(session.objects()[0].cond, [28, 32, 36]);
    for masks in &prompted {
        let kept = session.masks_at(masks.frame);
        assert_eq!(kept.masks[0].mask.bits(), masks.masks[0].mask.bits());
    }

    // Tracking comes to the first one again: its mask is its prompt.
    let again = clip.track(&mut session, 0..6);
    assert_eq!(again[0].masks[0].mask.bits(), prompted[0].masks[0].mask.bits());
    assert_eq!(again[4].masks[0].mask.bits(), prompted[1].masks[0].mask.bits());
    assert_eq!(session.objects()[0].cond.len(), 3);
    assert!(session.objects()[0].cond.contains(&4));

    // Another prompt there replaces the mask.
    session.set_frame(4, clip.frame(4)).expect("a frame");
    let corrected = block_on(session.add_points_or_box(4, 1, &click(112.0, 29.0, 1), true)).expect("masks");
    assert_ne!(corrected.masks[0].mask.bits(), prompted[1].masks[0].mask.bits());
    assert_eq!(session.masks_at(4), corrected);
    session.clear_prompts(8, 1).expect("masks");
    let cleared = clip.track(&mut session, 4..9);
    assert_eq!(cleared[0].masks[0].mask, corrected.masks[0].mask);
    assert_ne!(cleared[4].masks[0].mask.bits(), prompted[2].masks[0].mask.bits());
}

#[test]
fn an_object_added_later_is_followed_from_there() {
    let clip = Clip::new();
    let mut session = clip.session(VideoOptions::default(), Some(8));
    session.set_frame(0, clip.frame(0)).expect("a frame");
    block_on(session.add_points_or_box(0, 7, &click(32.0, 50.0, 1), true)).expect("masks");
    clip.track(&mut session, 0..4);
    let [width, height] = clip.size;
    let mask: Vec<u8> = (0..width * height)
        .map(|i| u8::from(i % width < width / 2))
        .collect();
    let added = block_on(session.add_mask(3, 9, &mask)).expect("masks");
    assert_eq!(
        added.masks.iter().map(|mask| mask.object).collect::<Vec<_>>(),
        [7, 9]
    );
    let half = added.masks[1].mask.area() as f64 / (width * height) as f64;
    assert!((half - 0.5).abs() < 0.02, "{half}");
    let masks = clip.track(&mut session, 4..5);
    assert!(masks[0].masks[1].object_score.is_some());

    session.remove_object(7);
    assert_eq!(session.objects().len(), 1);
    session.reset();
    assert!(session.objects().is_empty());
}

#[test]
fn wrong_calls_say_why_and_change_nothing() {
    let clip = Clip::new();
    let mut session = clip.session(VideoOptions::default(), Some(8));
    assert_eq!(session.begin_tracking(), Err(VideoError::NoObjects));
    let on_frame = |session: &mut VideoSession, frame, prompt: &Prompt, clear| {
        block_on(session.add_points_or_box(frame, 1, prompt, clear)).unwrap_err()
    };
    let good = click(32.0, 50.0, 1);
    assert_eq!(
        on_frame(&mut session, 0, &good, true),
        VideoError::FrameNotSet { frame: 0 }
    );
    let missing = VideoError::NoSuchFrame {
        frame: 8,
        num_frames: 8,
    };
    assert_eq!(on_frame(&mut session, 8, &good, true), missing);
    assert_eq!(session.set_frame(8, clip.frame(0)), Err(missing));
    let small = PictureRef::new(&[0; 12], PixelFormat::Rgb, 2, 2).expect("a picture");
    assert!(matches!(
        session.set_frame(0, small),
        Err(VideoError::FrameSize { .. })
    ));

    session.set_frame(0, clip.frame(0)).expect("a frame");
    assert_eq!(
        on_frame(&mut session, 0, &Prompt::default(), true),
        VideoError::EmptyPrompt
    );
    let outside = on_frame(&mut session, 0, &click(1e6, 0.0, 1), true);
    assert!(matches!(
        outside,
        VideoError::Predict(PredictError::Outside { .. })
    ));
    let boxed = Prompt {
        box_: Some(BoxPrompt {
            x0: 10.0,
            y0: 10.0,
            x1: 50.0,
            y1: 50.0,
        }),
        ..Prompt::default()
    };
    assert_eq!(
        on_frame(&mut session, 0, &boxed, false),
        VideoError::BoxAfterPoints
    );
    let mask = block_on(session.add_mask(0, 1, &[0; 5])).unwrap_err();
    assert!(matches!(mask, VideoError::MaskSize { found: 5, .. }));
    let empty = vec![0; clip.size.iter().product()];
    let empty = block_on(session.add_mask(0, 1, &empty)).unwrap_err();
    assert_eq!(empty, VideoError::EmptyMask);
    let unknown = session.clear_prompts(0, 4).unwrap_err();
    assert_eq!(unknown, VideoError::NoSuchObject { object: 4 });
    assert!(session.objects().is_empty());

    block_on(session.add_points_or_box(0, 1, &good, true)).expect("masks");
    session.clear_prompts(0, 1).expect("masks");
    assert_eq!(session.begin_tracking(), Err(VideoError::NoPrompts { object: 1 }));
    block_on(session.add_points_or_box(0, 1, &good, true)).expect("masks");
    assert_eq!(clip.track(&mut session, 0..2).len(), 2);
}

#[test]
fn pictures_and_videos_share_one_set_of_weights() {
    let clip = Clip::new();
    let predictor = ImagePredictor::new(clip.model.image.clone());
    let video = VideoModel::load_memory(clip.model.image.clone(), &mut &clip.fixture.recipe());
    let video = video.expect("all tensors");
    assert!(std::ptr::eq(predictor.model(), &*video.image));
    let image = block_on(predictor.set_image(clip.frame(0))).expect("an embedding");
    block_on(predictor.predict(&image, &click(32.0, 50.0, 1))).expect("masks");
    let session = VideoSession::new(video.into(), VideoOptions::default(), clip.size, None);
    assert!(session.is_ok());
}
