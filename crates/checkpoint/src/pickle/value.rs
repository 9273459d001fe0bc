//! What a pickle builds.

use crate::FileError;

use super::machine::Machine;
use super::names::Function;

/// Longest pickle that is read. That of the large model has 120 KB; a training state keeps more beside the tensors.
const MAX_PICKLE: usize = 64 << 20;

/// Index of a value in its [`Pickle`].
pub(crate) type Id = u32;

/// A Python value, as far as tensors need them. Texts lie in the pickle itself and are never copied.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// `None`, truth values, bytes, and numbers that no tensor is described by.
    Other,
    Int(i64),
    Str(&'a str),
    /// A list, tuple or set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A function that has a meaning here.
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
    /// An object of such a class. It may also be filled like a dict or a list.
    Object(Box<Object<'a>>),
}

/// A run of numbers in a file of its own in the ZIP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Storage<'a> {
    /// `Float`, `Half`, `BFloat16`, …
    pub kind: &'a str,
    /// The file's name.
    pub key: &'a str,
}

/// A view of a storage; sizes in elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// An object of a class that means nothing here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object<'a> {
    pub module: &'a str,
    pub name: &'a str,
    /// Items that were set in it.
    pub entries: Vec<(Id, Id)>,
    /// What would be set as its attributes.
    pub state: Option<Id>,
}

/// All values of a pickle. They refer to each other by index, so a hostile file can nest or loop them as it likes without
/// deep recursion or copies.
pub(crate) struct Pickle<'a> {
    pub(super) arena: Vec<Value<'a>>,
    pub(super) root: Id,
}

impl<'a> Pickle<'a> {
    /// Runs the whole program.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FileError> {
        if bytes.len() > MAX_PICKLE {
            return Err(FileError::Unsupported {
                what: format!(
                    "beside its tensors it holds {} bytes of other data, and at most {MAX_PICKLE} are read",
                    bytes.len()
                ),
                advice: "Save model.state_dict() alone".into(),
            });
        }
        Machine::new(bytes).run()
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn get(&self, id: Id) -> &Value<'a> {
        // Ids are made by this pickle's machine only.
        &self.arena[id as usize]
    }

    /// Number of values; every [`Id`] is below.
    pub fn len(&self) -> usize {
        self.arena.len()
    }
}
