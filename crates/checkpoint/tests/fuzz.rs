//! Random, malformed files, for which there must be tensors or an error, but never a panic. `tests/fuzz/src/lib.rs`
//! describes how these tests run.

mod common;

use fuzz::arbitrary::{Result, Unstructured};
use fuzz::{damage, found, fuzz};
use sam2_checkpoint::TensorFile;

const ODD: &[u8] = include_bytes!("fixtures/odd.pt");

/// Reads everything in a file, and looks for SAM 2 in it.
fn read_all(bytes: &[u8]) {
    match TensorFile::read(bytes) {
        Ok(file) => {
            for (name, tensor) in file.tensors() {
                if let Ok(values) = file.f32(name, tensor) {
                    assert_eq!(values.len(), tensor.numel());
                    assert!(values.len() <= bytes.len());
                }
                let _ = (file.f16(tensor), tensor.row(0));
            }
            let readable = file
                .tensors()
                .iter()
                .filter(|(_, tensor)| tensor.dtype().size().is_some());
            assert!(
                file.subset(readable.map(|(name, tensor)| (name.as_str(), tensor)))
                    .is_ok()
            );
        }
        Err(error) => assert!((1..2000).contains(&error.to_string().len()), "{error}"),
    }
    let _ = TensorFile::read_beginning(bytes);
}

/// A PyTorch file with this pickle.
fn zipped(pickle: &[u8]) -> Vec<u8> {
    common::torch_file(pickle, &[("0", &[0x3f; 64])])
}

/// Parts of pickles: opcodes with their arguments, and whole values.
const PIECES: [&[u8]; 66] = [
    b"(", b"0", b"1", b"2", b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", b"\x85", b"\x86", b"\x87", b"t",
    b"l", b"d", b"a", b"e", b"s", b"u", b"\x90", b"\x91", b"\x94", b"Q", b"R", b"b", b"\x81", b"\x92", b"o", b".",
    b"q\0", b"q\x01", b"h\0", b"h\x01", b"j\x02\0\0\0", b"r\x02\0\0\0", b"g0\n", b"p1\n", b"K\0", b"K\x01",
    b"K\x04", b"M\xff\xff", b"J\xff\xff\xff\xff", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"I5\n",
    b"X\x07\0\0\0storage", b"X\x01\0\0\x000", b"X\x03\0\0\0cpu", b"X\x05\0\0\0model", b"\x8c\x01a",
    b"X\xff\xff\xff\xff", b"\x8d\x01\0\0\0\0\0\0\0b", b"C\x02ab",
    b"X\x1b\0\0\0image_encoder.trunk.pos_emb", b"ctorch\nFloatStorage\n", b"ctorch\nLongStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nSize\n",
    b"cmy.code\nThing\n", b"imy.code\nThing\n",
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x10tQ",
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x10tQK\0K\x02K\x03\x86K\x03K\x01\x86\x89NtR",
];

fn pickle(u: &mut Unstructured) -> Result<Vec<u8>> {
    let mut pickle = b"\x80\x02".to_vec();
    while !u.is_empty() && pickle.len() < 4096 {
        pickle.extend(*u.choose(&PIECES)?);
    }
    pickle.push(b'.');
    Ok(pickle)
}

#[test]
fn found_files() {
    for (path, bytes) in found("files") {
        println!("{}", path.display());
        read_all(&bytes);
    }
    for (path, bytes) in found("pickles") {
        println!("{}", path.display());
        read_all(&zipped(&bytes));
    }
}

#[test]
fn pickles() {
    fuzz(|u| {
        read_all(&zipped(&pickle(u)?));
        Ok(())
    });
}

#[test]
fn torch_files() {
    fuzz(|u| {
        let mut file = ODD.to_vec();
        damage(u, &mut file)?;
        read_all(&file);
        Ok(())
    });
}

/// A safetensors file whose header is nearly right.
fn safetensors(u: &mut Unstructured) -> Result<Vec<u8>> {
    let mut header = serde_json::Map::new();
    let mut end = 0u64;
    for i in 0..u.int_in_range(0..=4)? {
        let dtype = *u.choose(&["F64", "F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F4", "X"])?;
        let size = |u: &mut Unstructured| {
            u.choose(&[0u64, 1, 2, 3, 4, 1 << 31, 1 << 32, 1 << 61, u64::MAX])
                .copied()
        };
        let shape = (0..u.int_in_range(0..=3)?)
            .map(|_| size(u))
            .collect::<Result<Vec<_>>>()?;
        let start = end;
        end = match u.ratio(3, 4)? {
            true => start.saturating_add(shape.iter().fold(4u64, |product, n| product.saturating_mul(*n))),
            false => size(u)?,
        };
        let info = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        let names = ["a", "image_encoder.trunk.pos_embed", "module.mask_decoder.a", ""];
        header.insert(format!("{}{i}", u.choose(&names)?), info);
    }
    if u.arbitrary()? {
        let config = *u.choose(&["{", "{}", "[]", "null", "{\"model\": 1}"])?;
        header.insert("__metadata__".into(), serde_json::json!({ "config": config }));
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.resize(file.len() + (end as usize).min(256), 0x3f);
    if u.arbitrary()? {
        damage(u, &mut file)?;
    }
    Ok(file)
}

#[test]
fn safetensors_files() {
    fuzz(|u| {
        read_all(&safetensors(u)?);
        Ok(())
    });
}
