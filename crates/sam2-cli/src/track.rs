//! `sam2 track` tracks objects through a folder of frames, which are read one at a time.
//!
//! Prompts are given in the order of their file. Then all objects are tracked from the first prompted frame to the end,
//! and from that frame back to the beginning, so that every frame has masks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use owlv2::{Detection, LabelEmbeddings};
use sam2_predict::{BoxPrompt, PointPrompt, Prompt, VideoOptions, VideoSession};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::detector::{DetectorArgs, KeptArgs};
use crate::load;
use crate::logits_file::LogitsFile;
use crate::mask_file;
use crate::output::{note, say};
use crate::picture::{KINDS, Picture, Range, parse_range};

/// The number of frames between two lines of progress.
const REPORT: usize = 20;

/// Arguments of `sam2 track`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: load::ModelArgs,
    /// The frames: a folder of pictures of one size, in order of the numbers in their names
    #[arg(long, value_name = "DIR")]
    frames: PathBuf,
    /// The values of black and white in frames of more than 8 bits; found from the first prompted frame by default
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range, allow_hyphen_values = true)]
    range: Option<Range>,
    /// A JSON list of prompts, in their order: [{"frame": 0, "object": 1, "points": [[x, y, label]], "box": [x0, y0,
    /// x1, y1]}], or "mask": "file.png" (beside the list) instead of points and box: the object is where a value is at
    /// least half of the file's largest, alpha counts as the shape where it has one, and in a palette of colours every
    /// index but 0 is the object. "keep_points" adds to the frame's earlier points; "correction" first tracks up to the
    /// frame, and then corrects the masks there
    #[arg(
        long,
        value_name = "FILE.json",
        verbatim_doc_comment,
        required_unless_present = "text",
        conflicts_with = "text"
    )]
    prompts: Option<PathBuf>,
    /// Track what these words name in a frame, such as "person, a red car", one object for each box of the detector.
    /// objects.json says which object is what
    #[arg(long, value_name = "WORDS", value_delimiter = ',', requires = "detector")]
    text: Vec<String>,
    /// The number of the frame in which --text is looked for, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    text_frame: usize,
    #[command(flatten)]
    detector: DetectorArgs,
    #[command(flatten)]
    kept: KeptArgs,
    /// Use the options of the official predictor: corrections are lost when a frame is tracked again, and holes are kept
    #[arg(long)]
    official: bool,
    /// The folder for <object>/<frame>.png (0 or 255) and result.safetensors (logits.<object>.<frame> at low resolution)
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// One entry of the file of prompts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    frame: usize,
    object: u32,
    #[serde(default)]
    points: Vec<Vec<f32>>,
    #[serde(rename = "box")]
    box_: Option<[f32; 4]>,
    mask: Option<PathBuf>,
    #[serde(default)]
    keep_points: bool,
    #[serde(default)]
    correction: bool,
}

/// Runs `sam2 track`.
///
/// # Errors
/// Bad input. The message says which file, entry or frame, what was expected and what was found.
pub fn run(args: &Args) -> Result<()> {
    let mut frames = Frames::list(&args.frames)?;
    frames.range = args.range;
    let (entries, source) = match &args.prompts {
        Some(path) => (read_prompts(path, &frames)?, path.display().to_string()),
        None => (args.find(&frames)?, "--text".to_owned()),
    };
    let first = entries.iter().map(|entry| entry.frame).min().unwrap_or_default();
    let objects: BTreeSet<u32> = entries.iter().map(|entry| entry.object).collect();

    let model = load::video_model(&args.model)?;
    let side = model.image.config.mask_side();
    let options = match args.official {
        true => VideoOptions::official(),
        false => VideoOptions::default(),
    };
    let picture = frames.read(first)?;
    // All frames are stretched from the same range.
    frames.range = picture.range;
    let size = picture.size();
    let session = VideoSession::new(model.into(), options, size, Some(frames.paths.len()))?;
    let mut tracker = Tracker {
        frames,
        session,
        at: None,
    };
    let prompts = args.prompts.as_deref();
    let folder = prompts.and_then(Path::parent).unwrap_or(Path::new("."));
    for (i, entry) in entries.iter().enumerate() {
        let name = || entry_name(i, entry);
        tracker
            .prompt(entry, folder, &entries[..i])
            .with_context(|| format!("{source}: {}", name()))?;
    }

    for object in &objects {
        let folder = args.out.join(object.to_string());
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let count = tracker.frames.paths.len();
    let order: Vec<usize> = (first..count).chain((0..first).rev()).collect();
    let names = order
        .iter()
        .flat_map(|frame| objects.iter().map(move |object| (*object, *frame)));
    let mut logits = LogitsFile::create(&args.out.join("result.safetensors"), names, side)?;

    tracker.session.begin_tracking()?;
    for (done, &frame) in order.iter().enumerate() {
        let backwards = frame < first;
        if backwards && frame + 1 == first {
            // Tracking in reverse begins on the first prompted frame itself, whose masks are written too.
            tracker.track(first, true)?;
        }
        tracker.track(frame, backwards)?;
        let masks = tracker.session.masks_at(frame).masks;
        for &object in &objects {
            let mask = masks.iter().find(|mask| mask.object == object);
            let mask = mask.context("every prompted object is tracked")?;
            let path = args.out.join(format!("{object}/{frame:05}.png"));
            fs::write(&path, mask.mask.to_png())
                .with_context(|| format!("cannot write {}", path.display()))?;
            let values = tracker.session.logits(object, frame);
            logits.write(values.context("the frame was tracked just now")?)?;
        }
        if (done + 1) % REPORT == 0 {
            note!("{}/{count} frames", done + 1);
        }
    }
    logits.finish()?;
    say!("{count} frames, {} objects", objects.len())?;
    Ok(())
}

impl Args {
    /// The prompts of what the words name: an object for each box, the best first, numbered from 1. Writes objects.json.
    fn find(&self, frames: &Frames) -> Result<Vec<Entry>> {
        let options = self.kept.options()?;
        let count = frames.paths.len();
        ensure!(
            self.text_frame < count,
            "--text-frame {}: there is no such frame, only 0 to {}",
            self.text_frame,
            count - 1
        );
        let detector = self.detector.load(true, &self.model.implementation())?;
        let path = frames.paths[self.text_frame].display();
        let picture = frames.read(self.text_frame)?;
        let [width, height] = picture.size();
        let picture = picture.as_ref()?;
        let read = |line, values: &mut [f32]| picture.read(line, values);
        let (labels, found) = pollster::block_on(async {
            let labels = detector.embed(&self.text).await?;
            let image = detector.set_image([height, width], &read).await?;
            let found = detector.find_labels(&image, &labels, options).await?;
            anyhow::Ok((labels, found))
        })
        .context("--text")?;
        ensure!(
            !found.is_empty(),
            "nothing of this was found in {path}: give other words, a lower --threshold or another --text-frame"
        );
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot make the folder {}", self.out.display()))?;
        let file = self.out.join("objects.json");
        let objects: Vec<Value> = found
            .iter()
            .zip(1u32..)
            .map(|(found, object)| to_json(object, found, &labels))
            .collect();
        fs::write(&file, serde_json::to_vec(&objects)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let entry = |(found, object): (&Detection, u32)| Entry {
            frame: self.text_frame,
            object,
            points: Vec::new(),
            box_: Some(found.edges),
            mask: None,
            keep_points: false,
            correction: false,
        };
        Ok(found.iter().zip(1..).map(entry).collect())
    }
}

/// What an object is: its number, label, score and box (left, top, right, bottom in pixels).
fn to_json(object: u32, found: &Detection, labels: &LabelEmbeddings) -> Value {
    json!({
        "object": object,
        "label": labels.labels()[found.label],
        "score": f64::from(found.score),
        "box": found.edges.map(f64::from),
    })
}

/// A session and the frames of its video.
struct Tracker {
    frames: Frames,
    session: VideoSession,
    at: Option<usize>,
}

impl Tracker {
    /// Reads a frame and makes it the current one, unless it is so already.
    fn set(&mut self, frame: usize) -> Result<()> {
        if self.at != Some(frame) {
            let picture = self.frames.read(frame)?;
            self.session
                .set_frame(frame, picture.as_ref()?)
                .with_context(|| self.frames.paths[frame].display().to_string())?;
            self.at = Some(frame);
        }
        Ok(())
    }

    fn track(&mut self, frame: usize, reverse: bool) -> Result<()> {
        self.set(frame)?;
        pollster::block_on(self.session.track(frame, reverse))?;
        Ok(())
    }

    /// Gives the session one prompt. The paths of masks are relative to `folder`.
    fn prompt(&mut self, entry: &Entry, folder: &Path, earlier: &[Entry]) -> Result<()> {
        if let (true, Some(first)) = (entry.correction, earlier.iter().map(|entry| entry.frame).min()) {
            self.session.begin_tracking()?;
            let reverse = entry.frame < first;
            let mut way: Vec<usize> = (first.min(entry.frame)..=first.max(entry.frame)).collect();
            if reverse {
                way.reverse();
            }
            for frame in way {
                self.track(frame, reverse)?;
            }
        }
        self.set(entry.frame)?;
        match &entry.mask {
            Some(file) => {
                let path = folder.join(file);
                let mask = mask_file::read(&path)?;
                let (width, height) = (self.session.width(), self.session.height());
                ensure!(
                    (mask.width() as usize, mask.height() as usize) == (width, height),
                    "{} is {}x{}, the frames are {width}x{height}",
                    path.display(),
                    mask.width(),
                    mask.height()
                );
                let added = self.session.add_mask(entry.frame, entry.object, mask.as_raw());
                pollster::block_on(added)?;
            }
            None => {
                let prompt = Prompt {
                    points: entry
                        .points
                        .iter()
                        .map(|point| to_point(point))
                        .collect::<Result<_>>()?,
                    box_: entry.box_.map(|[x0, y0, x1, y1]| BoxPrompt { x0, y0, x1, y1 }),
                    ..Prompt::default()
                };
                let replace = !entry.keep_points;
                pollster::block_on(self.session.add_points_or_box(
                    entry.frame,
                    entry.object,
                    &prompt,
                    replace,
                ))?;
            }
        }
        Ok(())
    }
}

fn to_point(point: &[f32]) -> Result<PointPrompt> {
    let &[x, y, label] = point else {
        anyhow::bail!("a point is [x, y, label] with label 1 on the object and 0 off it, got {point:?}");
    };
    ensure!(label.fract() == 0.0, "label {label} is not 1 or 0");
    let label = label as i32;
    Ok(PointPrompt { x, y, label })
}

/// The pictures of a clip.
pub struct Frames {
    /// The paths of the frames, in order.
    pub paths: Vec<PathBuf>,
    /// The range from which values of more than 8 bits are stretched.
    range: Option<Range>,
}

impl Frames {
    /// The pictures of a folder, in the order of the numbers in their names.
    pub fn list(folder: &Path) -> Result<Self> {
        let mut paths: Vec<PathBuf> = load::entries(folder)?
            .into_iter()
            .filter(|path| image::ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled()))
            .collect();
        ensure!(!paths.is_empty(), "{} has no pictures: {KINDS}", folder.display());
        let stem = |path: &PathBuf| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        // Sort by the names without the extension, so that two files of one frame are neighbours.
        paths.sort_by(|a, b| alphanumeric_sort::compare_str(stem(a), stem(b)));
        if let Some(twice) = paths.windows(2).find(|pair| stem(&pair[0]) == stem(&pair[1])) {
            let names = [&twice[0], &twice[1]].map(|path| path.display().to_string());
            anyhow::bail!(
                "{} and {} are the same frame: leave one of them in the folder",
                names[0],
                names[1]
            );
        }
        Ok(Self { paths, range: None })
    }

    fn read(&self, frame: usize) -> Result<Picture> {
        Picture::read(&self.paths[frame], self.range)
    }
}

fn read_prompts(path: &Path, frames: &Frames) -> Result<Vec<Entry>> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", name()))?;
    let entries: Vec<Entry> = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a JSON list of prompts (`sam2 track --help`)", name()))?;
    ensure!(!entries.is_empty(), "{} has no prompts", name());
    let count = frames.paths.len();
    for (i, entry) in entries.iter().enumerate() {
        let entry_name = || format!("{}: {}", name(), entry_name(i, entry));
        ensure!(
            entry.frame < count,
            "{}: there is no such frame, only 0 to {}",
            entry_name(),
            count - 1
        );
        let has_points_or_box = !entry.points.is_empty() || entry.box_.is_some();
        ensure!(
            has_points_or_box != entry.mask.is_some(),
            "{}: give points, a box or both, or else a mask",
            entry_name()
        );
    }
    Ok(entries)
}

fn entry_name(index: usize, entry: &Entry) -> String {
    format!(
        "prompt {} (frame {}, object {})",
        index + 1,
        entry.frame,
        entry.object
    )
}
