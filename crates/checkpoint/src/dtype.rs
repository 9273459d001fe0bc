//! The number formats of stored tensors.

/// The number format of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16, the upper half of an f32.
    Bf16,
    /// Whole numbers of 8 bits with scales, as [`PackedDtype::Q8`](crate::PackedDtype::Q8) writes them.
    Q8,
    /// The name of a format whose values are not read: integers, booleans, complex numbers, and numbers quantised in other ways.
    Other(&'static str),
}

impl Dtype {
    /// The bytes of one value; `None` for a format that is not read.
    pub fn size(self) -> Option<usize> {
        match self {
            Dtype::F64 => Some(8),
            Dtype::F32 => Some(4),
            Dtype::F16 | Dtype::Bf16 => Some(2),
            Dtype::Q8 => Some(1),
            Dtype::Other(_) => None,
        }
    }

    /// Reads consecutive little-endian values; `None` for a format that is not read, and for [`Dtype::Q8`], whose values need
    /// scales.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<Vec<f32>> {
        // Each format has a loop of its own, so that the loop has no branch.
        Some(match self {
            Dtype::F64 => all(bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::F32 => all(bytes, f32::from_le_bytes),
            Dtype::F16 => all(bytes, |b| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::Bf16 => all(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
            Dtype::Q8 | Dtype::Other(_) => return None,
        })
    }
}

/// Reads values of `SIZE` bytes each.
fn all<const SIZE: usize>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<SIZE>().0.iter().map(|b| read(*b)).collect()
}

/// Converts an f16. It has no branch, so that a loop over it becomes SIMD; `half` only uses SIMD if the processor has an
/// instruction for the conversion.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let (sign, rest) = ((bits & 0x8000) << 16, bits & 0x7fff);
    // The exponent's bias differs by 112. The product is exact, also for subnormal numbers.
    let finite = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    let infinite_or_nan = f32::from_bits(rest << 13 | 0x7f80_0000);
    let size = if rest >= 0x7c00 { infinite_or_nan } else { finite };
    f32::from_bits(size.to_bits() | sign)
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dtype::F64 => "f64",
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::Q8 => "q8",
            Dtype::Other(name) => name,
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
            // Quiet and signalling NaNs count as equal.
            assert!(
                ours.to_bits() == wanted.to_bits() || ours.is_nan() && wanted.is_nan(),
                "{bits:x}"
            );
        }
    }

    #[test]
    fn doubles_are_rounded_to_the_nearest_single() {
        let bytes: Vec<u8> = [0.1f64, -2.5, 1e300, 1e-300]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(
            Dtype::F64.read(&bytes).unwrap(),
            [0.1f32, -2.5, f32::INFINITY, 0.0]
        );
    }
}
