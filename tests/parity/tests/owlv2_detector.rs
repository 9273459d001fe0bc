//! The detector as programs use it, on the fixture's generated weights: it finds what the network's parts find, and says
//! what it cannot.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use owlv2::config::CPU_SIDE;
use owlv2::{
    Checkpoint, CheckpointError, DetectError, DetectOptions, Detector, DetectorImage, LabelEmbeddings,
    LabelsError, LoadError, Owlv2Config, TokenizerError,
};
use parity::{Recipe, block_on, natively, synthetic};
use safetensors::tensor::Dtype;
use sam2_checkpoint::{FileError, Packing};
use sam2_predict::{PictureRef, PixelFormat};
use sam2_resample::Line;

const SIZE: [usize; 2] = [120, 200];
/// Everything, so that results of generated weights can be compared.
const ALL: DetectOptions = DetectOptions {
    threshold: 0.0,
    nms_threshold: 1.0,
    per_label: 1000,
    max: 1000,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/owlv2")
}

fn config() -> Owlv2Config {
    let text = std::fs::read_to_string(folder().join("config.json")).expect("config.json");
    Owlv2Config::from_json(&text).expect("a configuration")
}

fn merges() -> Vec<u8> {
    std::fs::read(folder().join("merges.txt")).expect("merges.txt")
}

fn file() -> Vec<u8> {
    Recipe::read(folder().join("weights.json")).to_safetensors(Dtype::F16, HashMap::new())
}

fn detector_of(file: Vec<u8>, side: usize, merges: Option<&[u8]>) -> Result<Detector, LoadError> {
    let mut checkpoint = Checkpoint::from_bytes(file)?;
    Detector::from_checkpoint(&mut checkpoint, &config(), side, merges, &natively())
}

fn detector() -> Detector {
    detector_of(file(), 96, Some(&merges())).expect("a detector")
}

fn image(detector: &Detector) -> DetectorImage {
    let [height, width] = SIZE;
    let bytes = synthetic::picture(width, height);
    let picture = PictureRef::new(&bytes, PixelFormat::Rgb, width, height).expect("a picture");
    let read = |line, values: &mut [f32]| picture.read(line, values);
    block_on(detector.set_image(SIZE, &read)).expect("a picture")
}

#[test]
fn words_and_their_embeddings_find_the_same() {
    let detector = detector();
    let image = image(&detector);
    let words = ["a cat", "red", "a cat"];
    let found = block_on(detector.find(&image, &words, ALL)).expect("boxes");
    assert!(found.len() > 10);
    // Of equal labels, the first.
    assert!(found.iter().all(|found| found.label < 2));
    let labels = block_on(detector.embed(&words)).expect("embeddings");
    let d = labels.width();
    assert_eq!(labels.values()[..d], labels.values()[2 * d..]);
    assert_eq!(
        block_on(detector.find_labels(&image, &labels, ALL)),
        Ok(found.clone())
    );

    let read = LabelEmbeddings::from_bytes(labels.to_bytes().expect("a file")).expect("the file");
    assert_eq!(read.labels(), words);
    let near = read
        .values()
        .iter()
        .zip(labels.values())
        .all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(near);
    // A detector without a text tower finds by them what the other finds.
    let file = Checkpoint::from_bytes(file()).expect("a detector");
    let vision = file.pack(&config(), false, Packing::F16).expect("a file");
    let vision = detector_of(vision, 96, Some(&merges())).expect("a detector");
    assert!(!vision.has_text());
    assert_eq!(block_on(vision.find_labels(&image, &labels, ALL)), Ok(found));
    assert_eq!(block_on(vision.embed(&words)), Err(DetectError::NoText));
}

#[test]
fn five_hundred_labels_are_compared_as_one_by_one() {
    let detector = detector();
    let image = image(&detector);
    let words: Vec<String> = (0..500).map(|i| format!("label {i}")).collect();
    let options = DetectOptions { per_label: 1, ..ALL };
    let found = block_on(detector.find(&image, &words, options)).expect("boxes");
    // The highest score of any label is that of its own query alone.
    let best = found[0];
    let alone = block_on(detector.find(&image, &[&words[best.label]], options)).expect("boxes");
    assert_eq!((alone[0].score, alone[0].edges), (best.score, best.edges));
    assert!(found.iter().any(|found| found.label >= 256), "of every part");
    for word in &words[..20] {
        let alone = block_on(detector.find(&image, &[word], options)).expect("boxes");
        assert!(alone[0].score <= best.score + 1e-6);
    }
}

#[test]
fn an_example_finds_its_own_place() {
    let detector = detector();
    let image = image(&detector);
    let example = [20.0, 20.0, 80.0, 80.0];
    let query = block_on(detector.embed_example(&image, example, "this")).expect("an embedding");
    assert_eq!(query.labels(), ["this"]);
    let found = block_on(detector.find_labels(&image, &query, ALL)).expect("boxes");
    assert_eq!(block_on(detector.find_like(&image, example, ALL)), Ok(found));
    for edges in [
        [210.0, 0.0, 220.0, 9.0],
        [5.0, 5.0, 5.0, 9.0],
        [f32::NAN, 0.0, 9.0, 9.0],
    ] {
        let error = block_on(detector.find_like(&image, edges, ALL)).expect_err("no example");
        assert!(
            matches!(
                error,
                DetectError::Example {
                    width: 200,
                    height: 120,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_looked_for() {
    let detector = detector();
    let image = image(&detector);
    let find = |words: &[&str]| block_on(detector.find(&image, words, ALL));
    assert_eq!(find(&[]), Err(DetectError::NoLabels));
    assert_eq!(find(&["cat", " \n"]), Err(DetectError::EmptyLabel { index: 1 }));
    // Only the first tokens of a long text are read.
    let long = block_on(detector.embed(&["a".repeat(10_000), "a".repeat(9000)])).expect("embeddings");
    assert_eq!(long.values()[..long.width()], long.values()[long.width()..]);
    let none = DetectOptions {
        threshold: 1.0,
        ..ALL
    };
    assert_eq!(block_on(detector.find(&image, &["cat"], none)), Ok(Vec::new()));
    let narrow = LabelEmbeddings::new(vec!["cat".into()], vec![1.0; 7]).expect("embeddings");
    let error = block_on(detector.find_labels(&image, &narrow, ALL)).expect_err("narrow");
    assert_eq!(
        error,
        DetectError::Width {
            expected: 32,
            found: 7
        }
    );
    let nothing = |_: Line, _: &mut [f32]| {};
    let empty = block_on(detector.set_image([0, 5], &nothing)).expect_err("empty");
    assert_eq!(empty, DetectError::EmptyPicture { width: 5, height: 0 });
}

#[test]
fn files_of_every_format_and_wrong_ones() {
    let checkpoint = Checkpoint::from_bytes(file()).expect("a detector");
    let words = ["a cat", "red"];
    let exact = detector();
    let expected = block_on(exact.embed(&words)).expect("embeddings");
    for (packing, limit) in [(Packing::F32, 1e-6), (Packing::F16, 1e-6), (Packing::Q8, 0.05)] {
        let packed = checkpoint.pack(&config(), true, packing).expect("a file");
        let read = Checkpoint::from_bytes(packed.clone()).expect("a detector");
        assert_eq!(read.config(), Ok(config()));
        let detector = detector_of(packed, 96, Some(&merges())).expect("a detector");
        let found = block_on(detector.embed(&words)).expect("embeddings");
        let apart = found.values().iter().zip(expected.values());
        let apart = apart.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= limit, "{packing:?}: {apart}");
    }

    let half = file()[..file().len() / 2].to_vec();
    assert!(matches!(
        Checkpoint::from_bytes(half),
        Err(CheckpointError::File(FileError::Truncated { .. }))
    ));
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../weights/nano.safetensors");
    let error = Checkpoint::from_bytes(std::fs::read(nano).expect("nano")).expect_err("SAM 2");
    assert!(
        error.to_string().contains("its tensors are those of SAM 2"),
        "{error}"
    );
    assert!(matches!(
        LabelEmbeddings::from_bytes(file()),
        Err(LabelsError::NotLabels { .. })
    ));
    let side = detector_of(file(), 100, None).expect_err("a side");
    assert!(matches!(side, LoadError::Config(_)), "{side}");
    let few = detector_of(file(), 96, Some(b"#v\na b\n")).expect_err("a vocabulary");
    let size = TokenizerError::Size {
        expected: 49_408,
        found: 515,
    };
    assert_eq!(few, LoadError::Tokenizer(size));
    assert_eq!(config().side_within(CPU_SIDE), 96);
}
