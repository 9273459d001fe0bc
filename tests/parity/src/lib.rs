//! Fixtures of the official code.
