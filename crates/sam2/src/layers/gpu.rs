//! Where the kernels of `sam2-kernels` take over from burn's: on a GPU, in builds with the feature `webgpu`.

use burn::tensor::Tensor;

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
