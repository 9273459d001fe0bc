//! The number formats of stored tensors.

/// The number format of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
}

impl Dtype {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
        }
    }

    /// One little-endian value of [`Dtype::size`] bytes.
    pub(crate) fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Dtype::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Dtype::F16, &[a, b]) => f16_to_f32(u16::from_le_bytes([a, b])),
            (Dtype::Bf16, &[a, b]) => f32::from_bits(u32::from(u16::from_le_bytes([a, b])) << 16),
            // Callers slice by `size`.
            _ => f32::NAN,
        }
    }
}

/// Without a branch, so that a loop over many becomes SIMD (`half`'s is only where a processor has an instruction for it).
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
    // Exponents begin 112 lower; the product is exact, and right for subnormals too.
    let finite = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    let endless = f32::from_bits(rest << 13 | 0x7f80_0000);
    let size = if rest >= 0x7c00 { endless } else { finite };
    f32::from_bits(size.to_bits() | sign)
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_what_the_half_crate_makes_of_it() {
        for bits in 0..=u16::MAX {
            let (ours, wanted) = (f16_to_f32(bits), half::f16::from_bits(bits).to_f32());
            // Whether a NaN is quiet is nobody's business.
            assert!(
                ours.to_bits() == wanted.to_bits() || ours.is_nan() && wanted.is_nan(),
                "{bits:x}"
            );
        }
    }
}
