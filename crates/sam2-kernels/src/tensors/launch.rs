//! Launches kernels on the buffers of burn's tensors.

use burn::backend::Cube;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::cubecl::ir::{ElemType, UIntKind, metadata::Info};
use burn_cubecl::cubecl::prelude::{
    AddressType, CubeCount, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, KernelSettings, Scope,
};
use burn_cubecl::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn_cubecl::cubecl::{CubeDim, CubeKernel, PrecompiledSource};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use crate::{GROUP, Kernel};

/// The buffer of an f32 tensor, made contiguous.
pub(super) fn raw<const D: usize>(x: Tensor<D>) -> CubeTensor {
    raw_of(x, &[DType::F32])
}

/// The same for a tensor of one of `dtypes`.
pub(super) fn raw_of<const D: usize>(x: Tensor<D>, dtypes: &[DType]) -> CubeTensor {
    let x = x.try_into_primitive::<Cube>().expect("a tensor on a GPU");
    assert!(
        dtypes.contains(&x.dtype),
        "{:?} where {dtypes:?} is read",
        x.dtype
    );
    into_contiguous(x)
}

/// Launches a kernel and returns its output, an f32 tensor of the shape `dims`.
pub(super) fn launch<const D: usize>(kernel: Kernel, inputs: Vec<CubeTensor>, dims: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(launch_raw(kernel, inputs, dims.into()))
}

/// The same, but returns the output's buffer.
pub(super) fn launch_raw(kernel: Kernel, inputs: Vec<CubeTensor>, shape: Shape) -> CubeTensor {
    let out = unwritten(&inputs[0], shape);
    launch_into(kernel, inputs, &out);
    out
}

/// An f32 tensor on the device of `like`, whose values have not been written yet.
pub(super) fn unwritten(like: &CubeTensor, shape: Shape) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    let length = shape.num_elements();
    #[cfg(not(feature = "poison"))]
    let handle = client.empty(length * size_of::<f32>());
    #[cfg(feature = "poison")]
    let handle = client.create_from_slice(&poison::noise(length));
    CubeTensor::new_contiguous(client, device, shape, handle, DType::F32)
}

/// Launches a kernel that writes to `out`.
pub(super) fn launch_into(kernel: Kernel, inputs: Vec<CubeTensor>, out: &CubeTensor) {
    let client = out.client.clone();
    let [x, y] = kernel.groups();
    let buffers = inputs
        .iter()
        .chain([out])
        .map(|tensor| tensor.handle.clone().binding())
        .collect();
    let words = kernel
        .words()
        .chunks_exact(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32)
        .collect();
    let arguments = KernelArguments::new()
        .with_buffers(buffers)
        .with_info(MetadataBindingInfo::custom(words));
    client.launch(Box::new(Source(kernel)), CubeCount::Static(x, y, 1), arguments);
}

/// A kernel for cubecl whose text is complete.
struct Source(Kernel);

impl KernelMetadata for Source {
    fn name(&self) -> &'static str {
        "sam2"
    }

    fn id(&self) -> KernelId {
        // Loops and accesses need no checks, because the kernels check their own bounds.
        KernelId::new::<Self>()
            .info(self.0.key.clone())
            .mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for Source {
    /// Not needed, because the text is given.
    fn define(&self) -> KernelDefinition {
        let settings = KernelSettings::new(
            CubeDim::new_1d(GROUP).into(),
            ExecutionMode::Unchecked,
            AddressType::U32,
        );
        KernelDefinition {
            body: Scope::root(settings.clone()),
            settings,
            info: Info::default(),
        }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        Some(PrecompiledSource {
            // In the browser, each tensor has a buffer of its own. Natively, several tensors may share one.
            source: self.0.text(!cfg!(target_family = "wasm")),
            entrypoint_name: "main".into(),
            lang: "wgsl",
        })
    }
}

/// The contents of outputs before they are written, under test. They can be taken neither for zeros nor for the output
/// of an earlier kernel.
#[cfg(feature = "poison")]
mod poison {
    /// NaN, and numbers of both signs that a maximum or an activation cannot hide. Since there are three, and the
    /// number of channels is a multiple of four, every channel gets different ones in different rows.
    const NOISE: [f32; 3] = [f32::NAN, 3e30, -3e30];

    /// The bytes of `length` values.
    pub fn noise(length: usize) -> Vec<u8> {
        let mut bytes = NOISE
            .map(f32::to_le_bytes)
            .as_flattened()
            .repeat(length.div_ceil(3));
        bytes.truncate(length * size_of::<f32>());
        bytes
    }

    #[cfg(test)]
    mod tests {
        use burn::tensor::{Device, Tensor, TensorData};

        use super::super::{launch, raw};
        use super::NOISE;

        /// The output of a 2x2 maximum that needs 256 invocations, but is launched with this many.
        fn pooled(invocations: usize) -> Vec<f32> {
            let dims = [1, 32, 32, 4];
            let device = Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
            let values: Vec<f32> = (0..32 * 32 * 4).map(|i| i as f32).collect();
            let x = Tensor::<4>::from_data(TensorData::new(values, dims), &device);
            let mut kernel = crate::max_pool(dims);
            assert_eq!(kernel.invocations, 256);
            kernel.invocations = invocations;
            let out: Tensor<4> = launch(kernel, vec![raw(x)], [1, 16, 16, 4]);
            out.into_data().try_to_vec().expect("f32")
        }

        #[test]
        fn what_a_kernel_leaves_unwritten_is_noise() {
            let wanted: Vec<f32> = (0..1024)
                .map(|i| {
                    let (channel, column, row) = (i % 4, i / 4 % 16, i / 64);
                    (((2 * row + 1) * 32 + 2 * column + 1) * 4 + channel) as f32
                })
                .collect();
            assert_eq!(pooled(256), wanted);
            // One workgroup of the four that are needed, as if the kernel's author had made a mistake.
            let short = pooled(64);
            assert_eq!(short[..256], wanted[..256]);
            for (i, value) in short.iter().enumerate().skip(256) {
                assert_eq!(value.to_bits(), NOISE[i % 3].to_bits(), "value {i}");
            }
        }
    }
}
