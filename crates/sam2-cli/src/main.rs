//! The `sam2` command-line tool.
fn main() {}
