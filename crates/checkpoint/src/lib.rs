//! Reads and writes files of tensors. The crate works for any network and gives the tensors' names no meaning.
//!
//! Everything works on bytes, so the same code runs in a browser and on the command line. A file's format is recognised
//! by its content, not by its name, and no code in a file is ever executed.
//!
//! | format | read by |
//! |---|---|
//! | the files of `torch.save`: a ZIP with a pickle, which may contain more than tensors | `torch.rs`, `pickle` |
//! | safetensors | `safetensors.rs` |
//!
//! [`write_safetensors`] writes safetensors files, also with 8-bit matrices, whose layout is described in `quantized.rs`.

mod dtype;
mod error;
mod file;
mod packing;
mod pickle;
mod quantized;
mod safetensors;
mod sniff;
mod tensor;
mod torch;
mod write;

pub use dtype::Dtype;
pub use error::FileError;
pub use file::{Container, PickledObject, TensorFile};
pub use packing::Packing;
pub use tensor::StoredTensor;
pub use write::{PackedDtype, PackedTensor, write_safetensors};
