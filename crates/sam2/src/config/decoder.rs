//! Sizes of the mask decoder that the official `sam2_base._build_sam_heads` does not configure.

/// Blocks of the two-way transformer.
pub const DEPTH: usize = 2;
/// Heads of its attentions.
pub const NUM_HEADS: usize = 8;
/// Hidden width of its MLPs.
pub const MLP_DIM: usize = 2048;
/// The factor by which its cross-attention is narrower than the tokens.
pub const ATTENTION_DOWNSAMPLE_RATE: usize = 2;
