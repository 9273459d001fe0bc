//! Single steps of the official video predictor: conditioning on the memory, the SAM heads and the making of the
//! memory, each fed what the official side remembered, so that differences do not add up.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Tensor, TensorData};
use parity::events::{Event, FrameEvent};
use parity::{COMMITTED, EDGETAM, Fixture, implementations, natively, nchw};
use sam2::mask_decoder::ImageFeatures;
use sam2::memory::{MemoryRules, Remembered, recall};
use sam2::{Implementation, ObjectPointer, SamOutput, SpatialMemory, VideoModel};
use sam2_ops::KeyGroup;
use sam2_predict::{PictureRef, PixelFormat, fill_holes, frame_to_tensor};
use sam2_resample::{antialiased, of_pixels};

/// In parts of each tensor's scale.
const LIMIT: f64 = 1e-3;

#[test]
fn main_script() {
    for name in COMMITTED.into_iter().chain([EDGETAM]) {
        for implementation in implementations() {
            println!("-- {name}, {}", implementation.name());
            let rules = |rules: MemoryRules| rules;
            Replay::new(Fixture::committed(name), &implementation, "main", rules, false, 0).run();
        }
    }
}

#[test]
#[ignore = "needs a fixture; the head of `tiny.rs` says how to make it"]
fn edgetam_at_full_size() {
    let Some(fixture) = Fixture::of_edgetam_at_full_size() else {
        return;
    };
    Replay::new(fixture, &natively(), "main", |rules| rules, false, 0).run();
}

#[test]
fn alternative_rules() {
    let rules = |rules: MemoryRules| MemoryRules {
        max_cond_frames_in_attn: Some(2),
        memory_temporal_stride: 2,
        ..rules
    };
    // The script asks for 30, but `build_sam2_video_predictor` sets its own 8 after that.
    for implementation in implementations() {
        println!("-- {}", implementation.name());
        Replay::new(
            Fixture::committed("micro"),
            &implementation,
            "alt",
            rules,
            true,
            8,
        )
        .run();
    }
}

/// Follows the event log with the official memories in the bank.
struct Replay {
    fixture: Fixture,
    tag: &'static str,
    model: VideoModel,
    rules: MemoryRules,
    /// Whether every frame with a correction becomes a conditioning frame.
    all_corrections_condition: bool,
    fill_hole_area: usize,
    frames: Vec<ImageFeatures>,
    objects: Vec<(u32, Object)>,
}

/// What the official side remembers of an object.
#[derive(Default)]
struct Object {
    cond: Vec<usize>,
    non_cond: BTreeSet<usize>,
    /// Prompted frames whose memory is not made yet: those that do not condition, then those that do.
    prompted: [Vec<usize>; 2],
    memories: BTreeMap<usize, (Tensor<3>, Tensor<2>)>,
    /// Of the latest answers.
    pointers: BTreeMap<usize, Tensor<2>>,
    /// Our own answers.
    outputs: BTreeMap<usize, SamOutput>,
}

impl Replay {
    fn new(
        fixture: Fixture,
        implementation: &Implementation,
        tag: &'static str,
        rules: fn(MemoryRules) -> MemoryRules,
        all_corrections_condition: bool,
        fill_hole_area: usize,
    ) -> Self {
        let config = fixture.config();
        let model = fixture.video_model(implementation);
        let [_, height, width, _] = *fixture.shape("vid.frames_u8") else {
            panic!("four dimensions")
        };
        let frames = fixture.bytes("vid.frames_u8").chunks_exact(height * width * 3);
        let frames: Vec<ImageFeatures> = frames
            .enumerate()
            .map(|(i, frame)| {
                let frame = PictureRef::new(frame, PixelFormat::Rgb, width, height).expect("a frame");
                let input = frame_to_tensor(frame, config.image_size, implementation.device());
                if i == 0 {
                    fixture.assert_close("vid.input0", input.clone().squeeze_dim::<3>(0), 1e-6);
                }
                model.image.encode(input)
            })
            .collect();
        Self {
            rules: rules(model.rules()),
            fixture,
            tag,
            model,
            all_corrections_condition,
            fill_hole_area,
            frames,
            objects: Vec::new(),
        }
    }

    fn run(mut self) {
        let log = self.fixture.video_events(self.tag);
        let mut preflight = Vec::new();
        let mut steps = 0;
        for event in &log {
            match event {
                Event::Call { op, args, .. } => match op.as_str() {
                    "propagate" => preflight = self.prompted_frames(),
                    "clear" => self.clear(number(args, "frame_idx"), number(args, "obj_id") as u32),
                    "remove" => self
                        .objects
                        .retain(|(id, _)| *id as usize != number(args, "obj_id")),
                    "reset" => self.objects.clear(),
                    _ => {}
                },
                Event::PreflightMemEnc { frame, k } => {
                    let (id, at, conditions) = preflight.remove(0);
                    assert_eq!(at, *frame);
                    self.make_memory(id, *frame, *k, true);
                    self.remember(id, *frame, conditions);
                }
                Event::Frame(event) => {
                    self.step(event);
                    steps += 1;
                }
                Event::State { obj } => {
                    assert!(preflight.is_empty(), "memories that were not made: {preflight:?}");
                    for (id, object) in &self.objects {
                        assert_eq!(
                            object.cond,
                            obj[&id.to_string()].cond,
                            "conditioning frames of {id}"
                        );
                        assert_eq!(
                            object.non_cond.iter().copied().collect::<Vec<_>>(),
                            obj[&id.to_string()].non_cond
                        );
                    }
                }
                Event::Output { .. } => {}
            }
        }
        assert!(steps > 15, "{steps} steps");
    }

    fn object(&mut self, id: u32) -> &mut Object {
        if !self.objects.iter().any(|(other, _)| *other == id) {
            self.objects.push((id, Object::default()));
        }
        &mut self
            .objects
            .iter_mut()
            .find(|(other, _)| *other == id)
            .expect("just added")
            .1
    }

    /// In the order in which the official predictor makes their memories.
    fn prompted_frames(&mut self) -> Vec<(u32, usize, bool)> {
        let mut frames = Vec::new();
        for (id, object) in &mut self.objects {
            for (prompted, conditions) in object.prompted.iter_mut().zip([false, true]) {
                frames.extend(prompted.drain(..).map(|frame| (*id, frame, conditions)));
            }
        }
        frames
    }

    /// One object on one frame, compared part by part.
    fn step(&mut self, event: &FrameEvent) {
        let of = |part: &str| format!("vid.{}.{:03}.{part}", self.tag, event.k);
        let frame = &self.frames[event.frame];
        let output = if event.has_mask {
            self.model.use_mask_as_output(frame, &self.given_mask(event))
        } else {
            let image = if event.init_cond {
                self.model.image.without_memory(frame.clone())
            } else {
                self.condition(event)
            };
            self.fixture
                .assert_close(&of("pix_feat_mem"), nchw(image.embedding.clone()), LIMIT);
            let points = match event.has_points {
                true => self.fixture.points(&of("sam_pts"), &of("sam_lbl")).remove(0),
                false => vec![],
            };
            let previous = event.prev_logits.then(|| {
                let object = &self
                    .objects
                    .iter()
                    .find(|(id, _)| *id == event.obj_id)
                    .expect("known")
                    .1;
                self.fill(object.outputs[&event.frame].low_res_masks.clone())
                    .clamp(-32.0, 32.0)
            });
            self.model
                .forward_sam_heads(&image, &points, previous, event.multimask)
        };
        if !event.has_mask {
            // The log has what the heads made of a mask's pointer, not of the mask.
            let masks = output.low_res_multimasks.clone();
            self.fixture.assert_close(&of("low_res_multimasks"), masks, LIMIT);
            self.fixture.assert_close(&of("ious"), output.ious.clone(), LIMIT);
        }
        let score = output.object_score_logits.clone();
        let filled = self.fill(output.low_res_masks.clone()).unsqueeze_dim::<4>(0);
        self.fixture
            .assert_close(&of("out.obj_ptr"), output.obj_ptr.clone(), LIMIT);
        self.fixture.assert_close(&of("out.obj_score"), score, LIMIT);
        self.fixture.assert_close(&of("out.pred_masks"), filled, LIMIT);

        let conditions = event.init_cond || self.all_corrections_condition;
        let pointer = self
            .fixture
            .tensor(&of("out.obj_ptr"))
            .to_device(self.model.image.device());
        let object = self.object(event.obj_id);
        object.outputs.insert(event.frame, output);
        object.pointers.insert(event.frame, pointer);
        if event.mem_enc {
            self.make_memory(event.obj_id, event.frame, event.k, false);
            self.remember(event.obj_id, event.frame, false);
        } else {
            let prompted = &mut object.prompted[usize::from(conditions)];
            if !prompted.contains(&event.frame) {
                prompted.push(event.frame);
            }
        }
    }

    /// The frame's features, conditioned on what the official side remembered.
    fn condition(&self, event: &FrameEvent) -> ImageFeatures {
        let object = &self
            .objects
            .iter()
            .find(|(id, _)| *id == event.obj_id)
            .expect("an object with memories")
            .1;
        let remembered = Remembered {
            cond: &object.cond,
            non_cond: &object.non_cond,
        };
        let count = Some(self.frames.len());
        let recalled = recall(&self.rules, remembered, event.frame, event.reverse, count);
        let chosen: Vec<_> = recalled
            .memories
            .iter()
            .map(|(at, t_pos)| (at.frame, *t_pos))
            .collect();
        assert_eq!(chosen, event.mem_frames, "the bank of event {}", event.k);
        assert_eq!(
            recalled.pointers.len(),
            event.num_ptrs,
            "the pointers of event {}",
            event.k
        );

        let memories: Vec<SpatialMemory> = recalled
            .memories
            .iter()
            .map(|(at, t_pos)| SpatialMemory {
                features: object.memories[&at.frame].0.clone(),
                t_pos: *t_pos,
            })
            .collect();
        let pointers: Vec<ObjectPointer> = recalled
            .pointers
            .iter()
            .map(|(at, distance)| ObjectPointer {
                pointer: object.memories[&at.frame].1.clone(),
                distance: *distance,
            })
            .collect();
        let max_pointers = self.rules.max_pointers(count);
        let of = |part: &str| format!("vid.{}.{:03}.{part}", self.tag, event.k);
        let (mut tokens, mut positions) = (Vec::new(), Vec::new());
        let mut push = |group: &KeyGroup, number: usize| {
            tokens.push(group.parts[number].0.clone());
            positions.push(group.positions_of(number).expect("positions"));
        };
        // The official code has each memory's free latents before its latents on the grid; here they are two groups.
        let bank = self.model.memory_bank(&memories, &pointers, max_pointers);
        let groups = 1 + usize::from(self.has_perceiver());
        let (of_memories, others) = bank.split_at(groups);
        for number in 0..memories.len() {
            of_memories.iter().rev().for_each(|group| push(group, number));
        }
        for group in others {
            (0..group.parts.len()).for_each(|number| push(group, number));
        }
        let [tokens, positions] =
            [tokens, positions].map(|parts| Tensor::cat(parts, 0).unsqueeze_dim::<3>(1));
        self.fixture.assert_close(&of("memory"), tokens, 1e-6);
        self.fixture.assert_close(&of("memory_pos"), positions, 1e-5);
        self.model.prepare_memory_conditioned_features(
            &self.frames[event.frame],
            &memories,
            &pointers,
            max_pointers,
        )
    }

    fn has_perceiver(&self) -> bool {
        self.model.image.config.spatial_perceiver.is_some()
    }

    /// Makes the frame's memory from our answer, compares it, and keeps the official one.
    fn make_memory(&mut self, id: u32, frame: usize, k: usize, prompted: bool) {
        let of = |part: &str| format!("vid.{}.{k:03}.{part}", self.tag);
        let object = &self
            .objects
            .iter()
            .find(|(other, _)| *other == id)
            .expect("known")
            .1;
        let output = &object.outputs[&frame];
        let pointer = object.pointers[&frame].clone();
        let side = self.model.image.config.embedding_side();
        let embedding = self.frames[frame].embedding.clone();
        // A prompted frame's is made from the mask that was shown, whose holes are filled.
        let masks = output.low_res_masks.clone();
        let masks = if prompted { self.fill(masks) } else { masks };
        let mut memory = self.model.maskmem_features(embedding, masks, prompted);
        if let Some(absent) = &self.model.no_obj_embed_spatial {
            let is_gone = output.object_score_logits.clone().lower_equal_elem(0.0).float();
            memory = memory + absent.value().unsqueeze_dim(0) * is_gone;
        }
        let [_, dim] = memory.dims();
        let device = self.model.image.device();
        let (name, kept) = (of("maskmem_features_f32"), of("maskmem_features"));
        let official = if self.has_perceiver() {
            self.fixture
                .assert_close(&name, memory.unsqueeze_dim::<3>(0), LIMIT);
            self.fixture.tensor::<3>(&kept).to_device(device)
        } else {
            let memory = nchw(memory.reshape([1, side, side, dim]));
            self.fixture.assert_close(&name, memory, LIMIT);
            let official = self.fixture.tensor::<4>(&kept).to_device(device);
            official.permute([0, 2, 3, 1]).reshape([1, side * side, dim])
        };
        self.object(id).memories.insert(frame, (official, pointer));
    }

    /// Fills the holes of `[1, h, w]` logits, where the script asks for it.
    fn fill(&self, masks: Tensor<3>) -> Tensor<3> {
        let [_, h, w] = masks.dims();
        let mut logits = masks.into_data().try_to_vec::<f32>().expect("f32");
        fill_holes(&mut logits, w, self.fill_hole_area);
        Tensor::from_data(TensorData::new(logits, [1, h, w]), self.model.image.device())
    }

    fn remember(&mut self, id: u32, frame: usize, conditions: bool) {
        let object = self.object(id);
        if conditions {
            if !object.cond.contains(&frame) {
                object.cond.push(frame);
            }
            object.non_cond.remove(&frame);
        } else {
            object.non_cond.insert(frame);
        }
    }

    /// A frame whose prompts are taken back is remembered as a tracked one.
    fn clear(&mut self, frame: usize, id: u32) {
        let object = self.object(id);
        if object.cond.contains(&frame) {
            object.cond.retain(|at| *at != frame);
            object.non_cond.insert(frame);
        }
    }

    /// The mask that was given, as the official predictor resizes it: the rectangle of the script.
    fn given_mask(&self, event: &FrameEvent) -> Vec<f32> {
        let call = self
            .fixture
            .video_events(self.tag)
            .into_iter()
            .find_map(|e| match e {
                Event::Call { op, phase, .. } if op == "mask" => Some(phase),
                _ => None,
            });
        let phase = call.expect("a call with a mask");
        let number = phase.split('.').next().expect("numbered");
        let (shape, pixels) = self.fixture.masks(&format!("vid.{}.{number}.mask_arg", self.tag));
        assert_eq!(event.obj_id, 11);
        let side = self.model.image.config.image_size;
        let pixel = of_pixels(|y, x| f32::from(pixels[y * shape[1] + x]));
        let mut mask = antialiased(1, [shape[0], shape[1]], [side, side], &pixel);
        mask.iter_mut()
            .for_each(|value| *value = f32::from(u8::from(*value >= 0.5)));
        mask
    }
}

fn number(args: &serde_json::Value, name: &str) -> usize {
    args[name].as_u64().expect("a whole number") as usize
}
