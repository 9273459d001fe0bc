//! Where the kernels of `sam2-kernels` take over from burn's: on a GPU, in builds with the feature `webgpu`.

#[cfg(feature = "webgpu")]
use std::sync::{PoisonError, RwLock};

use burn::tensor::Tensor;
#[cfg(feature = "webgpu")]
use sam2_kernels::{Adapter, AdapterClass};

// It goes when a model carries its implementation as a value.
#[cfg(feature = "webgpu")]
static ADAPTER: RwLock<Adapter> = RwLock::new(Adapter {
    class: AdapterClass::Software,
    f16: false,
    f16_products: false,
});

/// Sets what the GPU is, for all later calls. At first it is a software adapter without f16, whose kernels run
/// everywhere.
#[cfg(feature = "webgpu")]
pub fn set_adapter(adapter: Adapter) {
    *ADAPTER.write().unwrap_or_else(PoisonError::into_inner) = adapter;
}

/// As it was set.
#[cfg(feature = "webgpu")]
pub(crate) fn adapter() -> Adapter {
    *ADAPTER.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether tensors there are worked on by kernels of our own.
#[cfg(feature = "webgpu")]
pub(crate) fn is_gpu(device: &burn::tensor::Device) -> bool {
    !super::is_host(device)
}

/// A parameter as the kernels read it: its values in the order of its dimensions. Elsewhere it may stay a view.
pub(crate) fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "webgpu")]
    if is_gpu(&x.device()) {
        return sam2_kernels::tensors::contiguous(x);
    }
    x
}

/// The first dimensions as one.
#[cfg(feature = "webgpu")]
pub(crate) fn rows<const D: usize>(x: Tensor<D>) -> Tensor<2> {
    let width = x.dims()[D - 1];
    x.reshape([-1, width as i64])
}
