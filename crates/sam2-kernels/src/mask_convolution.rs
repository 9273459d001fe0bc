//! The first step of the memory encoder. A mask's logits are resized to the network's picture, converted to
//! probabilities or bits, and scaled (`sam2.modeling.sam2_base.SAM2Base._encode_new_memory`). Then follow a 3x3
//! convolution of stride 2 to four channels, layer normalisation and GELU (the first layers of
//! `sam2.modeling.memory_encoder.MaskDownSampler`). No tensor of the picture's size is ever written.

use crate::activation::Activation;
use crate::kernel::{Input, Kernel, entry, info, vec4};

/// The conversion of logits to the input of the convolution: value · scale + bias.
#[derive(Clone, Copy, Debug)]
pub struct MaskScale {
    /// Whether a pixel's value is 1 if its logit is positive and else 0, instead of its probability.
    pub binarize: bool,
    /// The factor of the value (`sigmoid_scale_for_mem_enc`).
    pub scale: f32,
    /// The number that is added after that (`sigmoid_bias_for_mem_enc`).
    pub bias: f32,
}

/// `logits` `[side, side]`, resized to `[size, size]` (bilinear, corners not aligned), `weight` `[3, 3, 4]` and
/// `affine` `[3, 4]`, to `[size / 2, size / 2, 4]`. The rows of `affine` are the convolution's bias, and the weight and
/// bias of the normalisation over the four channels, whose epsilon is `eps`. `size` is even.
pub fn mask_convolution(side: usize, size: usize, mask: MaskScale, eps: f64) -> Kernel {
    assert!(size.is_multiple_of(2), "{size} pixels, which must be even");
    let count = size * size / 4;
    let step = side as f64 / size as f64;
    let MaskScale {
        binarize,
        scale,
        bias,
    } = mask;
    Kernel {
        key: format!("mask_convolution {mask:?} {eps:e} {step}"),
        inputs: vec![Input("logits", "f32"), vec4("weight"), vec4("affine")],
        output: "vec4<f32>",
        info: info([("invocations", count), ("side", side), ("size", size)]),
        invocations: count,
        body: Box::new(move || {
            let value = match binarize {
                true => "f32(logit > 0.0)",
                false => "1.0 / (1.0 + exp(-logit))",
            };
            format!(
                "{gelu}
fn pixel(y: u32, x: u32) -> f32 {{
  let side = info.side;
  let at = max((vec2<f32>(vec2<u32>(y, x)) + 0.5) * {step:?} - 0.5, vec2<f32>(0.0));
  let low = min(vec2<u32>(at), vec2<u32>(side - 1u));
  let high = min(low + 1u, vec2<u32>(side - 1u));
  let part = at - vec2<f32>(low);
  let upper = mix(logits[low.x * side + low.y], logits[low.x * side + high.y], part.y);
  let lower = mix(logits[high.x * side + low.y], logits[high.x * side + high.y], part.y);
  let logit = mix(upper, lower, part.x);
  return {value} * {scale:?} + {bias:?};
}}
{entry}  let size = info.size;
  if (index >= info.invocations) {{ return; }}
  let y = index / (size / 2u) * 2u;
  let x = index % (size / 2u) * 2u;
  var sum = affine[0];
  for (var tap = 0u; tap < 9u; tap++) {{
    let dy = tap / 3u;
    let dx = tap % 3u;
    // Beyond the top and the left edge there are zeros. The other two edges are never crossed.
    if (y + dy == 0u || x + dx == 0u) {{ continue; }}
    sum += weight[tap] * pixel(y + dy - 1u, x + dx - 1u);
  }}
  let mean = dot(sum, vec4<f32>(0.25));
  let centred = sum - mean;
  let factor = 1.0 / sqrt(dot(centred, centred) / 4.0 + {eps:e});
  out[index] = activate(centred * factor * affine[1] + affine[2]);
}}
",
                gelu = Activation::Gelu.text(),
                entry = entry(),
            )
        }),
    }
}
