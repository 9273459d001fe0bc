//! The choice of the implementation that computes a network.

use std::sync::Arc;

use burn::tensor::Device;

use crate::Operations;
use crate::portable::Portable;

/// How and where a network is computed. It is made once when a model is loaded, and every operation of the model keeps a
/// reference to it. Two models in one process may use different devices and precisions.
#[derive(Clone, Debug)]
pub struct Implementation(Option<Arc<dyn Operations>>);

impl Implementation {
    /// Plain burn on any device, including one for automatic differentiation.
    pub fn portable(device: Device) -> Self {
        Self(Some(Arc::new(Portable { device })))
    }

    /// In place on the CPU. `products` chooses how matrices are multiplied.
    #[cfg(feature = "cpu")]
    pub fn cpu(products: crate::Products) -> Self {
        Self(Some(Arc::new(crate::cpu::Cpu { products })))
    }

    /// The kernels of `sam2-kernels`. `device` is one of burn's WebGPU backend, and `adapter` says what it supports.
    #[cfg(feature = "gpu")]
    pub fn gpu(device: Device, adapter: crate::Adapter) -> Self {
        Self(Some(Arc::new(crate::gpu::Gpu { device, adapter })))
    }

    /// A placeholder while parameters are only listed and nothing is computed.
    pub(crate) fn none() -> Self {
        Self(None)
    }
}

impl std::ops::Deref for Implementation {
    type Target = dyn Operations;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().expect("a network that was loaded, not listed")
    }
}
