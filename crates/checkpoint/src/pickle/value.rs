//! The values that a pickle builds.

use crate::FileError;

use super::machine::Machine;
use super::names::Function;

/// The longest pickle that is read, in bytes. That of the large model has 120 KB, and that of a training state is longer.
const MAX_PICKLE: usize = 64 << 20;

/// The index of a value in its [`Pickle`].
pub(crate) type Id = u32;

/// A Python value, as far as it is needed to describe tensors. Texts are slices of the pickle and are never copied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// `None`, booleans, bytes, and numbers that do not describe tensors.
    Other,
    Int(i64),
    Str(&'a str),
    /// A list, tuple or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A supported function.
    Function(Function),
    /// A class like `torch.FloatStorage`, by the name before `Storage`.
    StorageType(&'a str),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
    /// Any other class or function.
    Name {
        module: &'a str,
        name: &'a str,
    },
    /// An object of such a class. It may also have entries like a dict or a list.
    Object(Box<Object<'a>>),
}

/// A storage: consecutive numbers in a file of its own in the ZIP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Storage<'a> {
    /// `Float`, `Half`, `BFloat16`, …
    pub kind: &'a str,
    /// The file's name.
    pub key: &'a str,
}

/// A view of a storage, with sizes in elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// An object of a class that does not describe tensors.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object<'a> {
    pub module: &'a str,
    pub name: &'a str,
    /// The entries that were set in it.
    pub entries: Vec<(Id, Id)>,
    /// The value that Python would set as its attributes.
    pub state: Option<Id>,
}

/// All values of a pickle. They refer to each other by index, so that deep or circular nesting in a malicious file causes
/// neither recursion nor copies.
pub(crate) struct Pickle<'a> {
    pub(super) arena: Vec<Value<'a>>,
    pub(super) root: Id,
}

impl<'a> Pickle<'a> {
    /// Runs the pickle's program.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FileError> {
        if bytes.len() > MAX_PICKLE {
            return Err(FileError::Unsupported {
                what: format!(
                    "beside its tensors it holds {} bytes of other data, and at most {MAX_PICKLE} are read",
                    bytes.len()
                ),
                advice: "Save only model.state_dict()".into(),
            });
        }
        Machine::new(bytes).run()
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value<'a> {
        // Every `Id` comes from this pickle's machine.
        &self.arena[id as usize]
    }

    /// The number of values. Every [`Id`] is smaller than it.
    pub fn len(&self) -> usize {
        self.arena.len()
    }
}
