//! SAM 2 checkpoints in, whatever their clothes, and out as packed safetensors.
//!
//! Everything works on bytes, so a browser runs the same code as the command line.
//!
//! | file | read by |
//! |---|---|
//! | the official `.pt`: a ZIP with one pickle | `torch_file.rs`, `pickle.rs` (never executes anything) |
//! | safetensors with official names, f32, f16 or bf16 | `safetensors_file.rs` |
//! | safetensors with the names of Hugging Face transformers | the same, renamed by `transformers.rs` |

mod checkpoint;
mod detect;
mod dtype;
mod error;
mod index;
mod pack;
mod pickle;
mod safetensors_file;
mod sniff;
mod torch_file;
mod transformers;

pub use checkpoint::{Checkpoint, Container, Naming};
pub use dtype::Dtype;
pub use error::CheckpointError;
pub use pack::{PackedDtype, pack};
