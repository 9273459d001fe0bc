//! A reader for the pickles that `torch.save` makes, which finds the tensors in them and executes nothing.
//!
//! A pickle is a program for a stack machine. [`machine`] runs the part of it that builds data; [`names`] says which
//! Python names mean something here, which are passed over, and which make a file unsafe.

mod machine;
mod names;
mod value;

pub(crate) use machine::full_name;
pub(crate) use value::{Id, Pickle, Tensor, Value};
