//! The decoder's last product: each mask token's weights with every pixel's features.

use crate::kernel::{Kernel, entry, fours, info};

/// `hyper` `[b, 4, c]` and `pixels` `[b, p, c]` to logits `[b, 4, p]`; 4 divides `c`.
pub fn mask_product(b: usize, p: usize, c: usize) -> Kernel {
    assert!(c.is_multiple_of(4), "{c} channels");
    Kernel {
        key: "mask_product".into(),
        inputs: vec![fours("hyper"), fours("pixels")],
        output: "f32",
        info: info(&[b * p, c / 4, p]),
        invocations: b * p,
        body: Box::new(|| {
            entry()
                + "
  let c = info[0].y;
  let p = info[0].z;
  if (index >= info[0].x) { return; }
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
