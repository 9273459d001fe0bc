//! A softmax that is kept up as keys come, so that no kernel needs all scores at once.

/// For query `i` the next so many keys, whose scores are `s{i}_0` and on: they become weights `p{i}_0` and on, relative to
/// the largest score so far, `m{i}`. The weights' sum `l{i}` goes along; what was added up before is to be multiplied
/// with `f{i}`.
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
