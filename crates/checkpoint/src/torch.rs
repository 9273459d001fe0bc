//! Finds the tensors of a PyTorch file, which is a ZIP with `NAME/data.pkl` and the storages `NAME/data/0`,
//! `NAME/data/1`, …

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;

use crate::error::short;
use crate::file::{MAX_NAME, MAX_TENSORS};
use crate::pickle::{Id, Pickle, Tensor, Value};
use crate::{Container, Dtype, FileError, PickledObject, StoredTensor, TensorFile};

/// The deepest nesting of dicts that is searched.
const MAX_DEPTH: usize = 8;
/// The most objects that are listed.
const MAX_OBJECTS: usize = 64;

/// Finds the tensors of a file that `torch.save` wrote.
///
/// # Errors
/// [`FileError`] if the file is damaged, is not such a file, or asks for a function to be executed.
pub(crate) fn read(bytes: Vec<u8>) -> Result<TensorFile, FileError> {
    let entries = entries(&bytes)?;
    let pickle_path = entries
        .keys()
        .filter(|path| *path == "data.pkl" || path.ends_with("/data.pkl"))
        .min_by_key(|path| (path.len(), *path))
        .ok_or_else(|| FileError::NotWeights {
            found: "a ZIP file without a PyTorch checkpoint in it".into(),
        })?;
    let folder = &pickle_path[..pickle_path.len() - "data.pkl".len()];
    let storages = Storages {
        entries: &entries,
        folder,
    };
    if let Some(order) = storages.get("byteorder")?
        && !bytes[order].starts_with(b"little")
    {
        return Err(FileError::Unsupported {
            what: "its numbers are big-endian".into(),
            advice: "Save it on a little-endian machine".into(),
        });
    }
    // This entry has been found above.
    let pickle = storages.get("data.pkl")?.unwrap_or_default();
    let pickle = Pickle::read(&bytes[pickle])?;
    let (tensors, objects) = Walk::new(&pickle, &storages).run()?;
    Ok(TensorFile {
        tensors,
        objects,
        metadata: BTreeMap::new(),
        container: Container::Torch,
        parts: vec![bytes],
    })
}

/// The files in the ZIP.
struct Storages<'a> {
    /// `None` for a compressed file.
    entries: &'a HashMap<String, Option<Range<usize>>>,
    folder: &'a str,
}

impl Storages<'_> {
    /// The bytes of a file beside the pickle; `None` if there is no such file.
    fn get(&self, name: &str) -> Result<Option<Range<usize>>, FileError> {
        let path = format!("{}{name}", self.folder);
        match self.entries.get(&path) {
            Some(Some(range)) => Ok(Some(range.clone())),
            Some(None) => Err(FileError::Unsupported {
                what: format!("`{}` in it is compressed", short(&path)),
                advice: "PyTorch never compresses: use the file as torch.save wrote it".into(),
            }),
            None => Ok(None),
        }
    }

    fn stored(&self, name: &str, tensor: &Tensor) -> Result<StoredTensor, FileError> {
        let key = tensor.storage.key;
        let range = match key.len() <= MAX_NAME {
            true => self.get(&format!("data/{key}"))?,
            false => None,
        };
        let range =
            range.ok_or_else(|| FileError::corrupt(format!("the data of tensor `{name}` are not in it")))?;
        StoredTensor::new(
            name,
            dtype(tensor.storage.kind),
            tensor.shape.clone(),
            tensor.strides.clone(),
            tensor.offset,
            range,
        )
    }
}

fn dtype(storage: &str) -> Dtype {
    match storage {
        "Double" => Dtype::F64,
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::Bf16,
        "Long" => Dtype::Other("int64"),
        "Int" => Dtype::Other("int32"),
        "Short" => Dtype::Other("int16"),
        "Char" => Dtype::Other("int8"),
        "Byte" => Dtype::Other("uint8"),
        "Bool" => Dtype::Other("bool"),
        "ComplexFloat" | "ComplexDouble" => Dtype::Other("complex"),
        "QInt8" | "QUInt8" | "QInt32" => Dtype::Other("quantised"),
        _ => Dtype::Other("a rare number format"),
    }
}

/// A dict, list or object that leads to tensors.
struct Node {
    /// The node that contains it, and its key there.
    parent: Option<(usize, Key)>,
    depth: usize,
    /// The index of the object that contains it.
    object: Option<usize>,
}

#[derive(Clone, Copy)]
enum Key {
    /// A key that is a value of the pickle.
    Value(Id),
    Index(usize),
    /// The attributes of an object, which have the object's own path.
    State,
}

/// Searches all dicts and lists, each once, beginning with those nearest to the root.
struct Walk<'a> {
    pickle: &'a Pickle<'a>,
    storages: &'a Storages<'a>,
    nodes: Vec<Node>,
    tensors: BTreeMap<String, StoredTensor>,
    objects: Vec<PickledObject>,
}

impl<'a> Walk<'a> {
    fn new(pickle: &'a Pickle<'a>, storages: &'a Storages<'a>) -> Self {
        Self {
            pickle,
            storages,
            nodes: Vec::new(),
            tensors: BTreeMap::new(),
            objects: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(BTreeMap<String, StoredTensor>, Vec<PickledObject>), FileError> {
        let mut queue = VecDeque::new();
        let mut seen = vec![false; self.pickle.len()];
        seen[self.pickle.root() as usize] = true;
        let root = Node {
            parent: None,
            depth: 0,
            object: None,
        };
        queue.push_back((self.pickle.root(), root));
        let pickle = self.pickle;
        while let Some((id, mut node)) = queue.pop_front() {
            let value = pickle.get(id);
            let number = self.nodes.len();
            let depth = node.depth + 1;
            if let Value::Object(object) = value
                && self.objects.len() < MAX_OBJECTS
            {
                node.object = node.object.or(Some(self.objects.len()));
                self.objects.push(PickledObject {
                    path: String::new(),
                    class: crate::pickle::full_name(object.module, object.name),
                    holds_tensors: false,
                });
                let index = self.objects.len() - 1;
                self.nodes.push(node);
                self.objects[index].path = self.path(number, None).unwrap_or_default();
            } else {
                self.nodes.push(node);
            }
            let object = self.nodes[number].object;
            let mut children: Vec<(Key, Id)> = Vec::new();
            match value {
                Value::Dict(entries) => {
                    children.extend(entries.iter().map(|(key, child)| (Key::Value(*key), *child)));
                }
                Value::List(items) => {
                    children.extend(items.iter().enumerate().map(|(i, child)| (Key::Index(i), *child)));
                }
                Value::Object(object) => {
                    children.extend(
                        object
                            .entries
                            .iter()
                            .map(|(key, child)| (Key::Value(*key), *child)),
                    );
                    children.extend(object.state.map(|state| (Key::State, state)));
                }
                _ => {}
            }
            for (key, child) in children {
                match pickle.get(child) {
                    Value::Tensor(tensor) => self.tensor(number, key, tensor, object)?,
                    Value::Dict(_) | Value::List(_) | Value::Object(_)
                        if depth <= MAX_DEPTH && !std::mem::replace(&mut seen[child as usize], true) =>
                    {
                        let parent = Some((number, key));
                        queue.push_back((
                            child,
                            Node {
                                parent,
                                depth,
                                object,
                            },
                        ));
                    }
                    _ => {}
                }
            }
        }
        Ok((self.tensors, self.objects))
    }

    fn tensor(
        &mut self,
        node: usize,
        key: Key,
        tensor: &Tensor,
        object: Option<usize>,
    ) -> Result<(), FileError> {
        if let Some(object) = object {
            self.objects[object].holds_tensors = true;
            return Ok(());
        }
        let Some(name) = self.path(node, Some(key)) else {
            return Ok(());
        };
        if self.tensors.len() >= MAX_TENSORS {
            return Err(FileError::Unsupported {
                what: format!("it has more than {MAX_TENSORS} tensors"),
                advice: "Save only model.state_dict()".into(),
            });
        }
        let stored = self.storages.stored(&name, tensor)?.in_group(node);
        // As in Python, a later entry of a dict replaces an earlier one. Of two dicts, the one nearer to the root is
        // kept.
        match self.tensors.get(&name) {
            Some(earlier) if earlier.group() != node => {}
            _ => drop(self.tensors.insert(name, stored)),
        }
        Ok(())
    }

    /// The keys that lead to a node, and to `last` in it, joined by dots. `None` if a key is neither a text nor a
    /// number, or if the path is longer than [`MAX_NAME`].
    fn path(&self, node: usize, last: Option<Key>) -> Option<String> {
        let mut keys: Vec<Key> = last.into_iter().collect();
        let mut at = node;
        while let Some((parent, key)) = self.nodes[at].parent {
            keys.push(key);
            at = parent;
        }
        let mut path = String::new();
        for key in keys.iter().rev() {
            let part: std::borrow::Cow<str> = match key {
                Key::State => continue,
                Key::Index(index) => index.to_string().into(),
                Key::Value(id) => match self.pickle.get(*id) {
                    Value::Str(text) => (*text).into(),
                    Value::Int(number) => number.to_string().into(),
                    _ => return None,
                },
            };
            if path.len() + part.len() >= MAX_NAME {
                return None;
            }
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&part);
        }
        Some(path)
    }
}

/// The bytes of each file in the ZIP by its path; `None` for a compressed file.
fn entries(bytes: &[u8]) -> Result<HashMap<String, Option<Range<usize>>>, FileError> {
    let damaged = |error: rawzip::Error| {
        FileError::corrupt(format!("its ZIP directory: {}", short(&error.to_string())))
    };
    let archive = rawzip::ZipArchive::from_slice(bytes).map_err(|_| {
        FileError::corrupt("the ZIP directory that stands at the end is not there: the file is cut short")
    })?;
    let mut found = HashMap::new();
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let path = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        if entry.compression_method() != rawzip::CompressionMethod::STORE {
            found.insert(path, None);
            continue;
        }
        let (start, end) = archive
            .get_entry(entry.wayfinder())
            .map_err(damaged)?
            .compressed_data_range();
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(start), Ok(end)) if start <= end && end <= bytes.len() => {
                found.insert(path, Some(start..end));
            }
            _ => {
                return Err(FileError::corrupt(format!(
                    "`{}` in it lies beyond its end",
                    short(&path)
                )));
            }
        };
    }
    Ok(found)
}
