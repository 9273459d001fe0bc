//! What the kernels know about the GPU that runs them. It decides between their variants.

/// The class of an adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdapterClass {
    /// A GPU that is emulated on a CPU, such as SwiftShader or lavapipe. Barriers and workgroup memory cost it more
    /// than they save. Its kernels also run well on a real GPU, so this is the class of an unknown adapter.
    #[default]
    Software,
    /// A real GPU, with fast workgroup memory.
    Hardware,
}

/// The size in bytes of a binding that every WebGPU device supports: the default of the limit
/// `maxStorageBufferBindingSize`. The default of `maxBufferSize` is larger.
const DEFAULT_LARGEST_BUFFER: u64 = 128 << 20;

/// The alignment of buffers in bytes. No device needs a larger one.
const ALIGNMENT: u64 = 256;

/// What the kernels know about a GPU. Each model has its own, since models may be on different devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adapter {
    /// The adapter's class.
    pub class: AdapterClass,
    /// Whether kernels may read f16 numbers: the device was opened with WebGPU's feature `shader-f16`.
    pub f16: bool,
    /// Whether matrices should be multiplied in f16 if the adapter can do so: products of four values are summed in
    /// f16, and these sums in f32. This costs about three decimal digits of accuracy. [`Adapter::multiplies_in_f16`]
    /// says whether it is done.
    pub f16_products: bool,
    /// The size in bytes of the largest buffer that can be bound as a whole: the smaller of the device's
    /// `maxStorageBufferBindingSize` and `maxBufferSize`. Work with larger tensors is done in parts.
    pub largest_buffer: u64,
}

impl Default for Adapter {
    /// An adapter of which nothing is known.
    fn default() -> Self {
        Self {
            class: AdapterClass::default(),
            f16: false,
            f16_products: false,
            largest_buffer: DEFAULT_LARGEST_BUFFER,
        }
    }
}

impl Adapter {
    /// Whether matrices are multiplied in f16. This needs [`Self::f16_products`], a device with f16, and a real GPU,
    /// since a software adapter would not be faster.
    pub fn multiplies_in_f16(self) -> bool {
        self.f16_products && self.f16 && self.class == AdapterClass::Hardware
    }

    /// The size in bytes of the largest tensor. Buffers are allocated in multiples of [`ALIGNMENT`].
    pub fn largest_tensor(self) -> u64 {
        self.largest_buffer / ALIGNMENT * ALIGNMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_in_f16_only_on_real_gpus_that_have_it() {
        for class in [AdapterClass::Software, AdapterClass::Hardware] {
            for (f16, f16_products) in [(false, false), (false, true), (true, false), (true, true)] {
                let adapter = Adapter {
                    class,
                    f16,
                    f16_products,
                    ..Adapter::default()
                };
                let wanted = class == AdapterClass::Hardware && f16 && f16_products;
                assert_eq!(adapter.multiplies_in_f16(), wanted, "{adapter:?}");
            }
        }
        assert!(!Adapter::default().multiplies_in_f16());
    }
}
