//! The stack machine.
//!
//! Its time and memory are bounded by the length of the pickle: no opcode copies a text or reads more items than it was
//! given, and the number of values and of pushes is limited.

use std::collections::HashMap;

use super::names::{Function, Name, makes_an_object, meaning};
use super::value::{Id, Object, Pickle, Storage, Tensor, Value};
use crate::FileError;
use crate::tensor::MAX_DIMENSIONS;

/// The most values. A tensor is described by about twenty.
const MAX_VALUES: usize = 1 << 19;
/// The most pushes to the stack, to the memo and to the marks together. A value is often pushed many times.
const MAX_PUSHES: usize = 1 << 23;
/// The most arguments of a supported function.
const MAX_ARGUMENTS: usize = 16;

/// The longest Python name, in bytes.
const MAX_GLOBAL: usize = 256;

/// The value that stands for everything that does not describe tensors.
const OTHER: Id = 0;

pub(super) struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    arena: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// The heights of the stack at which a MARK was set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    pushes: usize,
}

type Step<T> = Result<T, FileError>;

impl<'a> Machine<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            arena: vec![Value::Other],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            pushes: 0,
        }
    }

    pub fn run(mut self) -> Step<Pickle<'a>> {
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
                b'(' => {
                    self.count()?;
                    self.marks.push(self.stack.len());
                }
                b'0' => match self.marks.last() {
                    Some(mark) if *mark == self.stack.len() => drop(self.marks.pop()),
                    _ => drop(self.pop()?),
                },
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push_id(top)?;
                }
                b'N' | 0x88 | 0x89 => self.push_id(OTHER)?,
                b'K' => {
                    let value = self.byte()?;
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'I' | b'L' => {
                    let line = self.line()?;
                    match line.trim_end_matches('L').parse() {
                        // `I00` and `I01` are booleans.
                        Ok(value) if !(opcode == b'I' && line.starts_with('0') && line.len() == 2) => {
                            self.push(Value::Int(value))?;
                        }
                        _ => self.push_id(OTHER)?,
                    }
                }
                0x8a => {
                    let length = self.byte()?;
                    self.long(length.into())?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.long(length as usize)?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push_id(OTHER)?;
                }
                b'F' => {
                    self.line()?;
                    self.push_id(OTHER)?;
                }
                b'X' | b'T' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length as usize)?;
                }
                0x8c | b'U' => {
                    let length = self.byte()?;
                    self.text(length.into())?;
                }
                0x8d => {
                    let length = self.length_of_8()?;
                    self.text(length)?;
                }
                b'V' => {
                    let line = self.line()?;
                    self.push(Value::Str(line))?;
                }
                b'S' => {
                    let line = self.line()?;
                    self.push(Value::Str(line.trim_matches(['\'', '"'])))?;
                }
                b'B' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.bytes(length as usize)?;
                }
                b'C' => {
                    let length = self.byte()?;
                    self.bytes(length.into())?;
                }
                0x8e | 0x96 => {
                    let length = self.length_of_8()?;
                    self.bytes(length)?;
                }
                b')' | b']' | 0x8f => self.push(Value::List(Vec::new()))?,
                b'}' => self.push(Value::Dict(Vec::new()))?,
                0x85..=0x87 => {
                    let height = self.stack.len().checked_sub((opcode - 0x84).into());
                    let items = self.cut(height.ok_or_else(underflow)?)?;
                    self.push(Value::List(items))?;
                }
                b't' | b'l' | 0x91 => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items))?;
                }
                b'd' => {
                    let items = self.since_mark()?;
                    self.push(Value::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'q' => {
                    let key = self.byte()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.array()?);
                    self.remember(key)?;
                }
                b'p' => {
                    let key = self.memo_key()?;
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
                b'g' => {
                    let key = self.memo_key()?;
                    self.recall(key)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Str(name), Value::Str(module)) = (self.get(name), self.get(module)) else {
                        return Err(unexpected("a name that is not a text"));
                    };
                    let (module, name) = (*module, *name);
                    self.global(module, name)?;
                }
                b'Q' => self.persistent()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                0x81 => {
                    self.pop()?;
                    self.object_of_top()?;
                }
                0x92 => {
                    self.pop()?;
                    self.pop()?;
                    self.object_of_top()?;
                }
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.since_mark()?;
                    self.global(module, name)?;
                    self.object_of_top()?;
                }
                b'o' => {
                    let items = self.since_mark()?;
                    let class = *items.first().ok_or_else(underflow)?;
                    self.push_id(class)?;
                    self.object_of_top()?;
                }
                // The extension registry, in which a number can stand for any function.
                0x82..=0x84 => return Err(not_safe("a name by number")),
                other => {
                    return Err(FileError::corrupt(format!(
                        "its pickle has opcode 0x{other:02x} at byte {}, which torch.save does not write",
                        self.at - 1
                    )));
                }
            }
        }
    }

    // ---- input

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.input.len());
        let end = end.ok_or_else(cut_short)?;
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

    fn length_of_8(&mut self) -> Step<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| cut_short())
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.input[self.at..];
        let length = rest.iter().take(1 << 16).position(|b| *b == b'\n');
        let length = length.ok_or_else(|| FileError::corrupt("its pickle has a line without an end"))?;
        let line = std::str::from_utf8(&rest[..length])
            .map_err(|_| FileError::corrupt("its pickle has a name that is not UTF-8"))?;
        self.at += length + 1;
        Ok(line)
    }

    fn memo_key(&mut self) -> Step<u32> {
        self.line()?
            .parse()
            .map_err(|_| unexpected("a memo index that is not a number"))
    }

    fn text(&mut self, length: usize) -> Step<()> {
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => self.push(Value::Str(text)),
            // Bytes of Python 2 or half a surrogate pair, which cannot be the name of a tensor.
            Err(_) => self.push_id(OTHER),
        }
    }

    fn bytes(&mut self, length: usize) -> Step<()> {
        self.take(length)?;
        self.push_id(OTHER)
    }

    fn long(&mut self, length: usize) -> Step<()> {
        let bytes = self.take(length)?;
        if bytes.len() > 8 {
            return self.push_id(OTHER);
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    // ---- stack and memo

    fn get(&self, id: Id) -> &Value<'a> {
        &self.arena[id as usize]
    }

    fn count(&mut self) -> Step<()> {
        self.pushes += 1;
        match self.pushes > MAX_PUSHES {
            true => Err(too_much()),
            false => Ok(()),
        }
    }

    fn push(&mut self, value: Value<'a>) -> Step<()> {
        if self.arena.len() >= MAX_VALUES {
            return Err(too_much());
        }
        self.arena.push(value);
        self.push_id(self.arena.len() as Id - 1)
    }

    fn push_id(&mut self, id: Id) -> Step<()> {
        self.count()?;
        self.stack.push(id);
        Ok(())
    }

    /// Takes the items above `height` from the stack. There may be no MARK above it.
    fn cut(&mut self, height: usize) -> Step<Vec<Id>> {
        match self.marks.last() {
            Some(mark) if *mark > height => Err(underflow()),
            _ => Ok(self.stack.split_off(height)),
        }
    }

    fn pop(&mut self) -> Step<Id> {
        if self.marks.last() == Some(&self.stack.len()) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u32) -> Step<()> {
        self.count()?;
        self.memo.insert(key, self.top()?);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Step<()> {
        let id = self
            .memo
            .get(&key)
            .ok_or_else(|| FileError::corrupt("its pickle reads a memo entry that it never stored"))?;
        self.push_id(*id)
    }

    // ---- containers

    fn append(&mut self, items: &[Id]) -> Step<()> {
        let top = self.top()?;
        match &mut self.arena[top as usize] {
            Value::List(list) => list.extend(items),
            Value::Object(_) => {}
            _ => return Err(unexpected("an append to something other than a list")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Step<()> {
        if !items.len().is_multiple_of(2) {
            return Err(unexpected("a key without a value"));
        }
        let top = self.top()?;
        let entries = match &mut self.arena[top as usize] {
            Value::Dict(entries) => entries,
            Value::Object(object) => &mut object.entries,
            _ => return Err(unexpected("an item set in something other than a dict")),
        };
        entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    // ---- names, and what is made of them

    fn global(&mut self, module: &'a str, name: &'a str) -> Step<()> {
        // Comparing takes time proportional to the length, and a pickle may refer to a long text many times.
        if module.len().max(name.len()) > MAX_GLOBAL {
            return Err(unexpected("a very long name"));
        }
        match meaning(module, name) {
            Name::Function(function) => self.push(Value::Function(function)),
            Name::StorageType(kind) => self.push(Value::StorageType(kind)),
            Name::Other => self.push(Value::Name { module, name }),
            Name::Unsafe => Err(not_safe(&full_name(module, name))),
        }
    }

    /// Replaces the class on top of the stack by an object of it. The constructor is not run.
    fn object_of_top(&mut self) -> Step<()> {
        let class = self.pop()?;
        match *self.get(class) {
            Value::Name { module, name } => self.push(Value::Object(Box::new(Object {
                module,
                name,
                entries: Vec::new(),
                state: None,
            }))),
            Value::Function(Function::Dict) => self.push(Value::Dict(Vec::new())),
            Value::Function(Function::List) => self.push(Value::List(Vec::new())),
            _ => Err(not_safe("an object of something other than a class")),
        }
    }

    /// `("storage", torch.FloatStorage, key, device, number of elements)`.
    fn persistent(&mut self) -> Step<()> {
        let id = self.pop()?;
        let Value::List(parts) = self.get(id) else {
            return Err(unexpected("a storage without a description"));
        };
        let storage = match parts.as_slice() {
            [tag, kind, key, _, _] => match (self.get(*tag), self.get(*kind), self.get(*key)) {
                (Value::Str("storage"), Value::StorageType(kind), Value::Str(key)) => Some((*kind, *key)),
                (Value::Str("storage"), Value::Name { name, .. }, Value::Str(key)) => Some((*name, *key)),
                _ => None,
            },
            _ => None,
        };
        let (kind, key) = storage.ok_or_else(|| unexpected("a storage with an unknown description"))?;
        self.push(Value::Storage(Storage { kind, key }))
    }

    fn reduce(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        // `set([...])` is represented by the list itself, not by a copy.
        if let (Value::Function(Function::List), Value::List(only)) =
            (self.get(function), self.get(arguments))
            && let [list] = only.as_slice()
            && matches!(self.get(*list), Value::List(_))
        {
            return self.push_id(*list);
        }
        let value = self.call(function, arguments)?;
        self.push(value)
    }

    /// The result of a call, for the functions that describe data.
    fn call(&self, function: Id, arguments: Id) -> Step<Value<'a>> {
        let Value::List(arguments) = self.get(arguments) else {
            return Err(unexpected("a call without arguments"));
        };
        let function = match *self.get(function) {
            Value::Function(function) => function,
            Value::Name { module, name } if makes_an_object(module, name) => {
                return Ok(Value::Object(Box::new(Object {
                    module,
                    name,
                    entries: Vec::new(),
                    state: None,
                })));
            }
            Value::Name { module, name } => return Err(not_safe(&full_name(module, name))),
            _ => return Err(not_safe("a call of something other than a function")),
        };
        if arguments.len() > MAX_ARGUMENTS {
            return Err(unexpected("a call with very many arguments"));
        }
        let values: Vec<&Value> = arguments.iter().map(|id| self.get(*id)).collect();
        Ok(match (function, values.as_slice()) {
            (Function::RebuildTensor, [Value::Storage(storage), Value::Int(offset), shape, strides, ..]) => {
                Value::Tensor(Box::new(Tensor {
                    storage: *storage,
                    offset: size(*offset)?,
                    shape: self.sizes(shape)?,
                    strides: self.sizes(strides)?,
                }))
            }
            (Function::RebuildParameter, [Value::Tensor(tensor), ..]) => Value::Tensor(tensor.clone()),
            (Function::RebuildFromType, [Value::Function(inner), _, Value::List(_), ..])
                if *inner != Function::RebuildFromType =>
            {
                let Some(inner) = arguments.first().zip(arguments.get(2)) else {
                    return Err(unexpected("a tensor with unknown arguments"));
                };
                self.call(*inner.0, *inner.1)?
            }
            // The items are added by later opcodes.
            (Function::Dict, _) => Value::Dict(Vec::new()),
            (Function::List, _) => Value::List(Vec::new()),
            _ => return Err(unexpected("a tensor with unknown arguments")),
        })
    }

    /// Sets the attributes of an object. Those of a dict or tensor are ignored.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        let top = self.top()?;
        if let Value::Object(object) = &mut self.arena[top as usize] {
            object.state = Some(state);
        }
        Ok(())
    }

    fn sizes(&self, value: &Value) -> Step<Vec<usize>> {
        let Value::List(items) = value else {
            return Err(unexpected("sizes that are not a tuple"));
        };
        if items.len() > MAX_DIMENSIONS {
            return Err(unexpected("a tensor of more than eight dimensions"));
        }
        items
            .iter()
            .map(|id| match self.get(*id) {
                Value::Int(n) => size(*n),
                _ => Err(unexpected("a size that is not a number")),
            })
            .collect()
    }
}

fn size(n: i64) -> Step<usize> {
    usize::try_from(n).map_err(|_| FileError::corrupt(format!("a tensor's size is {n}")))
}

/// A name, shortened for a message.
pub(crate) fn full_name(module: &str, name: &str) -> String {
    module
        .chars()
        .take(100)
        .chain(['.'])
        .chain(name.chars().take(100))
        .collect()
}

fn not_safe(global: &str) -> FileError {
    FileError::UnsafePickle {
        global: global.into(),
    }
}

fn too_much() -> FileError {
    FileError::Unsupported {
        what: "beside its tensors it holds very much other data".into(),
        advice: "Save only model.state_dict()".into(),
    }
}

fn cut_short() -> FileError {
    FileError::corrupt("its pickle is cut short")
}

fn underflow() -> FileError {
    FileError::corrupt("its pickle pops more values from the stack than there are")
}

fn unexpected(what: &str) -> FileError {
    FileError::corrupt(format!("its pickle has {what}"))
}
