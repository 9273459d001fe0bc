//! The kernels launched on burn's tensors. Every function panics if a tensor is not on a `wgpu` device.

use burn::backend::Cube;
use burn::tensor::{DType, Shape, Tensor};
/// As long as it lives, kernels are compiled and then not run.
pub use burn_cubecl::cubecl::dry_run::DryRun;
use burn_cubecl::cubecl::ir::{ElemType, UIntKind, metadata::Info};
use burn_cubecl::cubecl::prelude::{
    AddressType, CubeCount, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, KernelSettings, Scope,
};
use burn_cubecl::cubecl::server::{KernelArguments, MetadataBindingInfo};
use burn_cubecl::cubecl::{CubeDim, CubeKernel, PrecompiledSource};
use burn_cubecl::kernel::{into_contiguous, into_contiguous_aligned};
use burn_cubecl::tensor::CubeTensor;

use crate::{
    Activation, Adapter, AttentionShape, GROUP, HeadRows, JOINED, Kernel, LinearShape, MaskScale, Part,
    Patches, Picked, ResidualShape, SUMS,
};

/// What [`linear`]'s matrices may be of.
const MATRIX: &[DType] = &[DType::F32, DType::F16];

/// A tensor whose values lie in the order of its dimensions; copied only if they did not.
pub fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(raw_of(x, MATRIX))
}

/// The kernel that burn starts before it reads a tensor back, if its values do not lie so that they can be.
pub fn before_reading<const D: usize>(x: Tensor<D>) {
    into_contiguous_aligned(x.try_into_primitive::<Cube>().expect("a tensor on a GPU"));
}

/// What is added to a layer's output.
#[derive(Clone, Debug)]
pub enum Residual {
    /// Values as the output's, or as its first ones, to be repeated.
    Repeated(Tensor<2>),
    /// `[b, h, w, n]`, each pixel for four of an output `[b, 2h, 2w, n]`.
    Coarser(Tensor<4>),
}

/// A rotary position encoding of a layer's output.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// `[positions, n]`: of each position a cosine and a sine for each two neighbouring values, a point that is rotated by
    /// this angle. The output's row `i` takes row `i` modulo `positions`.
    pub table: Tensor<2>,
    /// How many of the output's first rows are rotated.
    pub rows: usize,
}

/// Everything of a linear layer but the matrix.
#[derive(Clone, Debug, Default)]
pub struct LinearOptions {
    /// `[p, k]`: row `i` modulo `p` is added to the input's row `i`.
    pub plus: Option<Tensor<2>>,
    /// Added to the output, before the activation.
    pub residual: Option<Residual>,
    /// Applied to the output.
    pub activation: Activation,
    /// Rotates neighbouring values of the output, after the activation.
    pub rotary: Option<Rotary>,
    /// How rows lie in the input or the output.
    pub patches: Patches,
    /// How many matrices and biases there are, one after another; row `i` takes number `i` modulo this one. 0 is 1.
    pub groups: usize,
}

/// Whether [`linear`] can do it with a matrix of these sides: it is read four values at a time.
pub fn supports_linear(sides: &[usize]) -> bool {
    sides.iter().all(|side| side.is_multiple_of(4))
}

/// activation((x + plus) weight + bias + residual): `x` of rows of `k` values, `weight` `[k, n]` of f32 or f16 and `bias`
/// `[n]`, or several of them, to `[rows, n]`.
pub fn linear<const D: usize>(
    adapter: Adapter,
    x: Tensor<D>,
    weight: &Tensor<2>,
    bias: &Tensor<1>,
    options: LinearOptions,
) -> Tensor<2> {
    let [k, n] = weight.dims();
    let k = k / options.groups.max(1);
    let rows = match options.patches {
        // Each value is in several patches.
        Patches::Around { .. } => x.shape().num_elements() / (k / 9 * 4),
        _ => x.shape().num_elements() / k,
    };
    let mut shape = LinearShape {
        rows,
        k,
        n,
        activation: options.activation,
        patches: options.patches,
        groups: options.groups,
        half: weight.dtype() == DType::F16,
        f16_products: adapter.multiplies_in_f16(),
        ..LinearShape::default()
    };
    let mut inputs = vec![raw(x), raw_of(weight.clone(), MATRIX), raw(bias.clone())];
    if let Some(plus) = options.plus {
        shape.plus = plus.shape().num_elements() / k;
        inputs.push(raw(plus));
    }
    match options.residual {
        None => {}
        Some(Residual::Repeated(residual)) => {
            shape.residual = ResidualShape::Repeated(residual.shape().num_elements() / n);
            inputs.push(raw(residual));
        }
        Some(Residual::Coarser(residual)) => {
            shape.residual = ResidualShape::Coarser {
                width: residual.dims()[2],
            };
            inputs.push(raw(residual));
        }
    }
    if let Some(Rotary { table, rows }) = options.rotary {
        (shape.rotary, shape.rotated) = (table.dims()[0], rows);
        inputs.push(raw(table));
    }
    launch(crate::linear(shape, adapter.class), inputs, [rows, n])
}

/// `[..., c]` over the last dimension, then `activation`; `weight` and `bias` are `[c]`, and 4 divides `c`.
pub fn layer_norm<const D: usize>(
    adapter: Adapter,
    x: Tensor<D>,
    weight: &Tensor<1>,
    bias: &Tensor<1>,
    eps: f64,
    activation: Activation,
) -> Tensor<D> {
    let dims = x.dims();
    let c = dims[D - 1];
    let rows = x.shape().num_elements() / c;
    let kernel = crate::layer_norm(rows, c, eps, activation, adapter.class);
    launch(kernel, vec![raw(x), raw(weight.clone()), raw(bias.clone())], dims)
}

/// All heads of queries, keys or values, as part of each row of a matrix.
#[derive(Clone, Debug)]
pub struct Heads {
    /// Rows of `width` values, a token each.
    pub tokens: Tensor<2>,
    /// Where in a row the first head begins.
    pub offset: usize,
}

/// `[batch * queries, heads * width]`. `padding` is the row of `k` and `v` that tokens beyond the edge have.
pub fn attention(
    adapter: Adapter,
    shape: AttentionShape,
    q: Heads,
    k: Heads,
    v: Heads,
    padding: &Tensor<1>,
) -> Tensor<2> {
    let step = if shape.pools { 2 } else { 1 };
    let queries = shape.queries[0] * shape.queries[1];
    let rows = |heads: &Heads, grid: usize| {
        let [rows, width] = heads.tokens.dims();
        HeadRows {
            batch: rows / grid,
            width,
            offset: heads.offset,
        }
    };
    let keys = shape.keys[0] * shape.keys[1];
    let layout = [rows(&q, queries * step * step), rows(&k, keys), rows(&v, keys)];
    let kernel = crate::attention(shape, layout, adapter.class);
    let mut inputs: Vec<CubeTensor> = [q, k, v].into_iter().map(|heads| raw(heads.tokens)).collect();
    if shape.pads() {
        inputs.push(raw(padding.clone()));
    }
    launch(kernel, inputs, [shape.batch * queries, shape.heads * shape.width])
}

/// `[b, h, w, c]` to `[b, h/2, w/2, c]`; `h` and `w` are even, and 4 divides `c`.
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let dims = x.dims();
    let [b, h, w, c] = dims;
    launch(crate::max_pool(dims), vec![raw(x)], [b, h / 2, w / 2, c])
}

/// `hyper` `[b, 4, c]` and `pixels` `[b, p, c]` to logits `[b, 4, p]`; 4 divides `c`.
pub fn mask_product(hyper: Tensor<3>, pixels: Tensor<3>) -> Tensor<3> {
    let [b, p, c] = pixels.dims();
    launch(
        crate::mask_product(b, p, c),
        vec![raw(hyper), raw(pixels)],
        [b, 4, p],
    )
}

/// Whether [`patch_embed`] can do it.
pub fn supports_patch_embed([h, w]: [usize; 2], c: usize) -> bool {
    h.is_multiple_of(4) && w.is_multiple_of(16) && c.is_multiple_of(8)
}

/// A picture `[b, 3, h, w]` by a 7x7 convolution of stride 4, its weight as `[3 * 7 * 7, c]`, to tokens
/// `[b, h/4, w/4, c]`; `position` `[1, h/4, w/4, c]` is added.
pub fn patch_embed(
    picture: Tensor<4>,
    weight: &Tensor<2>,
    bias: &Tensor<1>,
    position: &Tensor<4>,
) -> Tensor<4> {
    let [b, _, h, w] = picture.dims();
    let c = weight.dims()[1];
    let inputs = vec![
        raw(picture),
        raw(weight.clone()),
        raw(bias.clone()),
        raw(position.clone()),
    ];
    launch(crate::patch_embed([b, h, w], c), inputs, [b, h / 4, w / 4, c])
}

/// One head: `q` `[n, d]`, already scaled, `k` `[m, d]` and `v` `[m, e]` to `[n, e]`; 4 divides `d` and `e`.
pub fn wide_attention(adapter: Adapter, q: Tensor<2>, k: Tensor<2>, v: Tensor<2>) -> Tensor<2> {
    let ([n, d], [m, e]) = (q.dims(), v.dims());
    let kernel = crate::wide_attention([n, m], d, e, adapter.class);
    launch(kernel, vec![raw(q), raw(k), raw(v)], [n, e])
}

/// A convolution of each channel alone that keeps the picture's size: `x` `[b, h, w, c]`, `weight` `[side, side, c]` and
/// `bias` `[c]`; `side` is odd, and 4 divides `c`.
pub fn depthwise(x: Tensor<4>, weight: &Tensor<3>, bias: &Tensor<1>) -> Tensor<4> {
    let dims = x.dims();
    let kernel = crate::depthwise(dims, weight.dims()[0]);
    launch(kernel, vec![raw(x), raw(weight.clone()), raw(bias.clone())], dims)
}

/// Logits `[1, side, side]`, stretched to `size` pixels a side and scaled, through a strided 3x3 convolution, its
/// normalisation and GELU to `[1, size / 2, size / 2, 4]`. `weight` is `[9, 4]`; `affine` `[3, 4]` the convolution's
/// bias, and the normalisation's weight and bias.
pub fn mask_convolution(
    logits: Tensor<3>,
    size: usize,
    mask: MaskScale,
    weight: &Tensor<2>,
    affine: &Tensor<2>,
    eps: f64,
) -> Tensor<4> {
    let kernel = crate::mask_convolution(logits.dims()[1], size, mask, eps);
    let inputs = vec![raw(logits), raw(weight.clone()), raw(affine.clone())];
    launch(kernel, inputs, [1, size / 2, size / 2, 4])
}

/// A memory `[rows, c]`, and `absent` `[c]` added where `score` `[1]` is not positive, rounded to bfloat16's numbers.
pub fn finish_memory(x: Tensor<2>, absent: Tensor<1>, score: Tensor<1>) -> Tensor<2> {
    let [rows, c] = x.dims();
    let kernel = crate::finish_memory(rows, c);
    launch(kernel, vec![raw(x), raw(absent), raw(score)], [rows, c])
}

/// Some of what [`join`] joins.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Rows, and which row of [`Positions::temporal`] is added to them.
    pub parts: Vec<(Tensor<2>, Option<usize>)>,
    /// What is added to them.
    pub positions: Option<Positions>,
}

/// Position encodings of rows: where they are, and when.
#[derive(Clone, Debug)]
pub struct Positions {
    /// `[n, c]`: row `i` modulo `n` is added to each part's row `i`.
    pub spatial: Tensor<2>,
    /// `[times, c]`: one row is added to a whole part.
    pub temporal: Tensor<2>,
}

/// All parts, each `[rows, c]`, one after another: `[sum of rows, c]`. There is at least one; 4 divides `c`.
pub fn join(groups: &[Joined]) -> Tensor<2> {
    let parts = || groups.iter().flat_map(|group| &group.parts);
    let rows = parts().map(|(part, _)| part.dims()[0]).sum();
    let (some, _) = parts().next().expect("a part");
    let c = some.dims()[1];
    let out = empty(&raw(some.clone()), [rows, c].into());
    let mut first = 0;
    for Joined { parts, positions } in groups {
        let rows = positions.as_ref().map(|positions| positions.spatial.dims()[0]);
        for some in parts.chunks(JOINED) {
            let described: Vec<Part> = some
                .iter()
                .map(|(part, time)| Part {
                    rows: part.dims()[0],
                    time: *time,
                })
                .collect();
            let mut inputs: Vec<CubeTensor> = (0..JOINED)
                .map(|i| raw(some[i.min(some.len() - 1)].0.clone()))
                .collect();
            if let Some(Positions { spatial, temporal }) = positions {
                inputs.extend([raw(spatial.clone()), raw(temporal.clone())]);
            }
            launch_into(crate::join(&described, c, first, rows), inputs, &out);
            first += described.iter().map(|part| part.rows).sum::<usize>();
        }
    }
    Tensor::from_primitive::<Cube>(out)
}

/// Which of `masks` `[b, 4, pixels]` answers each prompt, by their predicted `ious` `[b, 4]`: the first one if it is
/// stable by `(delta, threshold)`, where that is asked, else the best of the others. `[b, 2]`: its number and its IoU.
pub fn choose(masks: &Tensor<3>, ious: Tensor<2>, stable: Option<(f32, f32)>) -> Tensor<2> {
    let [b, count, pixels] = masks.dims();
    let mut inputs = vec![raw(ious)];
    if let Some((delta, _)) = stable {
        let areas = crate::areas(b, count, pixels, delta);
        inputs.push(launch_raw(areas, vec![raw(masks.clone())], [b, 2 * SUMS].into()));
    }
    let kernel = crate::choose(b, stable.map(|(_, threshold)| threshold));
    launch(kernel, inputs, [b, 2])
}

/// Of `values` `[b, count, p]` the one that `choices` name, as [`choose`] gives them, or the first one. Where `scores` `[b, 1]`
/// are not positive, `hidden` `[q]` stands instead, value `i` being its value `i` modulo `q`. To `[b, p]`.
pub fn pick(
    values: Tensor<3>,
    choices: Option<Tensor<2>>,
    hidden: Option<(Tensor<2>, Tensor<1>)>,
) -> Tensor<2> {
    let [b, count, p] = values.dims();
    let picked = Picked {
        chosen: choices.is_some(),
        hidden: hidden.as_ref().map_or(0, |(_, hidden)| hidden.dims()[0]),
    };
    let mut inputs = vec![raw(values)];
    inputs.extend(choices.map(raw));
    if let Some((scores, hidden)) = hidden {
        inputs.extend([raw(scores), raw(hidden)]);
    }
    launch(crate::pick(b, count, p, picked), inputs, [b, p])
}

/// The tensor's buffer, its values in the order of its dimensions.
fn raw<const D: usize>(x: Tensor<D>) -> CubeTensor {
    raw_of(x, &[DType::F32])
}

fn raw_of<const D: usize>(x: Tensor<D>, dtypes: &[DType]) -> CubeTensor {
    let x = x.try_into_primitive::<Cube>().expect("a tensor on a GPU");
    assert!(
        dtypes.contains(&x.dtype),
        "{:?} where {dtypes:?} is read",
        x.dtype
    );
    into_contiguous(x)
}

fn launch<const D: usize>(kernel: Kernel, inputs: Vec<CubeTensor>, dims: [usize; D]) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(launch_raw(kernel, inputs, dims.into()))
}

fn launch_raw(kernel: Kernel, inputs: Vec<CubeTensor>, shape: Shape) -> CubeTensor {
    let out = empty(&inputs[0], shape);
    launch_into(kernel, inputs, &out);
    out
}

/// Where `like` is, with no values yet.
fn empty(like: &CubeTensor, shape: Shape) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    let handle = client.empty(shape.num_elements() * size_of::<f32>());
    CubeTensor::new_contiguous(client, device, shape, handle, DType::F32)
}

fn launch_into(kernel: Kernel, inputs: Vec<CubeTensor>, out: &CubeTensor) {
    let client = out.client.clone();
    let [x, y] = kernel.groups();
    let buffers = inputs
        .iter()
        .chain([out])
        .map(|tensor| tensor.handle.clone().binding())
        .collect();
    let words = kernel
        .info
        .chunks_exact(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32)
        .collect();
    let arguments = KernelArguments::new()
        .with_buffers(buffers)
        .with_info(MetadataBindingInfo::custom(words));
    client.launch(Box::new(Source(kernel)), CubeCount::Static(x, y, 1), arguments);
}

struct Source(Kernel);

impl KernelMetadata for Source {
    fn name(&self) -> &'static str {
        "sam2"
    }

    fn id(&self) -> KernelId {
        // The kernels bound their own loops and accesses.
        KernelId::new::<Self>()
            .info(self.0.key.clone())
            .mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        UIntKind::U32.into()
    }
}

impl CubeKernel for Source {
    /// Nothing: there is text instead.
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
            // In the browser each tensor has a buffer of its own.
            source: self.0.text(!cfg!(target_family = "wasm")),
            entrypoint_name: "main".into(),
            lang: "wgsl",
        })
    }
}
