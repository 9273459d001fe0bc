//! The mask decoder's last product, of each mask token's weights with every pixel's features
//! (`sam2.modeling.sam.mask_decoder.MaskDecoder.predict_masks`).

use crate::kernel::{Kernel, entry, info, vec4};

/// `hyper` `[b, 4, c]` and `pixels` `[b, p, c]` to logits `[b, 4, p]`. `c` is a multiple of 4.
pub fn mask_product(b: usize, p: usize, c: usize) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels, which 4 must divide");
    Kernel {
        key: "mask_product".into(),
        inputs: vec![vec4("hyper"), vec4("pixels")],
        output: "f32",
        info: info([("invocations", b * p), ("c", c / 4), ("p", p)]),
        invocations: b * p,
        body: Box::new(|| {
            entry()
                + "
  let c = info.c;
  let p = info.p;
  if (index >= info.invocations) { return; }
  let token = index / p * 4u * c;
  var sums = vec4<f32>(0.0);
  for (var i = 0u; i < c; i++) {
    let pixel = pixels[index * c + i];
    let at = token + i;
    sums += vec4<f32>(dot(pixel, hyper[at]), dot(pixel, hyper[at + c]),
                      dot(pixel, hyper[at + 2u * c]), dot(pixel, hyper[at + 3u * c]));
  }
  let to = index / p * 4u * p + index % p;
  out[to] = sums.x;
  out[to + p] = sums.y;
  out[to + 2u * p] = sums.z;
  out[to + 3u * p] = sums.w;
}
"
        }),
    }
}
