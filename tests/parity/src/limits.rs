//! How far the answers to prompts may be from the official ones.

use sam2::Sam2Config;

/// In parts of each tensor's scale.
pub struct Limits {
    /// Of the masks' logits, and of the mask tokens.
    pub logits: f64,
    /// Of `object_score_logits`.
    pub object_score: f64,
    /// IoUs are in [0, 1].
    pub iou: f64,
}

impl Limits {
    /// A thousandth of a logit: logits are at most 50 in SAM 2's fixtures, and 15 in EdgeTAM's, whose object scores are a
    /// thirtieth of that.
    pub fn of(config: &Sam2Config) -> Self {
        match config.spatial_perceiver {
            None => Self {
                logits: 2e-5,
                object_score: 2e-5,
                iou: 1e-5,
            },
            Some(_) => Self {
                logits: 6e-5,
                object_score: 2e-3,
                iou: 5e-5,
            },
        }
    }
}
