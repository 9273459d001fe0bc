//! sam2-weights
