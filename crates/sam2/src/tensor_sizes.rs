//! The sizes of a network's largest tensors, which a device's buffers must hold. They follow from the configuration. Work
//! that a GPU does in parts, such as an MLP's by rows or that of windows, counts with its smallest part.

use crate::config::Sam2Config;
use crate::error::LoadError;
use crate::mask_decoder::NUM_MASK_TOKENS;

/// The size of a value in bytes.
const F32: u64 = size_of::<f32>() as u64;
/// The number of the decoder's tokens in addition to a prompt's points: the object score, the IoUs, the masks, and the
/// padding behind the points.
const OTHER_TOKENS: usize = 2 + NUM_MASK_TOKENS + 1;

impl Sam2Config {
    /// Checks that a device whose tensors have at most `largest` bytes can run the network.
    ///
    /// # Errors
    /// [`LoadError::TooLarge`] with the largest tensor.
    pub fn check_tensors(&self, largest: u64) -> Result<(), LoadError> {
        let needed = self.largest_tensor();
        match needed <= largest {
            true => Ok(()),
            false => Err(LoadError::TooLarge {
                image_size: self.image_size,
                needed,
                largest,
            }),
        }
    }

    /// The size in bytes of the largest tensor that is not computed in parts.
    pub fn largest_tensor(&self) -> u64 {
        let parameters = self.parameters();
        let parameters = parameters
            .iter()
            .map(|parameter| parameter.shape.iter().map(|&n| n as u64).product());
        // The picture, and the finest features. The mask for the memory and its downsampler's layers are no larger.
        let picture = 3 * square(self.image_size);
        let features = square(self.mask_side()) * self.neck.d_model as u64;
        let trunk = self.trunk.largest_tensor(self.image_size);
        let values = parameters.fold(picture.max(features).max(trunk), u64::max);
        (values * F32).max(self.largest_of_prompt(1))
    }

    /// The size in bytes of the largest tensor that the decoder makes of a prompt with `points` points.
    pub fn largest_of_prompt(&self, points: usize) -> u64 {
        let dim = self.neck.d_model as u64;
        let [upscaled, embedding] = [self.mask_side(), self.embedding_side()].map(square);
        let tokens = (points as u64).saturating_add(OTHER_TOKENS as u64);
        (upscaled * (dim / 8).max(NUM_MASK_TOKENS as u64))
            .max(embedding * dim)
            .max(tokens.saturating_mul(dim))
            .saturating_mul(F32)
    }

    /// The largest number of points of a prompt if tensors have at most `largest` bytes.
    pub fn most_points(&self, largest: u64) -> usize {
        let tokens = largest / (F32 * self.neck.d_model as u64);
        usize::try_from(tokens).map_or(usize::MAX, |tokens| tokens.saturating_sub(OTHER_TOKENS))
    }
}

fn square(side: usize) -> u64 {
    (side as u64).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;
    use crate::config::VARIANTS;

    /// WebGPU's default `maxStorageBufferBindingSize`.
    const DEFAULT_LIMIT: u64 = 128 << 20;

    #[test]
    fn official_networks_fit_every_webgpu_device() {
        for name in VARIANTS {
            let config = Sam2Config::named(name, Version::V2_1).unwrap();
            // 256 channels of 256 x 256 pixels.
            assert_eq!(config.largest_tensor(), 64 << 20, "{name}");
            assert_eq!(config.check_tensors(DEFAULT_LIMIT), Ok(()), "{name}");
            // 32 channels of 256 x 256 pixels: 16 prompts at once.
            assert_eq!(config.largest_of_prompt(1), 8 << 20, "{name}");
        }
    }

    #[test]
    fn a_block_counts_with_what_is_not_divided() {
        let large = Sam2Config::named("large", Version::V2_1).unwrap();
        let large = |block| large.trunk.as_hiera().unwrap().largest_of_block(block, 1024);
        // 144 channels of 256 x 256 pixels; a row of 32 windows of 8 x 8 has fewer values.
        assert_eq!(large(0), 144 * 256 * 256);
        // The first block of the second stage has the same input, and a row of its windows has fewer values.
        assert_eq!(large(2), 144 * 256 * 256);
        // Global attention: queries, keys and values of 64 x 64 tokens with 576 channels.
        assert_eq!(large(23), 3 * 576 * 64 * 64);
    }

    #[test]
    fn too_large_networks_and_prompts_are_refused() {
        let tiny = Sam2Config::named("tiny", Version::V2_1).unwrap();
        let sized = |side| tiny.clone().with_image_size(side).unwrap();
        assert_eq!(sized(1440).check_tensors(DEFAULT_LIMIT), Ok(()));
        let error = sized(2048).check_tensors(DEFAULT_LIMIT).unwrap_err();
        assert_eq!(error.code(), "OUT_OF_MEMORY");
        assert_eq!(
            error.to_string(),
            "at an image size of 2048, this network needs a buffer of 256 MiB, but the device's largest is 128 MiB: use a \
             smaller image size, a smaller model or the CPU"
        );

        let most = tiny.most_points(DEFAULT_LIMIT);
        assert_eq!(most, 131_065);
        assert_eq!(tiny.largest_of_prompt(most), DEFAULT_LIMIT);
        assert_eq!(tiny.largest_of_prompt(most + 1), DEFAULT_LIMIT + 1024);
        assert_eq!(tiny.most_points(u64::MAX), (usize::MAX >> 10) - OTHER_TOKENS);
        assert_eq!(tiny.most_points(0), 0);
    }
}
