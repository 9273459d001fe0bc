//! Tensors in files, of any network: nothing here knows what a name means.
//!
//! Everything works on bytes, so a browser runs the same code as the command line. What a file is follows from its
//! content, never from its name, and nothing in it is ever executed.
//!
//! | file | read by |
//! |---|---|
//! | what `torch.save` writes: a ZIP with one pickle, with whatever stands beside the tensors | `torch.rs`, `pickle` |
//! | safetensors | `safetensors.rs` |
//!
//! [`write_safetensors`] writes.

mod dtype;
mod error;
mod file;
mod pickle;
mod safetensors;
mod sniff;
mod tensor;
mod torch;
mod write;

pub use dtype::Dtype;
pub use error::FileError;
pub use file::{Container, PickledObject, TensorFile};
pub use tensor::StoredTensor;
pub use write::{PackedDtype, write_safetensors};
