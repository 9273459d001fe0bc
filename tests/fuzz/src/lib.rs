//! Helpers for tests with random, malformed input, for which there must be a result or an error, but never a panic.
//!
//! Each test runs for two seconds, or for a minute with
//! `ARBTEST_BUDGET_MS=60000 cargo test -p fuzz -p sam2-checkpoint`. A failure prints a seed; `arbtest(…).seed(…)` runs it
//! again, and `.minimize()` makes the input smaller. Inputs that were found this way are in the folder `found`, and are
//! tested in every run.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use arbtest::arbitrary;

use arbtest::arbitrary::{Result, Unstructured};

/// Runs `property` on random input until the time is over.
pub fn fuzz(property: impl FnMut(&mut Unstructured) -> Result<()>) {
    let test = arbtest::arbtest(property);
    match std::env::var_os("ARBTEST_BUDGET_MS") {
        Some(_) => test.run(),
        None => test.budget(Duration::from_secs(2)).run(),
    }
}

/// The cases of a kind that were found earlier.
///
/// # Panics
/// If there are none, because the folder is missing.
pub fn found(kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(kind);
    let files = std::fs::read_dir(&folder).expect("the folder of found cases");
    let mut cases: Vec<_> = files
        .map(|file| {
            let path = file.expect("its entries").path();
            let bytes = std::fs::read(&path).expect("a case");
            (path, bytes)
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no case in {}", folder.display());
    cases
}

/// Removes, duplicates, overwrites and exchanges parts of `bytes`.
///
/// # Errors
/// If the random bytes are used up.
pub fn damage(u: &mut Unstructured, bytes: &mut Vec<u8>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=4)? {
        if bytes.is_empty() {
            break;
        }
        let at = u.choose_index(bytes.len())?;
        let end = (at + u.int_in_range(1..=16)?).min(bytes.len());
        match u.int_in_range(0..=5)? {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
            2 => bytes[at] = *u.choose(&[0, 1, 0x7f, 0x80, 0xff])?,
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = u.choose_index(bytes.len())?;
                bytes.splice(to..to, piece);
            }
            _ => {
                let new: [u8; 4] = u.arbitrary()?;
                let end = (at + 4).min(bytes.len());
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
        }
    }
    Ok(())
}

/// Calls the test with `file` cut short and with bytes changed, `rounds` times each, in the same way in every run.
pub fn damaged(file: &[u8], rounds: usize, read: impl Fn(Vec<u8>)) {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..rounds {
        let end = random(file.len());
        read(file[..end].to_vec());
        let mut flipped = file.to_vec();
        for _ in 0..1 + random(4) {
            let at = random(file.len());
            flipped[at] = match random(3) {
                0 => flipped[at] ^ (1 << random(8)),
                1 => 0xff,
                _ => random(256) as u8,
            };
        }
        read(flipped);
    }
}
