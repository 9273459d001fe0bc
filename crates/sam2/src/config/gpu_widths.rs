//! Which widths the kernels for GPUs can do: they work on four values at a time.

use super::Sam2Config;
use crate::weights::WeightsError;

/// Heads of the decoder's attention, whose narrower kind is half as wide as the tokens.
const DECODER_HEADS: usize = 8;

impl Sam2Config {
    /// Whether a GPU can run the network; every official model passes.
    ///
    /// # Errors
    /// [`WeightsError::Width`] with the first width that no kernel is made for.
    pub fn check_gpu_widths(&self) -> Result<(), WeightsError> {
        // (key, what it has to be a multiple of, what came)
        let widths = [
            (
                "image_encoder.trunk.embed_dim",
                4 * self.trunk.num_heads,
                self.trunk.embed_dim,
            ),
            (
                "image_encoder.neck.d_model",
                4 * 2 * DECODER_HEADS,
                self.neck.d_model,
            ),
            (
                "memory_attention.layer.dim_feedforward",
                4,
                self.memory_attention.dim_feedforward,
            ),
            ("memory_encoder.out_dim", 4, self.memory_encoder.out_dim),
        ];
        match widths
            .into_iter()
            .find(|(_, multiple, found)| !found.is_multiple_of(*multiple))
        {
            Some((key, multiple, found)) => Err(WeightsError::Width { key, multiple, found }),
            None => Ok(()),
        }
    }
}
