//! Files that PyTorch itself wrote (`fixtures/make_pt.py`), and hostile ones.

mod common;

use sam2::TensorSource;
use sam2_weights::{Checkpoint, CheckpointError, Container, Dtype, Naming};

const ODD: &[u8] = include_bytes!("fixtures/odd.pt");

fn take(checkpoint: &mut Checkpoint, name: &str, shape: &[usize]) -> Vec<f32> {
    checkpoint
        .take(&format!("image_encoder.{name}"), shape)
        .unwrap()
        .try_into_vec()
        .unwrap()
}

fn ramp(numbers: impl IntoIterator<Item = i32>) -> Vec<f32> {
    numbers.into_iter().map(|n| n as f32).collect()
}

#[test]
fn views_and_formats_of_an_official_layout() {
    let mut odd = Checkpoint::from_bytes(ODD).unwrap();
    assert_eq!(
        (odd.container(), odd.naming(), odd.tensor_count()),
        (Container::Torch, Naming::Official, 11)
    );
    assert_eq!(odd.dtypes(), [Dtype::F32, Dtype::F16, Dtype::Bf16]);
    assert_eq!(take(&mut odd, "f32", &[4, 6]), ramp(0..24));
    assert_eq!(
        take(&mut odd, "half", &[4, 6]),
        (0..24).map(|n| n as f32 / 8.0).collect::<Vec<_>>()
    );
    assert_eq!(take(&mut odd, "bf16", &[4, 6]), ramp((0..24).map(|n| 3 * n)));
    assert_eq!(
        take(&mut odd, "transposed", &[6, 4]),
        ramp((0..6).flat_map(|c| (0..4).map(move |r| 6 * r + c)))
    );
    assert_eq!(take(&mut odd, "column", &[4]), [2.0, 8.0, 14.0, 20.0]);
    let permuted = (0..4).flat_map(|k| (0..2).flat_map(move |i| (0..3).map(move |j| 12 * i + 4 * j + k)));
    assert_eq!(take(&mut odd, "permuted", &[4, 2, 3]), ramp(permuted));
    assert_eq!(take(&mut odd, "shared_head", &[4]), ramp(0..4));
    assert_eq!(take(&mut odd, "shared_tail", &[4]), ramp(6..10));
    assert_eq!(take(&mut odd, "parameter", &[6]), ramp(0..6));
    assert_eq!(take(&mut odd, "scalar", &[]), [2.5]);
    assert_eq!(take(&mut odd, "empty", &[0, 3]), [0.0; 0]);
}

#[test]
fn a_plain_state_dict() {
    let plain = Checkpoint::from_bytes(include_bytes!("fixtures/plain.pt").as_slice()).unwrap();
    assert_eq!((plain.tensor_count(), plain.parameter_count()), (2, 9));
}

#[test]
fn what_would_be_executed_is_refused_by_name() {
    let error = Checkpoint::from_bytes(include_bytes!("fixtures/malicious.pt").as_slice()).unwrap_err();
    assert_eq!(
        error,
        CheckpointError::UnsafePickle {
            global: "posix.system".into()
        }
    );
    assert_eq!(error.code(), "WEIGHTS_UNSAFE");
}

#[test]
fn kinds_that_are_not_read() {
    let error = Checkpoint::from_bytes(include_bytes!("fixtures/int64.pt").as_slice()).unwrap_err();
    assert!(
        matches!(error, CheckpointError::Dtype { name, dtype } if name == "image_encoder.int" && dtype == "long")
    );
    let error = Checkpoint::from_bytes(include_bytes!("fixtures/legacy.pt").as_slice()).unwrap_err();
    assert!(error.to_string().contains("before version 1.6"), "{error}");
    let swapped = replace(ODD, b"little", b"bigend");
    assert!(
        Checkpoint::from_bytes(swapped)
            .unwrap_err()
            .to_string()
            .contains("big-endian")
    );
}

#[test]
fn half_a_file_is_corrupt() {
    let error = Checkpoint::from_bytes(&ODD[..ODD.len() / 2]).unwrap_err();
    assert_eq!(error.code(), "WEIGHTS_CORRUPT");
}

/// `from` becomes `to`, of the same length, wherever it stands.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

/// A ZIP with nothing but this pickle.
fn zipped(pickle: &[u8]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    let (mut entry, config) = archive
        .new_file("x/data.pkl")
        .compression_method(rawzip::CompressionMethod::STORE)
        .start()
        .unwrap();
    let mut writer = config.wrap(&mut entry);
    std::io::Write::write_all(&mut writer, pickle).unwrap();
    let (_, descriptor) = writer.finish().unwrap();
    entry.finish(descriptor).unwrap();
    archive.finish().unwrap()
}

#[test]
fn hostile_pickles() {
    let code = |pickle: &[u8]| Checkpoint::from_bytes(zipped(pickle)).unwrap_err().code();
    // Names and objects.
    for pickle in [
        b"\x80\x02cbuiltins\neval\n.".as_slice(),
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02cevil\nFloatStorage\n.",
        b"\x80\x02(ios\nsystem\n.",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        b"\x80\x02NNR.",
    ] {
        assert_eq!(code(pickle), "WEIGHTS_UNSAFE", "{pickle:?}");
    }
    // Stack, memo and lengths.
    for pickle in [
        b"".as_slice(),
        b".",
        b"0.",
        b"\x80\x02t.",
        b"\x80\x02(0.",
        b"\x80\x02(\x85.",
        b"\x80\x02h\x00.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02}a.",
        b"\x80\x02](KKKKu.",
        b"\x80\x02NQ.",
        b"\x80\x02ccollections\nOrderedDict\nN\x85R.",
        b"\x80\x02c",
        b"\x80\x02\xff.",
    ] {
        assert_eq!(code(pickle), "WEIGHTS_CORRUPT", "{pickle:?}");
    }
    // A dict that contains itself, and a million nested tuples.
    assert_eq!(
        code(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."),
        "WEIGHTS_UNSUPPORTED"
    );
    let mut nested = b"\x80\x02N".to_vec();
    nested.resize(1_000_000, 0x85);
    nested.push(b'.');
    assert_eq!(code(&nested), "WEIGHTS_UNSUPPORTED");
}

#[test]
fn arbitrary_damage_never_panics() {
    common::damage(ODD, 3000);
}
