//! safetensors: what is read, what is refused, and what is written.

mod common;

use std::collections::BTreeMap;

use common::safetensors;
use sam2_checkpoint::{Container, Dtype, FileError, PackedDtype, TensorFile, write_safetensors};

fn open_error(bytes: &[u8]) -> FileError {
    TensorFile::read(bytes).unwrap_err()
}

#[test]
fn every_number_format() {
    let numbers = [1.5f32, -2.25, 0.0078125];
    let bytes = |of: &dyn Fn(f32) -> Vec<u8>| numbers.iter().flat_map(|v| of(*v)).collect::<Vec<u8>>();
    let file = safetensors(&[
        (
            "f64",
            "F64",
            vec![3],
            bytes(&|v| f64::from(v).to_le_bytes().into()),
        ),
        ("f32", "F32", vec![3], bytes(&|v| v.to_le_bytes().into())),
        (
            "f16",
            "F16",
            vec![3],
            bytes(&|v| half::f16::from_f32(v).to_le_bytes().into()),
        ),
        (
            "bf16",
            "BF16",
            vec![3],
            bytes(&|v| half::bf16::from_f32(v).to_le_bytes().into()),
        ),
        ("i64", "I64", vec![2], vec![0; 16]),
        ("bool", "BOOL", vec![2], vec![0; 2]),
    ]);
    let file = TensorFile::read(file).unwrap();
    assert_eq!(file.container(), Container::Safetensors);
    for (name, dtype) in [
        ("f64", Dtype::F64),
        ("f32", Dtype::F32),
        ("f16", Dtype::F16),
        ("bf16", Dtype::Bf16),
    ] {
        let tensor = &file.tensors()[name];
        assert_eq!(tensor.dtype(), dtype);
        assert_eq!(file.f32(name, tensor).unwrap(), numbers, "{name}");
        assert_eq!(file.f16(tensor).is_some(), name == "f16");
    }
    for (name, dtype) in [("i64", "int64"), ("bool", "bool")] {
        let error = file.f32(name, &file.tensors()[name]).unwrap_err();
        assert!(
            matches!(&error, FileError::Dtype { dtype: d, .. } if d == dtype),
            "{error}"
        );
        assert_eq!(error.code(), "WEIGHTS_UNSUPPORTED");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let metadata = BTreeMap::from([("format".to_owned(), "test".to_owned())]);
    let tensors = [("b".to_owned(), vec![2, 1]), ("a".to_owned(), vec![3])];
    for dtype in [PackedDtype::F16, PackedDtype::F32] {
        let values = |name: &str, _: &[usize]| match name {
            "a" => Ok::<_, FileError>(vec![1.0, 2.0, 3.0]),
            _ => Ok(vec![-1.0, 0.5]),
        };
        let bytes = write_safetensors(&metadata, &tensors, dtype, values).unwrap();
        // The reference implementation accepts it too.
        assert_eq!(safetensors::SafeTensors::deserialize(&bytes).unwrap().len(), 2);
        let file = TensorFile::read(bytes).unwrap();
        assert_eq!(file.metadata(), &metadata);
        assert_eq!(file.f32("a", &file.tensors()["a"]).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(file.f32("b", &file.tensors()["b"]).unwrap(), [-1.0, 0.5]);
    }
    let short = write_safetensors(&metadata, &tensors, PackedDtype::F32, |_, _| {
        Ok::<_, FileError>(vec![1.0])
    });
    assert!(matches!(short, Err(FileError::Corrupt { .. })));
    let large = write_safetensors(&metadata, &tensors[..1], PackedDtype::F16, |_, _| {
        Ok::<_, FileError>(vec![1.0, 65520.0])
    });
    assert!(matches!(large, Err(FileError::Overflow { value: 65520.0, .. })));
}

#[test]
fn the_beginning_of_a_file_tells_shapes_and_no_values() {
    let file = safetensors(&[("a", "F32", vec![2], vec![0; 8])]);
    let header = file.len() - 8;
    let beginning = TensorFile::read_beginning(&file[..header]).unwrap();
    let tensor = &beginning.tensors()["a"];
    assert_eq!((tensor.shape(), tensor.dtype()), (&[2][..], Dtype::F32));
    assert!(beginning.f32("a", tensor).is_err());
    assert!(TensorFile::read_beginning(&file[..header - 1]).is_err());
    assert!(TensorFile::read_beginning(b"PK\x03\x04 and so on".as_slice()).is_err());
}

#[test]
fn damaged_files() {
    let file = safetensors(&[
        ("a", "F32", vec![100], vec![0; 400]),
        ("b", "F32", vec![100], vec![0; 400]),
    ]);
    let half = open_error(&file[..file.len() - 500]);
    assert!(matches!(half, FileError::Truncated { .. }), "{half}");
    assert_eq!(half.code(), "WEIGHTS_CORRUPT");
    let mut longer = file.clone();
    longer.push(0);
    for bytes in [&file[..50], &file[..8], &longer, b""] {
        assert!(matches!(
            open_error(bytes).code(),
            "WEIGHTS_CORRUPT" | "WEIGHTS_UNSUPPORTED"
        ));
    }
    // Shape and bytes disagree, and sizes that overflow.
    for shape in [vec![3], vec![usize::MAX, 8], vec![1 << 62, 2]] {
        let error = open_error(&safetensors(&[("a", "F32", shape, vec![0; 8])]));
        assert!(matches!(error, FileError::Corrupt { .. }), "{error}");
    }
    let name = "n".repeat(10_000);
    let error = open_error(&safetensors(&[(&name, "F32", vec![2], vec![0; 8])]));
    assert!(error.to_string().contains("10000 bytes"), "{error}");
    // Two tensors over the same bytes.
    let overlapping = String::from_utf8_lossy(&safetensors(&[
        ("a", "F32", vec![2], vec![0; 8]),
        ("b", "F32", vec![2], vec![0; 8]),
    ]))
    .replace("[8,16]", "[0,8] ");
    assert!(TensorFile::read(overlapping.into_bytes()).is_err());
}

#[test]
fn a_header_s_claim_is_not_believed() {
    for length in [u64::MAX, 1 << 40, (16 << 20) + 1] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert!(TensorFile::read(bytes).is_err());
    }
    let header =
        br#"{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,18446744073709551615]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    assert!(TensorFile::read(bytes.clone()).is_err());
    assert!(TensorFile::read_beginning(bytes).is_err());
}

#[test]
fn other_files_are_called_by_name() {
    for (bytes, word) in [
        (b"<!DOCTYPE html><html>".as_slice(), "HTML"),
        (b"\n  <html lang=en>", "HTML"),
        (b"<?xml version=\"1.0\"?><Error>", "XML"),
        (b"\x1f\x8b\x08\x00 something", "gzip"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "Git LFS",
        ),
        (b"{\"metadata\": {}, \"weight_map\": {}}", "several files"),
        (b"{\"error\": \"not found\"}", "JSON"),
        (b"\x89PNG\r\n\x1a\n more bytes", "unknown kind"),
        (b"PK\x03\x04", "cut short"),
    ] {
        let error = open_error(bytes);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn files_are_joined_and_a_tensor_twice_is_an_error() {
    let of = |name: &str, value: f32| {
        TensorFile::read(safetensors(&[(name, "F32", vec![1], value.to_le_bytes().into())])).unwrap()
    };
    let mut file = of("a", 1.0);
    file.join(of("b", 2.0)).unwrap();
    let mut three = of("c", 3.0);
    three.join(file).unwrap();
    for (name, value) in [("a", 1.0), ("b", 2.0), ("c", 3.0)] {
        assert_eq!(three.f32(name, &three.tensors()[name]).unwrap(), [value]);
    }
    let error = three.join(of("b", 2.0)).unwrap_err();
    assert!(error.to_string().contains("`b`"), "{error}");
}

#[test]
fn arbitrary_damage_never_panics() {
    let file = safetensors(&[
        ("a", "F32", vec![3, 2], vec![1; 24]),
        ("b", "F16", vec![3], vec![1; 6]),
    ]);
    common::damage(&file, 3000);
}
