//! What the tool says: results on standard output, all else on standard error. Whoever reads may stop before the end, as
//! `head` does; that ends nothing, since most results are files. (`println!` would panic.)

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Result};

/// Says a line of the result: formatted as by `println!`.
///
/// # Errors
/// It could not be written, such as to a full disk.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::write_result(format_args!($($text)*)) };
}

/// Says how it goes, or what is wrong: formatted as by `eprintln!`. Nobody can be told where that does not go.
macro_rules! note {
    ($($text:tt)*) => { $crate::output::write_note(format_args!($($text)*)) };
}

pub(crate) use {note, say};

/// See [`say!`].
pub fn write_result(line: Arguments) -> Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// See [`note!`].
pub fn write_note(line: Arguments) {
    let _ = writeln!(io::stderr(), "{line}");
}
