//! The memory's half of EdgeTAM's test configuration, on the sizes that `micro` shares with it.

use parity::Fixture;
use sam2::config::PerceiverConfig;
use sam2::{Sam2Config, Version};

/// `fixtures/edgetam_micro`, without its trunk.
pub fn config() -> Sam2Config {
    Sam2Config {
        version: Version::V2_0,
        spatial_perceiver: Some(PerceiverConfig {
            depth: 2,
            ff_mult: 4,
            num_latents: 48,
            num_latents_2d: 64,
        }),
        ..Fixture::committed("micro").config()
    }
}
