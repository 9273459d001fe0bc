//! Small files, written by hand.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::Write;

/// A safetensors file: (name, dtype, shape, bytes).
pub fn safetensors(tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    safetensors_with(&[], tensors)
}

/// The same with metadata.
pub fn safetensors_with(metadata: &[(&str, &str)], tensors: &[(&str, &str, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        let metadata: std::collections::BTreeMap<_, _> = metadata.iter().copied().collect();
        header.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut data: Vec<u8> = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            (*name).into(),
            serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}),
        );
        data.extend(bytes);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}

/// A ZIP as `torch.save` writes it, with this pickle and these storages.
pub fn torch_file(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let (mut entry, config) = archive
            .new_file(path)
            .compression_method(rawzip::CompressionMethod::STORE)
            .start()
            .unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(bytes).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    };
    add("x/data.pkl", pickle);
    for (key, bytes) in storages {
        add(&format!("x/data/{key}"), bytes);
    }
    archive.finish().unwrap()
}

/// The opcodes of a value, in protocol 2.
#[derive(Clone)]
pub struct Code(pub Vec<u8>);

/// A whole pickle of one value.
pub fn pickle(value: Code) -> Vec<u8> {
    [b"\x80\x02", value.0.as_slice(), b"."].concat()
}

/// Raw opcodes.
pub fn raw(bytes: &[u8]) -> Code {
    Code(bytes.to_vec())
}

/// A text.
pub fn text(text: &str) -> Code {
    let length = (text.len() as u32).to_le_bytes();
    Code([b"X", length.as_slice(), text.as_bytes()].concat())
}

/// A small number.
pub fn number(n: u8) -> Code {
    Code(vec![b'K', n])
}

/// A tuple.
pub fn tuple(items: &[Code]) -> Code {
    let items: Vec<u8> = items.iter().flat_map(|item| item.0.clone()).collect();
    Code([b"(", items.as_slice(), b"t"].concat())
}

/// A dict.
pub fn dict(entries: &[(Code, Code)]) -> Code {
    let entries = entries
        .iter()
        .flat_map(|(key, value)| [key.0.clone(), value.0.clone()]);
    let entries: Vec<u8> = entries.flatten().collect();
    Code([b"}(", entries.as_slice(), b"u"].concat())
}

/// A dict with texts for keys.
pub fn named(entries: &[(&str, Code)]) -> Code {
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| (text(key), value.clone()))
        .collect();
    dict(&entries)
}

/// A reference to a Python name.
pub fn global(module: &str, name: &str) -> Code {
    Code(format!("c{module}\n{name}\n").into_bytes())
}

/// `module.name(*arguments)`.
pub fn call(module: &str, name: &str, arguments: &[Code]) -> Code {
    Code([global(module, name).0, tuple(arguments).0, b"R".to_vec()].concat())
}

/// An object of a class, with these attributes.
pub fn object(module: &str, name: &str, attributes: Code) -> Code {
    Code(
        [
            global(module, name).0,
            b")\x81".to_vec(),
            attributes.0,
            b"b".to_vec(),
        ]
        .concat(),
    )
}

/// A tensor over the storage `key`, which holds numbers of a kind such as `Float`.
pub fn tensor(kind: &str, key: &str, shape: &[u8]) -> Code {
    let mut strides = vec![1u8; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    view(kind, key, shape, &strides)
}

/// The same with other strides.
pub fn view(kind: &str, key: &str, shape: &[u8], strides: &[u8]) -> Code {
    let numbers = |values: &[u8]| tuple(&values.iter().map(|n| number(*n)).collect::<Vec<_>>());
    let storage = tuple(&[
        text("storage"),
        global("torch", &format!("{kind}Storage")),
        text(key),
        text("cpu"),
        number(1),
    ]);
    let storage = Code([storage.0, b"Q".to_vec()].concat());
    let hooks = call("collections", "OrderedDict", &[]);
    call(
        "torch._utils",
        "_rebuild_tensor_v2",
        &[
            storage,
            number(0),
            numbers(shape),
            numbers(strides),
            raw(b"\x89"),
            hooks,
        ],
    )
}

/// Opens the file cut short and with bytes changed, `rounds` times each. The result may be anything but a panic.
pub fn damage(file: &[u8], rounds: usize) {
    fuzz::damaged(file, rounds, read_all);
}

/// Reads every tensor of a file, if it is one.
pub fn read_all(bytes: Vec<u8>) {
    let Ok(file) = sam2_checkpoint::TensorFile::read(bytes) else {
        return;
    };
    for (name, tensor) in file.tensors() {
        let values = file.f32(name, tensor);
        assert!(values.is_err() || values.is_ok_and(|values| values.len() == tensor.numel()));
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
