//! A softmax that is updated key by key, so that no kernel stores all scores (Milakov and Gimelshein, "Online normalizer
//! calculation for softmax", 2018).

/// WGSL that adds the next `keys` keys to the softmax of query `i`. It reads their scores from `s{i}_0`, `s{i}_1`, …, and
/// writes their weights to `p{i}_0`, `p{i}_1`, …, relative to `m{i}`, the largest score so far. `l{i}` is the sum of the
/// weights. Sums with earlier weights must then be multiplied by `f{i}`.
pub(crate) fn next_keys(i: usize, keys: usize) -> String {
    let largest = (0..keys).fold(format!("m{i}"), |text, j| format!("max({text}, s{i}_{j})"));
    let weights: String = (0..keys)
        .map(|j| format!("      let p{i}_{j} = exp(s{i}_{j} - n{i});\n"))
        .collect();
    let sum = (0..keys).fold(format!("l{i} * f{i}"), |text, j| format!("{text} + p{i}_{j}"));
    format!(
        "      let n{i} = {largest};
      let f{i} = exp(m{i} - n{i});
      m{i} = n{i};
{weights}      l{i} = {sum};"
    )
}
