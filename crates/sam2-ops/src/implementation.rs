//! Which implementation computes a network.

use std::sync::Arc;

use burn::tensor::Device;

use crate::Operations;
use crate::portable::Portable;

/// How and where a network is computed: made once when a model is loaded, and carried by it. Two models in one process
/// may differ in device and precision.
#[derive(Clone, Debug)]
pub struct Implementation(Option<Arc<dyn Operations>>);

impl Implementation {
    /// Plain burn on any device, also one that differentiates.
    pub fn portable(device: Device) -> Self {
        Self(Some(Arc::new(Portable { device })))
    }

    /// In place on the CPU.
    #[cfg(feature = "cpu")]
    pub fn cpu(products: crate::Products) -> Self {
        Self(Some(Arc::new(crate::cpu::Cpu { products })))
    }

    /// By kernels of our own: `device` is one of burn's WebGPU backend, and `adapter` is what it is good at.
    #[cfg(feature = "gpu")]
    pub fn gpu(device: Device, adapter: crate::Adapter) -> Self {
        Self(Some(Arc::new(crate::gpu::Gpu { device, adapter })))
    }

    /// Where parameters are only listed, nothing is computed.
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
