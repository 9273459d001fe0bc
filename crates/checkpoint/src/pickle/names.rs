//! The Python names in a pickle. None of them is ever imported or called.

/// What is done with a name that a pickle refers to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Name<'a> {
    /// A function that describes tensors.
    Function(Function),
    /// A class like `torch.FloatStorage`, by the name before `Storage`.
    StorageType(&'a str),
    /// A class or function that is ignored, and its results too.
    Other,
    /// A name that only a malicious file refers to.
    Unsafe,
}

/// The supported Python functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    /// `torch._utils._rebuild_tensor(storage, offset, size, stride)`, `_v2` and `_v3`, which have more arguments.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter(tensor, …)`.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2(function, type, arguments, state)`.
    RebuildFromType,
    /// `collections.OrderedDict` and similar classes.
    Dict,
    /// `set` and similar classes, which are called with one list.
    List,
}

/// Modules that give access to the operating system or to the interpreter, with their submodules.
const UNSAFE_MODULES: &[&str] = &[
    "asyncio",
    "bdb",
    "cProfile",
    "code",
    "codeop",
    "commands",
    "concurrent",
    "ctypes",
    "distutils",
    "doctest",
    "ensurepip",
    "fileinput",
    "ftplib",
    "gc",
    "http",
    "idlelib",
    "imp",
    "importlib",
    "inspect",
    "io",
    "lib2to3",
    "marshal",
    "multiprocessing",
    "nt",
    "operator",
    "os",
    "pdb",
    "pickle",
    "_pickle",
    "pip",
    "pkgutil",
    "platform",
    "posix",
    "profile",
    "pty",
    "pydoc",
    "runpy",
    "setuptools",
    "shelve",
    "shutil",
    "signal",
    "site",
    "smtplib",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "test",
    "threading",
    "timeit",
    "trace",
    "urllib",
    "venv",
    "webbrowser",
    "xmlrpc",
    "_io",
    "_operator",
    "_posixsubprocess",
    "_thread",
    "torch.hub",
    "torch.utils.cpp_extension",
];

/// The names of `builtins` that are data.
const BUILTINS: &[&str] = &[
    "Ellipsis",
    "NotImplemented",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "float",
    "int",
    "object",
    "range",
    "slice",
    "str",
    "type",
];

/// Functions that only make data. Classes need no list, since they begin with a capital letter.
const HARMLESS: &[(&str, &str)] = &[
    ("_codecs", "encode"),
    ("copy_reg", "_reconstructor"),
    ("copyreg", "_reconstructor"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("functools", "partial"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.random._pickle", "__bit_generator_ctor"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("numpy.random._pickle", "__randomstate_ctor"),
    ("torch", "device"),
    ("torch.serialization", "_get_layout"),
];

/// The modules of `torch` that have classes of storages.
const STORAGES: &[&str] = &[
    "BFloat16",
    "Bool",
    "Byte",
    "Char",
    "ComplexDouble",
    "ComplexFloat",
    "Double",
    "Float",
    "Half",
    "Int",
    "Long",
    "QInt32",
    "QInt8",
    "QUInt8",
    "Short",
    "Untyped",
];

/// Classifies a reference to `module.name`.
pub(crate) fn meaning<'a>(module: &'a str, name: &'a str) -> Name<'a> {
    let storage = name
        .strip_suffix("Storage")
        .filter(|kind| STORAGES.contains(kind) && matches!(module, "torch" | "torch.storage" | "torch.cuda"));
    if let Some(kind) = storage {
        return Name::StorageType(kind);
    }
    match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_tensor_v3") => {
            Name::Function(Function::RebuildTensor)
        }
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            Name::Function(Function::RebuildParameter)
        }
        ("torch._tensor", "_rebuild_from_type_v2") => Name::Function(Function::RebuildFromType),
        ("collections", "OrderedDict" | "defaultdict" | "Counter") | ("builtins" | "__builtin__", "dict") => {
            Name::Function(Function::Dict)
        }
        ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple")
        | ("collections", "deque")
        | ("torch", "Size") => Name::Function(Function::List),
        ("builtins" | "__builtin__" | "exceptions", _) => match BUILTINS.contains(&name)
            || name.ends_with("Error")
            || name.ends_with("Exception")
            || name.ends_with("Warning")
        {
            true => Name::Other,
            false => Name::Unsafe,
        },
        ("types", "SimpleNamespace" | "MappingProxyType" | "NoneType") => Name::Other,
        ("types", _)
        | ("torch", "load")
        | ("torch.serialization", "load")
        | ("torch.storage", "_load_from_bytes") => Name::Unsafe,
        _ if is_below(module, UNSAFE_MODULES) => Name::Unsafe,
        // A pickle may also write `module.sub.name` as the name `sub.name` in `module`.
        _ if name.contains('.') && name.split('.').any(|part| is_below(part, UNSAFE_MODULES)) => Name::Unsafe,
        _ => Name::Other,
    }
}

/// Whether a call of `module.name` only makes an object, which is ignored. Unknown names that begin with a capital letter
/// are taken for classes. A checkpoint needs no other unknown calls.
pub(crate) fn makes_an_object(module: &str, name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    HARMLESS.contains(&(module, name))
        || (matches!(module, "builtins" | "__builtin__") && BUILTINS.contains(&name) && name != "type")
        || (module == "torch._utils" && name.starts_with("_rebuild_"))
        || last
            .trim_start_matches('_')
            .starts_with(|c: char| c.is_uppercase())
}

fn is_below(module: &str, list: &[&str]) -> bool {
    list.iter().any(|unsafe_one| {
        module
            .strip_prefix(unsafe_one)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_code_is_unsafe_and_what_holds_data_is_not() {
        for (module, name) in [
            ("posix", "system"),
            ("os.path", "join"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("__builtin__", "exec"),
            ("subprocess", "Popen"),
            ("types", "FunctionType"),
            ("torch.hub", "load"),
            ("torch", "load"),
            ("numpy", "os.system"),
        ] {
            assert_eq!(meaning(module, name), Name::Unsafe, "{module}.{name}");
        }
        for (module, name) in [
            ("argparse", "Namespace"),
            ("types", "SimpleNamespace"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("pathlib", "PosixPath"),
            ("omegaconf.dictconfig", "DictConfig"),
            ("__main__", "Config"),
            ("osgeo", "Dataset"),
            ("_codecs", "encode"),
        ] {
            assert_eq!(meaning(module, name), Name::Other, "{module}.{name}");
            assert!(makes_an_object(module, name), "{module}.{name}");
        }
        for (module, name) in [
            ("evil", "run"),
            ("numpy.testing._private.utils", "runstring"),
            ("builtins", "type"),
        ] {
            assert!(!makes_an_object(module, name), "{module}.{name}");
        }
    }
}
