//! The kernels as functions of burn's tensors. Other operations that layers need, such as reshaping, are burn's.
//!
//! Tensors are f32, unless the documentation says otherwise, and are copied first if they are not contiguous. The
//! [`Adapter`] is that of the tensors' device, and decides between the variants of a kernel.
//!
//! # Panics
//! All of these functions panic if a tensor is not on a `wgpu` device, has another number format, or has a width that the
//! function's documentation excludes.

mod launch;

use burn::backend::Cube;
use burn::tensor::{DType, Tensor};
/// As long as a value of this type exists, kernels are compiled and not run.
pub use burn_cubecl::cubecl::dry_run::DryRun;
use burn_cubecl::kernel::into_contiguous_aligned;
use burn_cubecl::tensor::CubeTensor;

use self::launch::{launch, launch_into, launch_raw, raw, raw_of, unwritten};
use crate::{
    Activation, Adapter, AttentionShape, HeadRows, JOINED, KeyPart, LinearShape, MaskScale, Part, Patches,
    Picked, ResidualShape, SUMS, Steps,
};

/// The number formats of [`linear`]'s matrices.
const MATRIX: &[DType] = &[DType::F32, DType::F16];

/// Makes an f32 or f16 tensor contiguous. It is only copied if it is not so already.
pub fn contiguous<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(raw_of(x, MATRIX))
}

/// Launches the kernel that burn launches before it reads back a tensor that is not contiguous. In a [`DryRun`] this
/// compiles it.
pub fn before_reading<const D: usize>(x: Tensor<D>) {
    into_contiguous_aligned(x.try_into_primitive::<Cube>().expect("a tensor on a GPU"));
}

/// A tensor that is added to a linear layer's output before the activation.
#[derive(Clone, Debug)]
pub enum Residual {
    /// `[r, n]`: value `i` modulo `r n` is added to value `i` of the output.
    Repeated(Tensor<2>),
    /// A picture `[b, h, w, n]`, each pixel of which is added to four pixels of the output `[b, 2h, 2w, n]`
    /// (nearest-neighbour upsampling).
    Coarser(Tensor<4>),
}

/// A rotary position encoding of a linear layer's output (Su et al., "RoFormer", 2021).
#[derive(Clone, Debug)]
pub struct Rotary {
    /// `[p, n]`: the cosine and sine of an angle for every two neighbouring values of the output, which are rotated by
    /// it like a point. Row `i` of the output uses row `i` modulo `p`.
    pub table: Tensor<2>,
    /// The number of the output's first rows that are rotated.
    pub rows: usize,
}

/// The options of [`linear`].
#[derive(Clone, Debug, Default)]
pub struct LinearOptions {
    /// `[p, k]`: row `i` modulo `p` is added to the input's row `i`.
    pub plus: Option<Tensor<2>>,
    /// The tensor that is added to the output before the activation.
    pub residual: Option<Residual>,
    /// The function that is applied to the output.
    pub activation: Activation,
    /// Rotates neighbouring values of the output, after the activation.
    pub rotary: Option<Rotary>,
    /// The layout of rows in the input or the output.
    pub patches: Patches,
    /// The number of matrices and of biases, which are stored one after another. Row `i` uses number `i` modulo this
    /// number. 0 means 1.
    pub groups: usize,
}

/// Whether [`linear`] supports a matrix of these sides. They must be multiples of 4, because it is read four values at a
/// time.
pub fn supports_linear(sides: &[usize]) -> bool {
    sides.iter().all(|side| side.is_multiple_of(4))
}

/// activation((x + plus) weight + bias + residual), then rotated: `x` as rows of `k` values, `weight` `[k, n]` of f32 or
/// f16, and `bias` `[n]`, to `[rows, n]`. With [`LinearOptions::groups`], `weight` is `[groups * k, n]` and `bias`
/// `[groups * n]`. [`supports_linear`] says which widths are supported.
///
/// This is `torch.nn.Linear`, or on channels-last pictures a convolution of kernel 1 or one that [`Patches`] describes.
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
        // A value belongs to several patches.
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

/// activation((x - mean) / √(variance + eps) · weight + bias) over the last dimension: `x` `[..., c]`, `weight` and
/// `bias` `[c]`, to the shape of `x`. `c` is a multiple of 4.
///
/// This is `torch.nn.LayerNorm`, or on channels-last pictures `sam2.modeling.sam2_utils.LayerNorm2d`.
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

/// The queries, keys or values of all heads, which are a part of each row of a matrix.
#[derive(Clone, Debug)]
pub struct Heads {
    /// `[tokens, width]`, with the grids one after another. `width` may be greater than the width of all heads together.
    pub tokens: Tensor<2>,
    /// The index in a row at which the first head begins.
    pub offset: usize,
}

/// softmax(q kᵀ / √d) v of each head, to `[batch * queries, heads * width]`. If windows extend beyond a grid's edges
/// ([`AttentionShape::pads`]), `padding` is the row of all padding tokens, with keys and values at the offsets that they
/// have in the rows of `k` and `v`. If not, it is not read. All widths and offsets are multiples of 4.
///
/// This is the attention of `sam2.modeling.backbones.hieradet.MultiScaleAttention` and
/// `sam2.modeling.sam.transformer.Attention`, between their projections.
pub fn attention(
    adapter: Adapter,
    shape: AttentionShape,
    q: Heads,
    k: Heads,
    v: Heads,
    padding: Option<&Tensor<1>>,
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
        inputs.push(raw(padding
            .expect("the padding of windows that extend beyond an edge")
            .clone()));
    }
    launch(kernel, inputs, [shape.batch * queries, shape.heads * shape.width])
}

/// The maximum of each 2x2 pixels (`sam2.modeling.backbones.hieradet.do_pool`): `x` `[b, h, w, c]` to `[b, h/2, w/2,
/// c]`. `h` and `w` are even, and `c` is a multiple of 4.
pub fn max_pool(x: Tensor<4>) -> Tensor<4> {
    let dims = x.dims();
    let [b, h, w, c] = dims;
    launch(crate::max_pool(dims), vec![raw(x)], [b, h / 2, w / 2, c])
}

/// hyper pixelsᵀ: the product of each mask token's weights `hyper` `[b, 4, c]` with each pixel's features `pixels` `[b,
/// p, c]`, to logits `[b, 4, p]` (the last product of `sam2.modeling.sam.mask_decoder.MaskDecoder.predict_masks`). `c`
/// is a multiple of 4.
pub fn mask_product(hyper: Tensor<3>, pixels: Tensor<3>) -> Tensor<3> {
    let [b, p, c] = pixels.dims();
    launch(
        crate::mask_product(b, p, c),
        vec![raw(hyper), raw(pixels)],
        [b, 4, p],
    )
}

/// Whether [`patch_embed`] supports a picture of this height and width, and `c` channels. The height must be a multiple
/// of 4, the width of 16, and the channels of 8.
pub fn supports_patch_embed([h, w]: [usize; 2], c: usize) -> bool {
    h.is_multiple_of(4) && w.is_multiple_of(16) && c.is_multiple_of(8)
}

/// A 7x7 convolution of stride 4 and padding 3: pictures `[b, 3, h, w]` by `weight` `[3 * 7 * 7, c]` and `bias` `[c]`
/// to tokens `[b, h/4, w/4, c]`, to which `position` `[1, h/4, w/4, c]` is added. [`supports_patch_embed`] says which
/// sizes are supported. This is `sam2.modeling.backbones.utils.PatchEmbed`.
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

/// softmax(q kᵀ) v of one head: `q` `[n, d]`, already scaled by 1 / √d, `k` `[m, d]` and `v` `[m, e]`, to `[n, e]`. `d`
/// and `e` are multiples of 4. This is the attention of `sam2.modeling.sam.transformer.RoPEAttention`, between its
/// projections.
///
/// `keys` are the pairs `k` and `v`: one pair, or several whose rows follow each other. Each is made when the kernels of
/// those before have been launched.
pub fn wide_attention(
    adapter: Adapter,
    q: Tensor<2>,
    keys: impl ExactSizeIterator<Item = (Tensor<2>, Tensor<2>)>,
) -> Tensor<2> {
    let ([n, d], count) = (q.dims(), keys.len());
    let mut sums: Option<Tensor<2>> = None;
    for (i, (k, v)) in keys.enumerate() {
        let part = KeyPart {
            first: i == 0,
            last: i + 1 == count,
        };
        let [m, e] = v.dims();
        let kernel = crate::wide_attention([n, m], d, e, part, adapter.class);
        let mut inputs = vec![raw(q.clone()), raw(k), raw(v)];
        inputs.extend(sums.map(raw));
        sums = Some(launch(kernel, inputs, [n, part.row(e)]));
    }
    sums.expect("at least one pair of keys and values")
}

/// A convolution, padded with zeros, and an activation: `x` `[b, h, w, input]`, `weight` `[side, side, input, c]` and `bias`
/// `[c]`, to `[b, h / stride, w / stride, c]`. The stride divides `h` and `w`, and `c` is a multiple of 4. It is made for few
/// inputs (`torch.nn.Conv2d`).
pub fn convolution(x: Tensor<4>, weight: &Tensor<4>, bias: &Tensor<1>, steps: Steps) -> Tensor<4> {
    let ([b, h, w, _], [side, _, _, c]) = (x.dims(), weight.dims());
    let kernel = crate::convolution(x.dims(), side, c, steps);
    let inputs = vec![raw(x), raw(weight.clone()), raw(bias.clone())];
    launch(kernel, inputs, [b, h / steps.stride, w / steps.stride, c])
}

/// A depthwise convolution, padded with zeros, and an activation: `x` `[b, h, w, c]`, `weight` `[side, side, c]` and `bias`
/// `[c]`, to `[b, h / stride, w / stride, c]`. The stride divides `h` and `w`, and `c` is a multiple of 4.
///
/// This is `torch.nn.Conv2d` with as many groups as channels, as in `sam2.modeling.memory_encoder.CXBlock`.
pub fn depthwise(x: Tensor<4>, weight: &Tensor<3>, bias: &Tensor<1>, steps: Steps) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    let kernel = crate::depthwise(x.dims(), weight.dims()[0], steps);
    let inputs = vec![raw(x), raw(weight.clone()), raw(bias.clone())];
    launch(kernel, inputs, [b, h / steps.stride, w / steps.stride, c])
}

/// The mean of each channel over all pixels: `x` `[b, h, w, c]` to `[b, c]`. `c` is a multiple of 4.
pub fn channel_means(x: Tensor<4>) -> Tensor<2> {
    /// The number of sums of a picture that are computed independently.
    const PARTS: usize = 256;
    let [b, h, w, c] = x.dims();
    let parts = PARTS.min(h * w);
    let sums = crate::channel_sums([b, h * w, c], parts, 1);
    let sums = launch_raw(sums, vec![raw(x)], [b, parts, c].into());
    launch(crate::channel_sums([b, parts, c], 1, h * w), vec![sums], [b, c])
}

/// `x` `[b, h, w, c]`, each channel of each picture multiplied by one of `factors` `[b, c]`. `c` is a multiple of 4.
pub fn scale_channels(x: Tensor<4>, factors: Tensor<2>) -> Tensor<4> {
    let dims = x.dims();
    let [b, h, w, c] = dims;
    let kernel = crate::scale_channels([b, h * w, c]);
    launch(kernel, vec![raw(x), raw(factors)], dims)
}

/// The first step of the memory encoder: `logits` `[1, side, side]` to `[1, size / 2, size / 2, 4]`. They are resized to
/// `[size, size]` (bilinear, corners not aligned) and scaled by `mask`. Then follow a 3x3 convolution of stride 2 and
/// padding 1, layer normalisation over channels, and GELU. `weight` is `[9, 4]`. The rows of `affine` `[3, 4]` are the
/// convolution's bias, and the weight and bias of the normalisation, whose epsilon is `eps`. `size` is even.
///
/// This is the beginning of `sam2.modeling.sam2_base.SAM2Base._encode_new_memory` and the first layers of
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

/// The last step of encoding a memory: `x` `[rows, c]`, plus `absent` `[c]` if the object score logit `score` `[1]` is
/// not positive, is rounded to bfloat16, in which `sam2.sam2_video_predictor` keeps memories. The result is f32,
/// `[rows, c]`. `c` is a multiple of 4.
pub fn finish_memory(x: Tensor<2>, absent: Tensor<1>, score: Tensor<1>) -> Tensor<2> {
    let [rows, c] = x.dims();
    let kernel = crate::finish_memory(rows, c);
    launch(kernel, vec![raw(x), raw(absent), raw(score)], [rows, c])
}

/// Parts that [`join`] joins, with the position encodings that are added to them.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The rows `[r, c]` of each part, and the row of [`Positions::temporal`] that is added to all of them.
    pub parts: Vec<(Tensor<2>, Option<usize>)>,
    /// The position encodings; `None` to join the parts as they are.
    pub positions: Option<Positions>,
}

/// The position encodings of rows, in space and time.
#[derive(Clone, Debug)]
pub struct Positions {
    /// `[n, c]`: row `i` modulo `n` is added to each part's row `i`.
    pub spatial: Tensor<2>,
    /// `[t, c]`: one row is added to a whole part.
    pub temporal: Tensor<2>,
}

/// Joins all parts of all groups, with their position encodings added: `[sum of rows, c]`. There is at least one part,
/// and `c` is a multiple of 4. This is the memory bank of
/// `sam2.modeling.sam2_base.SAM2Base._prepare_memory_conditioned_features`.
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

/// Chooses one of `masks` `[b, 4, pixels]` for each prompt: its index and its predicted IoU, `[b, 2]`. With `stable`,
/// which is `(delta, threshold)`, the first mask is chosen if it is stable: if the area of its logits above `delta` is
/// at least `threshold` times that above `-delta`. Otherwise, the one of the other three with the best predicted IoU in
/// `ious` `[b, 4]` is chosen (`sam2.modeling.sam.mask_decoder.MaskDecoder._dynamic_multimask_via_stability`).
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

/// Takes one of `values` `[b, count, p]` for each prompt: the one in `choices`, the result of [`choose`], or the first
/// one without them: `[b, p]`. `hidden` is scores `[b, 1]` and values `[q]`: if a prompt's score is not positive, value
/// `i` is replaced by value `i` modulo `q` of these.
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
