//! Reads the pickles of `torch.save` and finds the tensors in them, without executing any code.
//!
//! A pickle is a program for a stack machine. [`machine`] runs the part of it that builds data; [`names`] says which
//! Python names describe tensors, which are ignored, and which make a file unsafe.

mod machine;
mod names;
mod value;

pub(crate) use machine::full_name;
pub(crate) use value::{Id, Pickle, Tensor, Value};
