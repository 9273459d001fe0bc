//! Files that PyTorch itself wrote (`fixtures/make_pt.py`), and hostile ones.

mod common;

use common::*;
use sam2_checkpoint::{Container, Dtype, FileError, TensorFile};

const ODD: &[u8] = include_bytes!("fixtures/odd.pt");

fn open(bytes: &[u8]) -> TensorFile {
    TensorFile::read(bytes).unwrap()
}

fn open_error(bytes: &[u8]) -> FileError {
    TensorFile::read(bytes).unwrap_err()
}

/// The values of a tensor of this name and shape.
fn values(file: &TensorFile, name: &str, shape: &[usize]) -> Vec<f32> {
    let tensor = &file.tensors()[name];
    assert_eq!(tensor.shape(), shape, "{name}");
    file.f32(name, tensor).unwrap()
}

fn names(file: &TensorFile) -> Vec<&str> {
    file.tensors().keys().map(String::as_str).collect()
}

fn ramp(numbers: impl IntoIterator<Item = i32>) -> Vec<f32> {
    numbers.into_iter().map(|n| n as f32).collect()
}

#[test]
fn views_and_formats_of_an_official_layout() {
    let odd = open(ODD);
    assert_eq!((odd.container(), odd.tensors().len()), (Container::Torch, 11));
    assert_eq!(
        Vec::from_iter(odd.dtypes()),
        [Dtype::F32, Dtype::F16, Dtype::Bf16]
    );
    let check = |name: &str, shape: &[usize], wanted: Vec<f32>| {
        let name = format!("model.image_encoder.{name}");
        assert_eq!(values(&odd, &name, shape), wanted, "{name}");
        // A copy is the same.
        let subset = odd.subset([(name.as_str(), &odd.tensors()[&name])]).unwrap();
        assert_eq!(values(&subset, &name, shape), wanted, "{name}");
    };
    check("f32", &[4, 6], ramp(0..24));
    check("half", &[4, 6], (0..24).map(|n| n as f32 / 8.0).collect());
    check("bf16", &[4, 6], ramp((0..24).map(|n| 3 * n)));
    check(
        "transposed",
        &[6, 4],
        ramp((0..6).flat_map(|c| (0..4).map(move |r| 6 * r + c))),
    );
    check("column", &[4], vec![2.0, 8.0, 14.0, 20.0]);
    let permuted = (0..4).flat_map(|k| (0..2).flat_map(move |i| (0..3).map(move |j| 12 * i + 4 * j + k)));
    check("permuted", &[4, 2, 3], ramp(permuted));
    check("shared_head", &[4], ramp(0..4));
    check("shared_tail", &[4], ramp(6..10));
    check("parameter", &[6], ramp(0..6));
    check("scalar", &[], vec![2.5]);
    check("empty", &[0, 3], vec![]);

    // A column as a matrix's row, and f16 as it is kept.
    let transposed = &odd.tensors()["model.image_encoder.transposed"];
    let row = transposed.row(1).unwrap();
    assert_eq!(odd.f32("row", &row).unwrap(), [1.0, 7.0, 13.0, 19.0]);
    assert_eq!((row.shape(), transposed.row(6)), (&[1, 4][..], None));
    let half = odd.f16(&odd.tensors()["model.image_encoder.half"]).unwrap();
    assert_eq!(half[23].to_f32(), 23.0 / 8.0);
    assert_eq!(odd.f16(transposed), None);
}

#[test]
fn a_plain_state_dict() {
    let plain = open(include_bytes!("fixtures/plain.pt"));
    assert_eq!(names(&plain), ["image_encoder.bias", "image_encoder.weight"]);
}

#[test]
fn what_would_be_executed_is_refused_by_name() {
    let error = open_error(include_bytes!("fixtures/malicious.pt"));
    assert_eq!(
        error,
        FileError::UnsafePickle {
            global: "posix.system".into()
        }
    );
    assert_eq!(error.code(), "WEIGHTS_UNSAFE");
}

#[test]
fn kinds_that_are_not_read() {
    let file = open(include_bytes!("fixtures/int64.pt"));
    let (name, tensor) = file.tensors().first_key_value().unwrap();
    assert_eq!(
        (tensor.dtype(), tensor.shape()),
        (Dtype::Other("int64"), &[3][..])
    );
    let error = file.f32(name, tensor).unwrap_err();
    assert!(
        matches!(&error, FileError::Dtype { dtype, .. } if dtype == "int64"),
        "{error}"
    );
    let error = open_error(include_bytes!("fixtures/legacy.pt"));
    assert!(error.to_string().contains("before version 1.6"), "{error}");
    let error = open_error(&replace(ODD, b"little", b"bigend"));
    assert!(error.to_string().contains("big-endian"), "{error}");
}

/// A training state around `{"a.weight": …}`.
fn state() -> Code {
    named(&[
        ("a.weight", tensor("Float", "0", &[2, 2])),
        ("a.bias", tensor("Double", "1", &[2])),
    ])
}

fn storages() -> [(&'static str, &'static [u8]); 2] {
    const FLOATS: [u8; 16] = {
        let mut bytes = [0; 16];
        bytes[3] = 0x3f; // 0.5
        bytes[7] = 0x40; // 2.0
        bytes
    };
    const DOUBLES: [u8; 16] = {
        let mut bytes = [0; 16];
        bytes[7] = 0x40; // 2.0
        bytes
    };
    [("0", &FLOATS), ("1", &DOUBLES)]
}

#[test]
fn tensors_are_found_in_nested_dicts_and_lists() {
    for (value, prefix) in [
        (state(), ""),
        (named(&[("model", state())]), "model."),
        (
            named(&[("outer", named(&[("state_dict", state())]))]),
            "outer.state_dict.",
        ),
        (tuple(&[state(), number(3)]), "0."),
        (dict(&[(number(7), state())]), "7."),
        (
            // An object of a custom subclass of dict.
            Code(
                [
                    global("my.code", "StateDict").0,
                    b")\x81(".to_vec(),
                    text("m").0,
                    state().0,
                    b"u".to_vec(),
                ]
                .concat(),
            ),
            "!",
        ),
    ] {
        let file = open(&torch_file(&pickle(value), &storages()));
        if prefix == "!" {
            // It is listed as an object, and its contents are not read.
            assert!(file.objects()[0].holds_tensors && file.tensors().is_empty());
            continue;
        }
        assert_eq!(
            names(&file),
            [format!("{prefix}a.bias"), format!("{prefix}a.weight")]
        );
        assert_eq!(
            values(&file, &format!("{prefix}a.weight"), &[2, 2]),
            [0.5, 2.0, 0.0, 0.0]
        );
        assert_eq!(values(&file, &format!("{prefix}a.bias"), &[2]), [2.0, 0.0]);
        let groups: std::collections::BTreeSet<_> = file.tensors().values().map(|t| t.group()).collect();
        assert_eq!(groups.len(), 1);
    }
}

#[test]
fn what_stands_beside_the_tensors_is_passed_over_unread() {
    let encoded = call("_codecs", "encode", &[text("\u{ff}abc"), text("latin1")]);
    let numpy_dtype = call("numpy", "dtype", &[text("f8"), raw(b"\x89"), raw(b"\x88")]);
    let namespace = || named(&[("lr", raw(b"G\x3f\xe0\0\0\0\0\0\0"))]);
    for (what, value) in [
        ("a number", number(3)),
        ("a float", raw(b"G\x3f\xe0\0\0\0\0\0\0")),
        (
            "a long number",
            raw(b"\x8a\x0a\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"),
        ),
        ("a very long number", raw(b"\x8b\x02\0\0\0\x01\x02")),
        ("None and truth", tuple(&[raw(b"N"), raw(b"\x88"), raw(b"\x89")])),
        ("bytes of protocol 3", raw(b"C\x03abc")),
        ("bytes of protocol 2", encoded.clone()),
        ("long bytes", raw(b"\x8e\x03\0\0\0\0\0\0\0abc")),
        ("a bytearray", raw(b"\x96\x03\0\0\0\0\0\0\0abc")),
        (
            "a bytearray of protocol 2",
            call("builtins", "bytearray", std::slice::from_ref(&encoded)),
        ),
        (
            "a set of protocol 2",
            call("__builtin__", "set", &[raw(b"](K\x01K\x02e")]),
        ),
        ("a set of protocol 4", raw(b"\x8f(K\x01K\x02\x90")),
        ("a frozenset", raw(b"(K\x01K\x02\x91")),
        (
            "a complex number",
            call("builtins", "complex", &[number(1), number(2)]),
        ),
        (
            "a NumPy scalar",
            call(
                "numpy.core.multiarray",
                "scalar",
                &[numpy_dtype.clone(), encoded.clone()],
            ),
        ),
        (
            "one of NumPy 2",
            call("numpy._core.multiarray", "scalar", &[numpy_dtype, encoded]),
        ),
        (
            "a NumPy array",
            Code(
                [
                    call(
                        "numpy.core.multiarray",
                        "_reconstruct",
                        &[global("numpy", "ndarray"), tuple(&[number(0)]), raw(b"C\x01b")],
                    )
                    .0,
                    tuple(&[number(1)]).0,
                    b"b".to_vec(),
                ]
                .concat(),
            ),
        ),
        (
            "an argparse namespace",
            object("argparse", "Namespace", namespace()),
        ),
        (
            "a simple namespace",
            Code(
                [
                    call("types", "SimpleNamespace", &[]).0,
                    namespace().0,
                    b"b".to_vec(),
                ]
                .concat(),
            ),
        ),
        (
            "an object of one's own",
            object("__main__", "Config", namespace()),
        ),
        ("an enum's member", call("my.code", "Mode", &[number(1)])),
        ("a path", call("pathlib", "PosixPath", &[text("/data")])),
        ("a date", call("datetime", "datetime", &[raw(b"C\x0a0123456789")])),
        (
            "a default dict",
            call("collections", "defaultdict", &[global("builtins", "list")]),
        ),
        ("a deque", call("collections", "deque", &[raw(b"]"), number(10)])),
        ("sizes", call("torch", "Size", &[tuple(&[number(1), number(2)])])),
        ("a device", call("torch", "device", &[text("cuda")])),
        ("a function", global("my.code", "schedule")),
        ("a dtype", global("torch", "float32")),
        ("texts of protocol 4", raw(b"\x8c\x02ab")),
        ("a very long text", raw(b"\x8d\x02\0\0\0\0\0\0\0ab")),
        ("a text that is not UTF-8", raw(b"X\x02\0\0\0\xff\xfe")),
        ("lines of protocol 0", raw(b"(I1\nI01\nL5L\nF1.5\nS'a'\nVb\nt")),
        ("a dict of protocol 0", raw(b"(K\x01K\x02d")),
        ("an old class", raw(b"(imy.code\nThing\n")),
        ("a list that is in itself", raw(b"]q\x07h\x07a")),
        ("an empty dict", raw(b"}")),
    ] {
        let value = named(&[("epoch", value.clone()), ("model", state()), ("last", value)]);
        let file = TensorFile::read(torch_file(&pickle(value), &storages()));
        let file = file.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(names(&file), ["model.a.bias", "model.a.weight"], "{what}");
    }
}

#[test]
fn tensors_of_other_kinds() {
    let float = || tensor("Float", "0", &[2, 2]);
    let parameter = call(
        "torch._utils",
        "_rebuild_parameter",
        &[float(), raw(b"\x88"), call("collections", "OrderedDict", &[])],
    );
    // `_rebuild_from_type_v2(function, type, arguments, state)`: a tensor with attributes.
    let mut with_attributes = float().0;
    let arguments = with_attributes.split_off(global("torch._utils", "_rebuild_tensor_v2").0.len());
    let arguments = Code(arguments[..arguments.len() - 1].to_vec());
    let with_attributes = call(
        "torch._tensor",
        "_rebuild_from_type_v2",
        &[
            global("torch._utils", "_rebuild_tensor_v2"),
            global("torch.nn.parameter", "Parameter"),
            arguments,
            raw(b"}"),
        ],
    );
    let value = named(&[
        ("parameter", parameter),
        ("with_attributes", with_attributes),
        ("long", tensor("Long", "0", &[2])),
        (
            "sparse",
            call("torch._utils", "_rebuild_sparse_tensor", &[number(0)]),
        ),
    ]);
    let file = open(&torch_file(&pickle(value), &storages()));
    assert_eq!(names(&file), ["long", "parameter", "with_attributes"]);
    for name in ["parameter", "with_attributes"] {
        assert_eq!(values(&file, name, &[2, 2]), [0.5, 2.0, 0.0, 0.0]);
    }
    assert_eq!(file.tensors()["long"].dtype(), Dtype::Other("int64"));
}

#[test]
fn a_whole_module_is_told_of() {
    let inner = object("my.code", "Linear", named(&[("_parameters", state())]));
    let module = object(
        "my.code",
        "Net",
        named(&[("_modules", named(&[("layer", inner)]))]),
    );
    let value = named(&[
        ("args", object("argparse", "Namespace", raw(b"}"))),
        ("model", module),
    ]);
    let file = open(&torch_file(&pickle(value), &storages()));
    assert!(file.tensors().is_empty());
    let told: Vec<_> = file
        .objects()
        .iter()
        .map(|object| (object.path.as_str(), object.class.as_str(), object.holds_tensors))
        .collect();
    assert_eq!(
        told[..2],
        [
            ("args", "argparse.Namespace", false),
            ("model", "my.code.Net", true)
        ]
    );
}

#[test]
fn a_storage_that_is_not_there() {
    let file = torch_file(&pickle(state()), &storages()[..1]);
    let error = open_error(&file);
    assert!(error.to_string().contains("`a.bias`"), "{error}");
    let file = torch_file(&pickle(state()), &[("0", &[0; 12]), ("1", &[0; 16])]);
    assert!(matches!(
        open_error(&file),
        FileError::Truncated {
            needed: 16,
            available: 12,
            ..
        }
    ));
}

#[test]
fn half_a_file_is_corrupt() {
    assert_eq!(open_error(&ODD[..ODD.len() / 2]).code(), "WEIGHTS_CORRUPT");
}

/// Replaces `from` by `to`, which has the same length, everywhere.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn hostile_pickles() {
    let code = |pickle: &[u8]| TensorFile::read(torch_file(pickle, &[])).unwrap_err().code();
    // Names that give access to the operating system, and calls of unknown functions.
    for pickle in [
        b"\x80\x02cbuiltins\neval\n.".as_slice(),
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02csubprocess\nPopen\n.",
        b"\x80\x02(ios\nsystem\n.",
        b"\x80\x02cevil\nrun\n)R.",
        b"\x80\x02cnumpy.testing._private.utils\nrunstring\n)R.",
        b"\x80\x02K\x01)R.",
        b"\x80\x02K\x01)\x81.",
        b"\x80\x02\x82\x01.",
    ] {
        assert_eq!(code(pickle), "WEIGHTS_UNSAFE", "{pickle:?}");
    }
    // Stack, memo and lengths.
    for pickle in [
        b"".as_slice(),
        b".",
        b"0.",
        b"\x80\x02t.",
        b"\x80\x02(\x85.",
        b"\x80\x02h\x00.",
        b"\x80\x02gx\n.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
        b"\x80\x02}a.",
        b"\x80\x02](KKKKu.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02NQ.",
        b"\x80\x02(NNNNNtQ.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN\x85R.",
        b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\nq\0(h\0N)tR.",
        b"\x80\x02c",
        b"\x80\x02\xff.",
    ] {
        assert_eq!(code(pickle), "WEIGHTS_CORRUPT", "{pickle:?}");
    }
    // A dict that contains itself, and a million nested tuples: no tensor is found.
    let is_empty = |pickle: &[u8]| open(&torch_file(pickle, &[])).tensors().is_empty();
    assert!(is_empty(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s."));
    let mut nested = b"\x80\x02N".to_vec();
    nested.resize(500_000, 0x85);
    nested.push(b'.');
    assert!(is_empty(&nested));
}

/// Bytes of repeated opcodes after a beginning.
fn repeated(start: &[u8], opcodes: &[u8], times: usize, end: &[u8]) -> Vec<u8> {
    [start, &opcodes.repeat(times), end].concat()
}

/// Before the limits, each of these files took much more memory or time than its size. Now they take only a moment. The
/// result does not matter.
#[test]
fn hostile_pickles_are_no_larger_in_memory_than_in_the_file() {
    let long = |length: usize| {
        let size = (length as u32).to_le_bytes();
        [b"X", size.as_slice(), &vec![b'k'; length]].concat()
    };
    let memo = |n: u8| vec![b'q', n, b'0'];
    // A storage whose key is a text of 4 MB, referred to in three bytes.
    let description = [
        b"(".to_vec(),
        text("storage").0,
        global("torch", "FloatStorage").0,
        long(4 << 20),
        text("cpu").0,
        number(1).0,
        b"t".to_vec(),
    ]
    .concat();
    let start = [b"\x80\x02".to_vec(), description.clone(), memo(0)].concat();
    let storages = repeated(&start, b"h\0Q", 1_000_000, b".");
    // A tuple of very many, as the arguments of very many calls.
    let start = [
        b"\x80\x02(".to_vec(),
        b"N".repeat(1_000_000),
        b"t".to_vec(),
        memo(0),
    ]
    .concat();
    let start = [start, global("collections", "OrderedDict").0, memo(1)].concat();
    let calls = repeated(&start, b"h\x01h\0R0", 1_000_000, b"N.");
    // A name of 4 MB, looked up again and again.
    let start = [b"\x80\x02".to_vec(), long(4 << 20), memo(0)].concat();
    let names = repeated(&start, b"h\0h\0\x93", 1_000_000, b".");
    // A dict of very many tensors whose name is 4 MB long; and of as many with one short name.
    let keys = |length: usize| {
        let start = [
            b"\x80\x02".to_vec(),
            long(length),
            memo(0),
            tensor("Float", "0", &[1]).0,
            memo(1),
        ]
        .concat();
        repeated(&[start, b"}(".to_vec()].concat(), b"h\0h\x01", 1_000_000, b"u.")
    };
    // A list that is in itself very often, dicts that hold each other, and values without end.
    let itself = repeated(b"\x80\x02]q\0(", b"h\0", 2_000_000, b"e.");
    let deep = repeated(b"\x80\x02", b"}K\0", 300_000, b"N.");
    let values = repeated(b"\x80\x02", b"K\x01", 3_000_000, b".");
    let marks = repeated(b"\x80\x02", b"(", 10_000_000, b".");
    for (what, pickle) in [
        ("storages", storages),
        ("calls", calls),
        ("names", names),
        ("long keys", keys(4 << 20)),
        ("short keys", keys(3)),
        ("itself", itself),
        ("deep", deep),
        ("values", values),
        ("marks", marks),
    ] {
        // If one of them takes long, this says which.
        println!("{what}");
        match TensorFile::read(torch_file(&pickle, &[("0", &[0; 4])])) {
            Ok(file) => assert!(file.tensors().len() <= 1, "{what}"),
            Err(error) => assert!(error.to_string().len() < 500, "{what}: {error}"),
        }
    }
}

/// A network of many tensors, each a column of the same large storage. Only their values are kept.
#[test]
fn views_of_one_storage_are_not_multiplied() {
    let columns: Vec<_> = (0..200)
        .map(|i| {
            // [100, 1] with strides [100, 1]: a column of a matrix of 100 x 100.
            (format!("column{i}"), view("Float", "0", &[100, 1], &[100, 1]))
        })
        .collect();
    let entries: Vec<_> = columns
        .iter()
        .map(|(name, code)| (name.as_str(), code.clone()))
        .collect();
    let file = open(&torch_file(&pickle(named(&entries)), &[("0", &[0; 40_000])]));
    assert_eq!(file.tensors().len(), 200);
    let tensors = file
        .tensors()
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor));
    let subset = file.subset(tensors).unwrap();
    assert_eq!(values(&subset, "column7", &[100, 1]), [0.0; 100]);
}

#[test]
fn arbitrary_damage_never_panics() {
    common::damage(ODD, 3000);
}
