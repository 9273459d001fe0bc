//! What the kernels have to know of the GPU they run on: it decides between their variants.

/// What an adapter is good at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdapterClass {
    /// A CPU that plays a GPU, such as SwiftShader or lavapipe: barriers and workgroup memory cost it more than they save.
    /// Its kernels run well enough everywhere, so this is the class of an adapter of which nothing is known.
    #[default]
    Software,
    /// A real GPU, with fast workgroup memory.
    Hardware,
}

/// A GPU as the kernels see it. Models on different devices carry different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapter {
    /// What it is good at.
    pub class: AdapterClass,
    /// Whether kernels may read f16 numbers: the device was opened with WebGPU's feature `shader-f16`.
    pub f16: bool,
    /// Whether matrices are to be multiplied in f16, where the adapter can: products of four values in f16, their sums in
    /// f32. It costs three digits of the answer. [`Adapter::multiplies_in_f16`] says whether it is done.
    pub f16_products: bool,
}

impl Adapter {
    /// Whether matrices are multiplied in f16: it is wanted, the device has f16, and it is a real GPU. On a software
    /// adapter it would gain nothing.
    pub fn multiplies_in_f16(self) -> bool {
        self.f16_products && self.f16 && self.class == AdapterClass::Hardware
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
                };
                let wanted = class == AdapterClass::Hardware && f16 && f16_products;
                assert_eq!(adapter.multiplies_in_f16(), wanted, "{adapter:?}");
            }
        }
        assert!(!Adapter::default().multiplies_in_f16());
    }
}
