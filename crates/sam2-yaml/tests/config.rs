//! Official files, and what is none.

use sam2::config::{ConfigError, VARIANTS};
use sam2::{Sam2Config, Version};
use sam2_yaml::config;

#[test]
fn a_file_in_the_official_format() {
    let config = sam2_yaml::config(include_str!("../../../weights/nano/nano.yaml")).unwrap();
    assert_eq!(
        (config.image_size, config.trunk.channels(), config.name.as_str()),
        (512, [32, 64, 128, 256], "custom")
    );
    assert_eq!(config.version, Version::V2_1);
}

#[test]
fn what_is_no_configuration() {
    for text in [
        "",
        "model: 3",
        "a: [",
        "\u{0}",
        "- model:\n",
        "# @package _global_\n",
    ] {
        assert!(matches!(config(text), Err(ConfigError::Syntax { .. })), "{text}");
    }
}

/// Runs where `SAM2_CONFIGS_DIR` is the folder `sam2/configs` of the official package.
#[test]
fn the_eight_official_files() {
    let Ok(folder) = std::env::var("SAM2_CONFIGS_DIR") else {
        eprintln!("skipped: SAM2_CONFIGS_DIR is not set");
        return;
    };
    for (version, prefix) in [(Version::V2_0, "sam2/sam2"), (Version::V2_1, "sam2.1/sam2.1")] {
        for (name, letter) in VARIANTS.iter().zip(["t", "s", "b+", "l"]) {
            let text = std::fs::read_to_string(format!("{folder}/{prefix}_hiera_{letter}.yaml")).unwrap();
            let expected = Sam2Config::named(name, version).unwrap();
            assert_eq!(config(&text).unwrap(), expected, "{name} {version}");
        }
    }
}
