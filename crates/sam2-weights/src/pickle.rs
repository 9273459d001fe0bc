//! A reader for the pickles that `torch.save` makes of a state dict, and for nothing else.
//!
//! A pickle is a program for a stack machine. This one knows the opcodes that build dicts, tuples and strings,
//! and treats the few Python names below as data; any other name is refused, so nothing can be executed.
//! Values live in an arena and refer to each other by index: a hostile file can nest or loop them as it likes
//! without deep recursion or copies.

use crate::CheckpointError;

/// Longest pickle that is read; that of the large model has 120 KB.
pub(crate) const MAX_PICKLE: usize = 8 << 20;

/// Index of a value in [`Pickle::arena`].
pub(crate) type Id = usize;

/// A Python value, as far as state dicts need them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `None`, and numbers that no tensor is described by.
    Other,
    Bool,
    Int(i64),
    Str(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Function(Function),
    /// A class like `torch.FloatStorage`, by the name before `Storage`.
    StorageType(String),
    Storage(Storage),
    Tensor(Tensor),
}

/// The Python functions that are understood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    RebuildTensor,
    RebuildParameter,
    OrderedDict,
}

/// A run of numbers in a file of its own in the ZIP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Storage {
    /// `Float`, `Half`, `BFloat16`, …
    pub kind: String,
    /// The file's name.
    pub key: String,
}

/// A view of a storage; sizes in elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub storage: Storage,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// What a pickle builds.
pub(crate) struct Pickle {
    arena: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Runs the whole program.
    pub fn read(bytes: &[u8]) -> Result<Self, CheckpointError> {
        if bytes.len() > MAX_PICKLE {
            return Err(CheckpointError::corrupt(format!(
                "its pickle has {} bytes",
                bytes.len()
            )));
        }
        Machine {
            input: bytes,
            at: 0,
            arena: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Default::default(),
        }
        .run()
    }

    pub fn root(&self) -> &Value {
        self.get(self.root)
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.arena[id]
    }

    /// The value of a dict's entry.
    pub fn entry(&self, dict: &Value, key: &str) -> Option<&Value> {
        let Value::Dict(entries) = dict else { return None };
        // As in Python, a later entry replaces an earlier one.
        entries
            .iter()
            .rev()
            .find(|(k, _)| matches!(self.get(*k), Value::Str(k) if k == key))
            .map(|(_, v)| self.get(*v))
    }
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    arena: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack where a MARK was set.
    marks: Vec<usize>,
    memo: std::collections::HashMap<u32, Id>,
}

type Step<T> = Result<T, CheckpointError>;

impl Machine<'_> {
    fn run(mut self) -> Step<Pickle> {
        loop {
            let opcode = self.byte()?;
            match opcode {
                0x80 => drop(self.byte()?),  // PROTO
                0x95 => drop(self.take(8)?), // FRAME
                b'.' => {
                    let root = self.pop()?;
                    return Ok(Pickle {
                        arena: self.arena,
                        root,
                    });
                }
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'N' => self.push(Value::Other),
                0x88 | 0x89 => self.push(Value::Bool),
                b'K' => {
                    let value = self.byte()?;
                    self.push(Value::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()));
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()));
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other);
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.string(length as usize)?;
                }
                0x8c => {
                    let length = self.byte()?;
                    self.string(length.into())?;
                }
                b')' => self.push(Value::Tuple(Vec::new())),
                b']' => self.push(Value::List(Vec::new())),
                b'}' => self.push(Value::Dict(Vec::new())),
                0x85..=0x87 => {
                    let height = self
                        .stack
                        .len()
                        .checked_sub((opcode - 0x84).into())
                        .ok_or_else(underflow)?;
                    let items = self.cut(height)?;
                    self.push(Value::Tuple(items));
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.extend_list(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.extend_dict(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.extend_dict(&items)?;
                }
                b'q' => {
                    let key = self.byte()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.remember(key)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let key = self.byte()?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.recall(key)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Str(name), Value::Str(module)) = (&self.arena[name], &self.arena[module])
                    else {
                        return Err(unexpected("a name that is no text"));
                    };
                    let (module, name) = (module.clone(), name.clone());
                    self.global(&module, &name)?;
                }
                b'Q' => self.persistent()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                // INST, OBJ, NEWOBJ, NEWOBJ_EX and the extension registry make objects of classes.
                b'i' | b'o' | 0x81 | 0x92 | 0x82..=0x84 => {
                    return Err(CheckpointError::UnsafePickle {
                        global: format!("object, opcode 0x{opcode:02x}"),
                    });
                }
                other => {
                    return Err(CheckpointError::corrupt(format!(
                        "its pickle has opcode 0x{other:02x} at byte {}, which torch.save does not write",
                        self.at - 1
                    )));
                }
            }
        }
    }

    // ---- input

    fn take(&mut self, length: usize) -> Step<&[u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.input.len());
        let end = end.ok_or_else(|| CheckpointError::corrupt("its pickle is cut short"))?;
        let bytes = &self.input[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.input[self.at..];
        let length = rest.iter().take(256).position(|b| *b == b'\n');
        let length =
            length.ok_or_else(|| CheckpointError::corrupt("its pickle has a name without an end"))?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    fn string(&mut self, length: usize) -> Step<()> {
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| CheckpointError::corrupt("its pickle has a text that is not UTF-8"))?
            .to_owned();
        self.push(Value::Str(text));
        Ok(())
    }

    fn long(&mut self) -> Step<()> {
        let length = self.byte()?;
        let bytes = self.take(length.into())?;
        let value = match bytes.len() {
            0..=8 => {
                let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) {
                    0xff
                } else {
                    0
                };
                let mut wide = [fill; 8];
                wide[..bytes.len()].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            _ => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    // ---- stack and memo

    fn push(&mut self, value: Value) {
        self.arena.push(value);
        self.stack.push(self.arena.len() - 1);
    }

    /// The items above `height`, which no MARK may be above.
    fn cut(&mut self, height: usize) -> Step<Vec<Id>> {
        match self.marks.last() {
            Some(mark) if *mark > height => Err(underflow()),
            _ => Ok(self.stack.split_off(height)),
        }
    }

    fn pop(&mut self) -> Step<Id> {
        let height = self.stack.len().checked_sub(1).ok_or_else(underflow)?;
        Ok(self.cut(height)?[0])
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u32) -> Step<()> {
        self.memo.insert(key, self.top()?);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Step<()> {
        let id = self
            .memo
            .get(&key)
            .ok_or_else(|| CheckpointError::corrupt("its pickle recalls what it never stored"))?;
        self.stack.push(*id);
        Ok(())
    }

    // ---- containers

    fn extend_list(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        match &mut self.arena[top] {
            Value::List(list) => list.extend(items),
            _ => return Err(unexpected("an append to what is no list")),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        match &mut self.arena[top] {
            Value::Dict(entries) if items.len().is_multiple_of(2) => {
                entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err(unexpected("an item set in what is no dict")),
        }
        Ok(())
    }

    // ---- the Python names that are data here

    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        let storage = name.strip_suffix("Storage").filter(|kind| {
            let kinds = [
                "Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool",
            ];
            module == "torch" && kinds.contains(kind)
        });
        let value = match (module, name, storage) {
            (_, _, Some(kind)) => Value::StorageType(kind.into()),
            ("torch._utils", "_rebuild_tensor_v2", _) => Value::Function(Function::RebuildTensor),
            ("torch._utils", "_rebuild_parameter", _) => Value::Function(Function::RebuildParameter),
            ("collections", "OrderedDict", _) => Value::Function(Function::OrderedDict),
            _ => {
                return Err(CheckpointError::UnsafePickle {
                    global: format!("{module}.{name}"),
                });
            }
        };
        self.push(value);
        Ok(())
    }

    /// `("storage", torch.FloatStorage, key, device, number of elements)`.
    fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let Value::Tuple(parts) = &self.arena[id] else {
            return Err(unexpected("a storage without a description"));
        };
        let parts: Vec<&Value> = parts.iter().map(|id| &self.arena[*id]).collect();
        let storage = match parts.as_slice() {
            [Value::Str(tag), Value::StorageType(kind), Value::Str(key), _, _] if tag == "storage" => {
                Storage {
                    kind: kind.clone(),
                    key: key.clone(),
                }
            }
            _ => return Err(unexpected("a storage with an unknown description")),
        };
        self.push(Value::Storage(storage));
        Ok(())
    }

    fn reduce(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Function(function), Value::Tuple(arguments)) =
            (&self.arena[function], &self.arena[arguments])
        else {
            return Err(CheckpointError::UnsafePickle {
                global: "call of what is no function".into(),
            });
        };
        let arguments: Vec<&Value> = arguments.iter().map(|id| &self.arena[*id]).collect();
        let value = match (function, arguments.as_slice()) {
            (Function::OrderedDict, []) => Value::Dict(Vec::new()),
            (Function::RebuildTensor, [Value::Storage(storage), Value::Int(offset), shape, strides, ..]) => {
                Value::Tensor(Tensor {
                    storage: storage.clone(),
                    offset: size(*offset)?,
                    shape: self.sizes(shape)?,
                    strides: self.sizes(strides)?,
                })
            }
            (Function::RebuildParameter, [Value::Tensor(tensor), ..]) => Value::Tensor(tensor.clone()),
            _ => return Err(unexpected("a tensor with unknown arguments")),
        };
        self.push(value);
        Ok(())
    }

    /// The attributes of an OrderedDict (`_metadata`) mean nothing here.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        match &self.arena[self.top()?] {
            Value::Dict(_) => Ok(()),
            _ => Err(unexpected("a state set on what is no dict")),
        }
    }

    fn sizes(&self, value: &Value) -> Step<Vec<usize>> {
        let Value::Tuple(items) = value else {
            return Err(unexpected("sizes that are no tuple"));
        };
        if items.len() > 8 {
            return Err(unexpected("a tensor of more than eight dimensions"));
        }
        items
            .iter()
            .map(|id| match &self.arena[*id] {
                Value::Int(n) => size(*n),
                _ => Err(unexpected("a size that is no number")),
            })
            .collect()
    }
}

fn size(n: i64) -> Step<usize> {
    usize::try_from(n).map_err(|_| CheckpointError::corrupt(format!("a tensor's size is {n}")))
}

fn underflow() -> CheckpointError {
    CheckpointError::corrupt("its pickle takes more from the stack than is there")
}

fn unexpected(what: &str) -> CheckpointError {
    CheckpointError::corrupt(format!("its pickle has {what}"))
}
