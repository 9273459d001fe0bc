//! Runs kernels on whatever Vulkan offers, which may be a CPU (Debian: `mesa-vulkan-drivers`).

use std::cell::RefCell;
use std::collections::HashMap;

use half::f16;
use sam2_kernels::{AdapterClass, Input, Kernel, LinearShape, linear};
use wgpu::util::DeviceExt;

pub const CLASSES: [AdapterClass; 2] = [AdapterClass::Software, AdapterClass::Hardware];

/// A device, and what was compiled for it.
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Whether kernels may read f16 numbers.
    has_f16: bool,
    /// By the kernels' keys, as a program that uses them keeps them.
    pipelines: RefCell<HashMap<String, wgpu::ComputePipeline>>,
}

impl Gpu {
    /// # Panics
    /// If there is no adapter.
    pub fn open() -> Self {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        let instance = wgpu::Instance::new(descriptor);
        let adapter = wait(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
            .expect("a Vulkan adapter, which Debian's mesa-vulkan-drivers has without a GPU");
        println!("on {}", adapter.get_info().name);
        let required_features = adapter.features() & wgpu::Features::SHADER_F16;
        let (device, queue) = wait(adapter.request_device(&wgpu::DeviceDescriptor {
            required_features,
            ..wgpu::DeviceDescriptor::default()
        }))
        .expect("a device");
        Self {
            device,
            queue,
            has_f16: !required_features.is_empty(),
            pipelines: RefCell::default(),
        }
    }

    fn pipeline(&self, kernel: &Kernel) -> wgpu::ComputePipeline {
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&kernel.key),
            source: wgpu::ShaderSource::Wgsl(kernel.text(false).into()),
        });
        self.device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&kernel.key),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
    }

    /// The kernel's output, of `length` values. Inputs go to it in the type that it reads.
    pub fn run(&self, kernel: &Kernel, inputs: &[&[f32]], length: usize) -> Vec<f32> {
        assert_eq!(inputs.len(), kernel.inputs.len(), "{}", kernel.key);
        let mut pipelines = self.pipelines.borrow_mut();
        let pipeline = pipelines
            .entry(kernel.key.clone())
            .or_insert_with(|| self.pipeline(kernel));
        let buffer = |contents: &[u8], usage| {
            self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents,
                usage,
            })
        };
        let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let halves = |values: &[f32]| {
            let values = values.iter().map(|&x| f16::from_f32(x));
            values.flat_map(f16::to_le_bytes).collect::<Vec<u8>>()
        };
        let mut buffers: Vec<_> = inputs
            .iter()
            .zip(&kernel.inputs)
            .map(|(values, Input(_, kind))| match kind.contains("f16") {
                true => buffer(&halves(values), storage),
                false => buffer(&bytes(values), storage),
            })
            .collect();
        // What a kernel leaves out stays NaN.
        buffers.push(buffer(&bytes(&vec![f32::NAN; length]), storage));
        let info: Vec<u8> = kernel.words().iter().flat_map(|x| x.to_le_bytes()).collect();
        buffers.push(buffer(&info, wgpu::BufferUsages::UNIFORM));
        let entries: Vec<_> = (0..)
            .zip(&buffers)
            .map(|(binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let size = 4 * length as u64;
        let copy = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &group, &[]);
            let [x, y] = kernel.groups();
            pass.dispatch_workgroups(x, y, 1);
        }
        encoder.copy_buffer_to_buffer(&buffers[inputs.len()], 0, &copy, 0, size);
        self.queue.submit([encoder.finish()]);
        copy.slice(..)
            .map_async(wgpu::MapMode::Read, |result| result.expect("readable"));
        self.device
            .poll(wgpu::PollType::wait_indefinitely())
            .expect("the work is done");
        let view = copy.slice(..).get_mapped_range().expect("mapped");
        view.chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four bytes")))
            .collect()
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// So many values from -1 to 1, the same for the same seed.
pub fn random(length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    };
    (0..length).map(|_| next()).collect()
}

/// Fails unless every value is within `limit` of the wanted one, in parts of the largest.
#[track_caller]
pub fn assert_close(found: &[f32], wanted: &[f64], limit: f64, what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1e-30, |largest: f64, x| largest.max(x.abs()));
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let apart = (f64::from(*found) - wanted).abs() / scale;
        // Not a number is not close.
        assert!(apart <= limit, "{what}: value {i} is {found}, expected {wanted}");
    }
}

/// Checks the variants of both classes. They must give the same whether a matrix of numbers that f16 has lies in f32 or in
/// f16; with products in f16 they are only near.
#[track_caller]
pub fn check_linear(gpu: &Gpu, shape: LinearShape, inputs: &[&[f32]], wanted: &[f64], what: &str) {
    for class in CLASSES {
        let found = gpu.run(&linear(shape, class), inputs, shape.rows * shape.n);
        assert_close(&found, wanted, 2e-6, &format!("{what}, {class:?}"));
        if !gpu.has_f16 {
            println!("SKIPPED: f16, which this adapter has not");
            continue;
        }
        let rounded: Vec<f32> = inputs[1].iter().map(|&x| f16::from_f32(x).to_f32()).collect();
        let mut inputs = inputs.to_vec();
        inputs[1] = &rounded;
        let [full, half] = [false, true].map(|half| {
            let kernel = linear(LinearShape { half, ..shape }, class);
            gpu.run(&kernel, &inputs, shape.rows * shape.n)
        });
        assert_eq!(full, half, "{what}, {class:?}");
        let coarse = LinearShape {
            half: true,
            f16_products: true,
            ..shape
        };
        let found = gpu.run(&linear(coarse, class), &inputs, shape.rows * shape.n);
        assert_close(&found, wanted, 4e-3, &format!("{what}, {class:?}, f16 products"));
    }
}

/// `[rows, k]` times `[k, n]` plus `[n]`.
pub fn product(x: &[f64], weight: &[f32], bias: &[f32]) -> Vec<f64> {
    let n = bias.len();
    let k = weight.len() / n;
    let mut out = Vec::with_capacity(x.len() / k * n);
    for row in x.chunks_exact(k) {
        let mut sums: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
        for (x, weights) in row.iter().zip(weight.chunks_exact(n)) {
            for (sum, w) in sums.iter_mut().zip(weights) {
                *sum += x * f64::from(*w);
            }
        }
        out.extend(sums);
    }
    out
}

/// The same values as f64, in which the tests compute.
pub fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// The error function by its series (Abramowitz and Stegun, 7.1.5), to the last digit for what is asked here.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
