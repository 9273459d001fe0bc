//! The kernels launched on burn's tensors, each as a function from tensors to tensors. What a network's layers need besides,
//! such as reshaping, is burn's.
//!
//! Tensors are of f32, unless it is said otherwise, and are copied first where their values do not lie in the order of their
//! dimensions. The [`Adapter`] is that of the tensors' device, and decides between a kernel's variants.
//!
//! # Panics
//! All of these functions panic if a tensor is not on a `wgpu` device, is of another type of numbers, or has widths that a
//! function's documentation excludes.

mod launch;

use burn::backend::Cube;
use burn::tensor::{DType, Tensor};
/// As long as it lives, kernels are compiled and then not run.
pub use burn_cubecl::cubecl::dry_run::DryRun;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::tensor::CubeTensor;

use self::launch::{launch, launch_into, launch_raw, raw, raw_of, unwritten};
use crate::{
    Activation, Adapter, AttentionShape, HeadRows, JOINED, LinearShape, MaskScale, Part, Patches, Picked,
    ResidualShape, SUMS,
};

/// The types of numbers that [`linear`]'s matrices may be of.
const MATRIX: &[DType] = &[DType::F32, DType::F16];

/// The same tensor of f32 or f16, its values in the order of its dimensions. It is copied only if they were not.
pub fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(raw_of(x, MATRIX))
}

/// Starts the kernel that burn starts before it reads a tensor back whose values do not lie as they are read. In a
/// [`DryRun`] this compiles it.
pub fn before_reading<const D: usize>(x: Tensor<D>) {
    into_contiguous_aligned(x.try_into_primitive::<Cube>().expect("a tensor on a GPU"));
}

/// What is added to a linear layer's output before the activation.
#[derive(Clone, Debug)]
pub enum Residual {
    /// `[r, n]`, laid out as the output is: its value `i` takes value `i` modulo `r n`.
    Repeated(Tensor<2>),
    /// A picture `[b, h, w, n]`, each of its pixels added to four of the output `[b, 2h, 2w, n]` (nearest-neighbour
    /// upsampling).
    Coarser(Tensor<4>),
}

/// A rotary position encoding of a linear layer's output (Su et al., "RoFormer", 2021).
#[derive(Clone, Debug)]
pub struct Rotary {
    /// `[p, n]`: cosine and sine of an angle for each two neighbouring values of the output, which are rotated by it as a
    /// point. The output's row `i` takes row `i` modulo `p`.
    pub table: Tensor<2>,
    /// How many of the output's first rows are rotated.
    pub rows: usize,
}

/// Everything of a linear layer but its matrix and bias.
#[derive(Clone, Debug, Default)]
pub struct LinearOptions {
    /// `[p, k]`: row `i` modulo `p` is added to the input's row `i`.
    pub plus: Option<Tensor<2>>,
    /// What is added to the output before the activation.
    pub residual: Option<Residual>,
    /// What is applied to the output.
    pub activation: Activation,
    /// Rotates neighbouring values of the output, after the activation.
    pub rotary: Option<Rotary>,
    /// How rows lie in the input or the output.
    pub patches: Patches,
    /// How many matrices and biases there are, one after another; row `i` takes number `i` modulo this one. 0 is 1.
    pub groups: usize,
}

/// Whether [`linear`] can do it with a matrix of these sides: 4 must divide them, as it is read four values at a time.
pub fn supports_linear(sides: &[usize]) -> bool {
    sides.iter().all(|side| side.is_multiple_of(4))
}

/// activation((x + plus) weight + bias + residual), rotated: `x` as rows of `k` values, `weight` `[k, n]` of f32 or f16, and
/// `bias` `[n]`, to `[rows, n]`. With [`LinearOptions::groups`] there are as many of both, `weight` being `[groups * k, n]`
/// and `bias` `[groups * n]`. [`supports_linear`] says which widths can be.
///
/// It is `torch.nn.Linear`, and over channels-last pictures a convolution of kernel 1, or one that [`Patches`] names.
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

/// activation((x - mean) / √(variance + eps) · weight + bias) over the last dimension: `x` `[..., c]`, `weight` and `bias`
/// `[c]`, to the shape of `x`. 4 divides `c`.
///
/// It is `torch.nn.LayerNorm`, and over channels-last pictures `sam2.modeling.sam2_utils.LayerNorm2d`.
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

/// All heads of queries, keys or values: a part of each row of a matrix.
#[derive(Clone, Debug)]
pub struct Heads {
    /// `[tokens, width]`, all grids one after another; `width` may be more than that of all heads.
    pub tokens: Tensor<2>,
    /// The value of a row at which the first head begins.
    pub offset: usize,
}

/// softmax(q kᵀ / √d) v of each head, to `[batch * queries, heads * width]`. Where windows go over a grid's edges
/// ([`AttentionShape::pads`]), `padding` is the row that all tokens beyond them have: keys and values lie in it as in the
/// rows of `k` and `v`. Elsewhere it is not read. 4 divides all widths and offsets.
///
/// It is the attention of `sam2.modeling.backbones.hieradet.MultiScaleAttention` and
/// `sam2.modeling.sam.transformer.Attention`, between their projections.
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

/// The largest of each 2x2 pixels (`sam2.modeling.backbones.hieradet.do_pool`): `x` `[b, h, w, c]` to `[b, h/2, w/2, c]`. `h`
/// and `w` are even, and 4 divides `c`.
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let dims = x.dims();
    let [b, h, w, c] = dims;
    launch(crate::max_pool(dims), vec![raw(x)], [b, h / 2, w / 2, c])
}

/// hyper · pixelsᵀ: each mask token's weights `hyper` `[b, 4, c]` with each pixel's features `pixels` `[b, p, c]`, to logits
/// `[b, 4, p]` (the last step of `sam2.modeling.sam.mask_decoder.MaskDecoder.predict_masks`). 4 divides `c`.
pub fn mask_product(hyper: Tensor<3>, pixels: Tensor<3>) -> Tensor<3> {
    let [b, p, c] = pixels.dims();
    launch(
        crate::mask_product(b, p, c),
        vec![raw(hyper), raw(pixels)],
        [b, 4, p],
    )
}

/// Whether [`patch_embed`] can do it with a picture of this height and width, and to `c` channels: 4 must divide the height,
/// 16 the width, and 8 the channels.
pub fn supports_patch_embed([h, w]: [usize; 2], c: usize) -> bool {
    h.is_multiple_of(4) && w.is_multiple_of(16) && c.is_multiple_of(8)
}

/// A 7x7 convolution of stride 4 and padding 3: pictures `[b, 3, h, w]` by `weight` `[3 * 7 * 7, c]` and `bias` `[c]` to
/// tokens `[b, h/4, w/4, c]`, to which `position` `[1, h/4, w/4, c]` is added. [`supports_patch_embed`] says which sizes can
/// be. It is `sam2.modeling.backbones.utils.PatchEmbed`.
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

/// softmax(q kᵀ) v of one head: `q` `[n, d]`, already scaled by 1 / √d, `k` `[m, d]` and `v` `[m, e]`, to `[n, e]`. 4 divides
/// `d` and `e`. It is the attention of `sam2.modeling.sam.transformer.RoPEAttention`, between its projections.
pub fn wide_attention(adapter: Adapter, q: Tensor<2>, k: Tensor<2>, v: Tensor<2>) -> Tensor<2> {
    let ([n, d], [m, e]) = (q.dims(), v.dims());
    let kernel = crate::wide_attention([n, m], d, e, adapter.class);
    launch(kernel, vec![raw(q), raw(k), raw(v)], [n, e])
}

/// A convolution of each channel alone, with zeros beyond the picture's edges: `x` `[b, h, w, c]`, `weight`
/// `[side, side, c]` and `bias` `[c]`, to `[b, h, w, c]`. `side` is odd, and 4 divides `c`.
///
/// It is `torch.nn.Conv2d` with as many groups as channels, as in `sam2.modeling.memory_encoder.CXBlock`.
pub fn depthwise(x: Tensor<4>, weight: &Tensor<3>, bias: &Tensor<1>) -> Tensor<4> {
    let dims = x.dims();
    let kernel = crate::depthwise(dims, weight.dims()[0]);
    launch(kernel, vec![raw(x), raw(weight.clone()), raw(bias.clone())], dims)
}

/// The memory encoder's first step: `logits` `[1, side, side]`, resized to `size` pixels a side (bilinear, corners not
/// aligned) and scaled by `mask`, through a 3x3 convolution of stride 2 and padding 1, layer normalisation over channels
/// and GELU, to `[1, size / 2, size / 2, 4]`. `weight` is `[9, 4]`. `affine` `[3, 4]` is the convolution's bias, then weight
/// and bias of the normalisation, whose epsilon is `eps`. `size` is even.
///
/// It is the beginning of `sam2.modeling.sam2_base.SAM2Base._encode_new_memory` and the first layers of
/// `sam2.modeling.memory_encoder.MaskDownSampler`.
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

/// The last step of a memory: `x` `[rows, c]`, plus `absent` `[c]` if `score` `[1]`, the object's logit, is not positive,
/// rounded to the nearest numbers of bfloat16, in which `sam2.sam2_video_predictor` keeps memories. To f32 `[rows, c]`. 4
/// divides `c`.
pub fn finish_memory(x: Tensor<2>, absent: Tensor<1>, score: Tensor<1>) -> Tensor<2> {
    let [rows, c] = x.dims();
    let kernel = crate::finish_memory(rows, c);
    launch(kernel, vec![raw(x), raw(absent), raw(score)], [rows, c])
}

/// Parts that [`join`] joins, and the position encodings that are added to them.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Of each part its rows `[r, c]`, and which row of [`Positions::temporal`] is added to all of them.
    pub parts: Vec<(Tensor<2>, Option<usize>)>,
    /// The position encodings; without them the parts are joined as they are.
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

/// All parts of all groups one after another, with their position encodings: `[sum of rows, c]`. There is at least one
/// part, and 4 divides `c`. It is the bank of `sam2.modeling.sam2_base.SAM2Base._prepare_memory_conditioned_features`.
pub fn join(groups: &[Joined]) -> Tensor<2> {
    let parts = || groups.iter().flat_map(|group| &group.parts);
    let rows = parts().map(|(part, _)| part.dims()[0]).sum();
    let (some, _) = parts().next().expect("a part");
    let c = some.dims()[1];
    let out = unwritten(&raw(some.clone()), [rows, c].into());
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

/// Which of `masks` `[b, 4, pixels]` answers each prompt: its number and its predicted IoU, `[b, 2]`. With `stable`, which is
/// `(delta, threshold)`, it is the first mask where that is stable: where the area of its logits above `delta` is at least
/// `threshold` times that above `-delta`. Else it is that of the other three whose predicted IoU, of `ious` `[b, 4]`, is
/// best (`sam2.modeling.sam.mask_decoder.MaskDecoder._dynamic_multimask_via_stability`).
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

/// Of `values` `[b, count, p]` the one that `choices` names, as [`choose`] gives it, or without them the first: `[b, p]`.
/// `hidden` is scores `[b, 1]` and values `[q]`: where a score is not positive, value `i` of the row is instead value `i`
/// modulo `q` of these.
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
