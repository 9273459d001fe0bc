//! What keeps the network written once: its crate knows no device and no feature, and crates depend downwards only.

use std::path::{Path, PathBuf};

/// Crates from the ground up; each may depend on those of earlier lines.
const LAYERS: &[&[&str]] = &[
    &[
        "sam2-heap",
        "sam2-matmul",
        "sam2-kernels",
        "sam2-resample",
        "sam2-checkpoint",
    ],
    &["sam2-ops"],
    &["sam2", "owlv2"],
    &["sam2-predict", "sam2-yaml"],
    &["sam2-labels", "sam2-find", "sam2-wasm"],
    &["sam2-web", "owlv2-web", "sam2-cli"],
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates")
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            found.push((path, text));
        }
    }
    found
}

#[test]
fn the_network_knows_no_device_and_no_feature() {
    let mut files = sources(&crates().join("sam2/src"));
    files.extend(sources(&crates().join("owlv2/src")));
    assert!(files.len() > 25, "the networks' files are found");
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            let says_feature = line.contains("cfg(") && line.contains("feature");
            let asks_device =
                line.contains("Device::") || line.contains("is_gpu") || line.contains("is_host");
            assert!(
                !says_feature && !asks_device,
                "{}:{}: {line}",
                path.display(),
                number + 1
            );
        }
    }
}

#[test]
fn crates_depend_downwards() {
    let level = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut checked = 0;
    for entry in std::fs::read_dir(crates()).expect("the crates") {
        let manifest = entry.expect("an entry").path().join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).expect("a manifest");
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("name = \""))
            .map(|name| name.trim_end_matches('"'))
            .expect("a name");
        let own = level(name).unwrap_or_else(|| panic!("{name} has no place in LAYERS"));
        let (dependencies, _) = text.split_once("[dev-dependencies]").unwrap_or((&text, ""));
        for line in dependencies.lines() {
            let Some(dependency) = line
                .split([' ', '=', '.'])
                .next()
                .filter(|word| word.starts_with("sam2") || level(word).is_some())
            else {
                continue;
            };
            let below = level(dependency).unwrap_or_else(|| panic!("{dependency} has no place in LAYERS"));
            assert!(
                below < own,
                "{name} depends on {dependency}, which is not below it"
            );
            checked += 1;
        }
    }
    assert!(checked > 10, "dependencies are found");
}
