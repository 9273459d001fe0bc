//! Attention inside windows, which are copied out of the picture and back.

use burn::tensor::Tensor;

use crate::WindowedAttention;

/// [`crate::windowed_attention`], with `attend` for the attention of tensors `[windows, heads, n, width]`, and
/// `max_pool` for the pooling of queries.
pub(crate) fn windowed_attention(
    qkv: Tensor<4>,
    padding: Tensor<1>,
    attention: WindowedAttention,
    attend: impl Fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>,
    max_pool: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let [b, h, w, three_c] = qkv.dims();
    let (c, heads) = (three_c / 3, attention.num_heads);
    let (window_h, window_w) = match attention.window {
        0 => (h, w),
        size => (size, size),
    };
    let (rows, columns) = (h.div_ceil(window_h), w.div_ceil(window_w));
    let padded = pad(qkv, padding, [rows * window_h, columns * window_w]);
    let windows = partition(padded, [window_h, window_w]);
    let count = b * rows * columns;

    // `[count, heads, n, width]`, as views, so that nothing is copied.
    let split = |x: Tensor<4>| {
        let [_, h, w, c] = x.dims();
        x.reshape([count, h * w, heads, c / heads]).swap_dims(1, 2)
    };
    let part = |i: usize| {
        let parts: Tensor<4> = windows
            .clone()
            .reshape([count, window_h * window_w, 3 * heads, c / heads]);
        parts.narrow(2, i * heads, heads).swap_dims(1, 2)
    };
    let (q, step) = match attention.pools {
        true => (split(max_pool(windows.clone().narrow(3, 0, c))), 2),
        false => (part(0), 1),
    };
    let x = attend(q, part(1), part(2));
    let (window_h, window_w) = (window_h / step, window_w / step);
    let windows = x.swap_dims(1, 2).reshape([count, window_h, window_w, c]);
    let x = unpartition(windows, [b, rows, columns]);
    match [rows * window_h, columns * window_w] == [h / step, w / step] {
        true => x,
        false => x.slice([0..b, 0..h / step, 0..w / step, 0..c]),
    }
}

/// Pads `[b, h, w, c]` with tokens `padding` `[c]` at the bottom and the right, up to these sides.
fn pad(x: Tensor<4>, padding: Tensor<1>, sides: [usize; 2]) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    if [h, w] == sides {
        return x;
    }
    let beyond = |h: usize, w: usize| padding.clone().reshape([1, 1, 1, c]).expand([b, h, w, c]);
    let mut x = x;
    if sides[1] > w {
        x = Tensor::cat(vec![x, beyond(h, sides[1] - w)], 2);
    }
    if sides[0] > h {
        x = Tensor::cat(vec![x, beyond(sides[0] - h, sides[1])], 1);
    }
    x
}

/// Divides `[b, rows * h, columns * w, c]` into windows `[b * rows * columns, h, w, c]`.
pub(crate) fn partition(x: Tensor<4>, [window_h, window_w]: [usize; 2]) -> Tensor<4> {
    let [b, h, w, c] = x.dims();
    let (rows, columns) = (h / window_h, w / window_w);
    if columns == 1 {
        return x.reshape([b * rows, window_h, window_w, c]);
    }
    let windows: Tensor<6> = x
        .reshape([b, rows, window_h, columns, window_w, c])
        .swap_dims(2, 3);
    windows.reshape([b * rows * columns, window_h, window_w, c])
}

/// The inverse of [`partition`].
pub(crate) fn unpartition(x: Tensor<4>, [b, rows, columns]: [usize; 3]) -> Tensor<4> {
    let [_, h, w, c] = x.dims();
    if columns == 1 {
        return x.reshape([b, rows * h, w, c]);
    }
    let windows: Tensor<6> = x.reshape([b, rows, columns, h, w, c]).swap_dims(2, 3);
    windows.reshape([b, rows * h, columns * w, c])
}
