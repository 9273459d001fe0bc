//! The heads that read a patch's features: its class embedding, its box and its objectness.

use burn::tensor::Tensor;
use sam2_ops::{
    Activation, Implementation, Linear, LinearOptions, LinearParameters, Mlp, MlpParameters, Parameter,
    Weights, WeightsError,
};

/// `Owlv2ClassPredictionHead`.
#[derive(Debug)]
pub struct ClassHead {
    dense0: Linear,
    logit_shift: Linear,
    logit_scale: Linear,
    implementation: Implementation,
}

/// What [`ClassHead`] computes of a picture's patches, whatever is looked for.
#[derive(Clone, Debug)]
pub struct ClassFeatures {
    /// `[n, d]`: embeddings, which are also queries for objects like them.
    pub embeds: Tensor<2>,
    /// `[n, d]`: the same with a length of 1.
    normalised: Tensor<2>,
    /// `[n, 1]`.
    logit_shift: Tensor<2>,
    /// `[n, 1]`, positive.
    logit_scale: Tensor<2>,
}

/// Divides each row by its length.
fn normalised(x: Tensor<2>) -> Tensor<2> {
    let length = (x.clone() * x.clone()).sum_dim(1).sqrt();
    x / (length + 1e-6)
}

impl ClassHead {
    /// Takes `dense0`, `logit_shift` and `logit_scale`, from features of width `c` to embeddings of width `d`.
    pub(crate) fn load(mut weights: Weights, c: usize, d: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            dense0: Linear::load(weights.at("dense0"), c, d)?,
            logit_shift: Linear::load(weights.at("logit_shift"), c, 1)?,
            logit_scale: Linear::load(weights.at("logit_scale"), c, 1)?,
            implementation: weights.implementation().clone(),
        })
    }

    /// Features `[n, c]` of a picture's patches.
    pub fn features(&self, image_embeds: Tensor<2>) -> ClassFeatures {
        let embeds = self.dense0.forward(image_embeds.clone());
        let scale = self.logit_scale.forward(image_embeds.clone());
        ClassFeatures {
            normalised: normalised(embeds.clone()),
            embeds,
            logit_shift: self.logit_shift.forward(image_embeds),
            // elu(x) + 1
            logit_scale: scale.clone().clamp_min(0.0) + scale.clamp_max(0.0).exp(),
        }
    }

    /// The logit of each patch for each query `[q, d]`, an embedding of a text or of a patch: `[n, q]`.
    pub fn logits(&self, features: &ClassFeatures, queries: Tensor<2>) -> Tensor<2> {
        let ([q, d], device) = (queries.dims(), queries.device());
        // A product with the queries is a linear layer without a bias. The GPU's takes widths that are multiples of 4.
        let width = q.next_multiple_of(4);
        let mut rows = normalised(queries);
        if width > q {
            rows = Tensor::cat(vec![rows, Tensor::zeros([width - q, d], &device)], 0);
        }
        let product = self.implementation.linear(LinearParameters {
            weight: Parameter::new(rows),
            bias: Parameter::new(Tensor::zeros([width], &device)),
        });
        let cosines = product.forward(features.normalised.clone(), LinearOptions::default());
        (cosines.narrow(1, 0, q) + features.logit_shift.clone()) * features.logit_scale.clone()
    }
}

/// `Owlv2BoxPredictionHead`: an MLP from features of width `c` to `output` numbers.
///
/// # Errors
/// A tensor is missing or has another shape.
pub(crate) fn load_box_head(mut weights: Weights, c: usize, output: usize) -> Result<Mlp, WeightsError> {
    let (names, widths) = (
        ["dense0", "dense1", "dense2"].map(str::to_owned),
        [c, c, c, output],
    );
    let parameters = MlpParameters::load(&mut weights, &names, &widths, Activation::Gelu)?;
    Ok(Mlp::new(&weights, parameters, widths[widths.len() - 1]))
}

/// The bias of the boxes of a grid of `side` x `side` patches, `[side * side, 4]`: that of the centre is the patch's lower
/// right corner, that of the size is the patch's, both as logits (`compute_box_bias`).
pub(crate) fn box_bias(side: usize) -> Vec<f32> {
    let logit = |x: f32| (x + 1e-4).ln() - (1.0 - x + 1e-4).ln();
    let size = logit(1.0 / side as f32);
    let corner = |i: usize| logit((i + 1) as f32 / side as f32);
    let patches = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    patches
        .flat_map(|(x, y)| [corner(x), corner(y), size, size])
        .collect()
}
