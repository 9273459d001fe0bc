//! safetensors: what is read, what is refused, and what is written.

mod common;

use std::collections::BTreeMap;

use common::safetensors;
use sam2_checkpoint::{
    Container, Dtype, FileError, PackedDtype, PackedTensor, TensorFile, write_safetensors,
};

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

/// A tensor to be written.
fn packed(name: &str, shape: &[usize], dtype: PackedDtype) -> PackedTensor {
    PackedTensor {
        name: name.into(),
        shape: shape.into(),
        dtype,
    }
}

#[test]
fn what_is_written_is_read_back() {
    let metadata = BTreeMap::from([("format".to_owned(), "test".to_owned())]);
    for dtype in [PackedDtype::F16, PackedDtype::F32] {
        let tensors = [packed("b", &[2, 1], dtype), packed("a", &[3], dtype)];
        let values = |name: &str, _: &[usize]| match name {
            "a" => Ok::<_, FileError>(vec![1.0, 2.0, 3.0]),
            _ => Ok(vec![-1.0, 0.5]),
        };
        let bytes = write_safetensors(&metadata, &tensors, values).unwrap();
        // The reference implementation accepts it too.
        assert_eq!(safetensors::SafeTensors::deserialize(&bytes).unwrap().len(), 2);
        let file = TensorFile::read(bytes).unwrap();
        assert_eq!(file.metadata(), &metadata);
        assert_eq!(file.f32("a", &file.tensors()["a"]).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(file.f32("b", &file.tensors()["b"]).unwrap(), [-1.0, 0.5]);
    }
    let pair = |dtype| [packed("b", &[2, 1], dtype)];
    let short = write_safetensors(&metadata, &pair(PackedDtype::F32), |_, _| {
        Ok::<_, FileError>(vec![1.0])
    });
    assert!(matches!(short, Err(FileError::Corrupt { .. })));
    for (dtype, format) in [(PackedDtype::F16, "f16"), (PackedDtype::Q8 { axis: 0 }, "q8")] {
        let large = write_safetensors(&metadata, &pair(dtype), |_, _| {
            Ok::<_, FileError>(vec![1.0, 65520.0])
        });
        let error = large.unwrap_err();
        assert!(
            matches!(error, FileError::Overflow { value: 65520.0, dtype, .. } if dtype == format),
            "{error}"
        );
    }
}

/// A file with an 8-bit matrix of two rows, one of which has larger values, a transposed one, and an f16 vector.
fn eight_bits() -> Vec<u8> {
    let tensors = [
        packed("head.weight", &[2, 3], PackedDtype::Q8 { axis: 0 }),
        packed("head.bias", &[3], PackedDtype::F16),
        packed("up.weight", &[3, 2, 1, 1], PackedDtype::Q8 { axis: 1 }),
    ];
    let values = |name: &str, _: &[usize]| {
        Ok::<_, FileError>(match name {
            "head.weight" => vec![127.0, -63.0, 1.0, 0.5, -0.25, 0.0],
            "up.weight" => vec![127.0, 0.5, -63.0, -0.25, 1.0, 0.0],
            _ => vec![1.0, 2.0, 3.0],
        })
    };
    write_safetensors(&BTreeMap::new(), &tensors, values).unwrap()
}

#[test]
fn eight_bits_have_a_scale_for_each_output_channel() {
    let bytes = eight_bits();
    // The layout, as the reference implementation reads it.
    let plain = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, scale, shape) in [
        ("head.weight", "head.weight.scale", &[2, 1][..]),
        ("up.weight", "up.weight.scale", &[1, 2, 1, 1]),
    ] {
        assert_eq!(plain.tensor(name).unwrap().dtype(), safetensors::Dtype::I8);
        let scale = plain.tensor(scale).unwrap();
        assert_eq!((scale.dtype(), scale.shape()), (safetensors::Dtype::F16, shape));
    }
    assert_eq!(plain.len(), 5);

    let mut file = TensorFile::read(bytes.clone()).unwrap();
    let names: Vec<&String> = file.tensors().keys().collect();
    assert_eq!(
        names,
        ["head.bias", "head.weight", "up.weight"],
        "scales are no tensors"
    );
    assert_eq!(file.dtypes(), [Dtype::F16, Dtype::Q8].into());
    // With one scale for everything, the small channel would be rounded to 1, 0 and 0.
    let step = 0.5 / 127.0;
    let wanted = [127.0, -63.0, 1.0, 0.5, -0.25, 0.0];
    let order = [0, 3, 1, 4, 2, 5].map(|i: usize| wanted[i]);
    // The same after the file was joined to another one, and in a copy of a part of it.
    let other = TensorFile::read(safetensors(&[("other", "F32", vec![1], vec![0; 4])])).unwrap();
    let mut joined = other;
    joined.join(file.clone()).unwrap();
    let part = file
        .tensors()
        .iter()
        .map(|(name, stored)| (name.as_str(), stored));
    let copy = file.subset(part).unwrap();
    for file in [&mut file, &mut joined, &mut copy.clone()] {
        for (name, wanted) in [("head.weight", wanted), ("up.weight", order)] {
            let tensor = &file.tensors()[name];
            let found = file.f32(name, tensor).unwrap();
            let halves = file.f16(tensor).expect("8 bits can be taken as f16");
            for ((found, half), wanted) in found.iter().zip(halves).zip(wanted) {
                assert!((found - wanted).abs() <= step, "{name}: {found} for {wanted}");
                assert_eq!(half, half::f16::from_f32(*found));
            }
        }
        let head = &file.tensors()["head.weight"];
        let rows = [0, 1].map(|row| file.f32("row", &head.row(row).unwrap()).unwrap());
        assert_eq!(rows.concat(), file.f32("head.weight", head).unwrap());
    }
    assert!(copy.f32("head.bias", &copy.tensors()["head.bias"]).is_ok());

    // The beginning tells the format before there are values.
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let beginning = TensorFile::read_beginning(&bytes[..header]).unwrap();
    assert_eq!(beginning.tensors()["up.weight"].dtype(), Dtype::Q8);
}

#[test]
fn eight_bits_without_proper_scales_are_refused() {
    let half = |values: &[f32]| -> Vec<u8> {
        let halves = values.iter().map(|v| half::f16::from_f32(*v).to_le_bytes());
        halves.flatten().collect()
    };
    let whole = ("a", "I8", vec![2, 3], vec![1u8; 6]);
    let marked = |tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]| {
        common::safetensors_with(&[("quantization", "q8")], tensors)
    };
    let scale = |dtype, shape, bytes| ("a.scale", dtype, shape, bytes);
    for (scale, reason) in [
        (None, "there is no `a.scale`"),
        (
            Some(scale("F16", vec![3, 1], half(&[1.0; 3]))),
            "has shape [3, 1]",
        ),
        (
            Some(scale("F16", vec![2, 3], half(&[1.0; 6]))),
            "has shape [2, 3]",
        ),
        (Some(scale("F16", vec![2], half(&[1.0; 2]))), "has shape [2]"),
        (
            Some(scale("I32", vec![2, 1], vec![0; 8])),
            "is int32, expected f16",
        ),
        (
            Some(scale("F16", vec![2, 1], half(&[1.0, f32::NAN]))),
            "holds NaN",
        ),
        (
            Some(scale("F16", vec![2, 1], half(&[1.0, f32::INFINITY]))),
            "holds inf",
        ),
        (Some(scale("F16", vec![2, 1], half(&[-1.0, 1.0]))), "holds -1"),
        (
            Some(scale(
                "F32",
                vec![2, 1],
                [1e6f32, 1.0].map(f32::to_le_bytes).concat(),
            )),
            "holds 1000000",
        ),
    ] {
        let tensors: Vec<_> = std::iter::once(whole.clone()).chain(scale).collect();
        let error = open_error(&marked(&tensors));
        assert!(
            matches!(&error, FileError::Scale { name, reason: found } if name == "a" && found.contains(reason)),
            "{error}"
        );
        assert_eq!(error.code(), "WEIGHTS_CORRUPT");
    }
    // One scale for the whole tensor, and scales along the second dimension.
    for (shape, scales, wanted) in [
        (vec![1, 1], half(&[2.0]), [2.0; 6]),
        (vec![1, 3], half(&[1.0, 2.0, 4.0]), [1.0, 2.0, 4.0, 1.0, 2.0, 4.0]),
    ] {
        let file = TensorFile::read(marked(&[whole.clone(), scale("F16", shape, scales)])).unwrap();
        assert_eq!(file.f32("a", &file.tensors()["a"]).unwrap(), wanted);
    }
    // Whole numbers of another meaning stay unread, and another kind of quantisation is refused by name.
    let tensors = [whole.clone(), scale("F16", vec![2, 1], half(&[1.0; 2]))];
    let file = TensorFile::read(safetensors(&tensors)).unwrap();
    assert_eq!(file.tensors()["a"].dtype(), Dtype::Other("int8"));
    assert!(file.tensors().contains_key("a.scale"));
    let error = open_error(&common::safetensors_with(&[("quantization", "q4")], &tensors));
    assert!(
        matches!(&error, FileError::Unsupported { what, .. } if what.contains("q4")),
        "{error}"
    );
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
    common::damage(&eight_bits(), 3000);
}
