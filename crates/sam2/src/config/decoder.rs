//! The mask decoder's sizes that are hard-coded in the official `sam2_base._build_sam_heads`, not configured.

/// Blocks of the two-way transformer.
pub const DEPTH: usize = 2;
/// Heads of its attentions.
pub const NUM_HEADS: usize = 8;
/// Hidden width of its perceptrons.
pub const MLP_DIM: usize = 2048;
/// Cross-attention is narrower than the tokens by this factor.
pub const ATTENTION_DOWNSAMPLE_RATE: usize = 2;
