//! Files that nobody would write, at random: whatever it is, there are tensors or an error, never a panic.
//!
//! Each test tries for two seconds. `ARBTEST_BUDGET_MS=60000 cargo test -p sam2-checkpoint` tries for a minute each. A
//! failure prints a seed; `arbtest(…).seed(…)` runs it again, and `.minimize()` makes it smaller. What was found that way
//! lies in the folder `found` and is tried in every run.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use sam2_checkpoint::TensorFile;

const ODD: &[u8] = include_bytes!("fixtures/odd.pt");

/// Reads all that can be read of a file, and asks whether it is SAM 2's.
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

/// A PyTorch file of this pickle.
fn zipped(pickle: &[u8]) -> Vec<u8> {
    common::torch_file(pickle, &[("0", &[0x3f; 64])])
}

/// Pieces of pickles: opcodes with what they need, and whole values.
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

/// Tries `property` on random input for as long as there is time.
fn fuzz(property: impl FnMut(&mut Unstructured) -> Result<()>) {
    let test = arbtest::arbtest(property);
    match std::env::var_os("ARBTEST_BUDGET_MS") {
        Some(_) => test.run(),
        None => test.budget(Duration::from_secs(2)).run(),
    }
}

/// The cases of a kind that were found before.
///
/// # Panics
/// If there is none: the folder is not where it should be.
fn found(kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/found")
        .join(kind);
    let files = std::fs::read_dir(&folder).expect("the folder of found cases");
    let mut cases: Vec<_> = files
        .map(|file| {
            let path = file.expect("its entries").path();
            let bytes = std::fs::read(&path).expect("a case");
            (path, bytes)
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    cases
}

/// Cuts, doubles, overwrites and exchanges pieces of `bytes`.
///
/// # Errors
/// Where the random bytes are used up.
fn damage(u: &mut Unstructured, bytes: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=4)? {
        if bytes.is_empty() {
            break;
        }
        let at = u.choose_index(bytes.len())?;
        let end = (at + u.int_in_range(1..=16)?).min(bytes.len());
        match u.int_in_range(0..=5)? {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
            2 => bytes[at] = *u.choose(&[0, 1, 0x7f, 0x80, 0xff])?,
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = u.choose_index(bytes.len())?;
                bytes.splice(to..to, piece);
            }
            _ => {
                let new: [u8; 4] = u.arbitrary()?;
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
        }
    }
    Ok(())
}
