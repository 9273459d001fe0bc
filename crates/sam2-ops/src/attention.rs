//! Attention among a few tokens, and between these tokens and a picture (`sam2.modeling.sam.transformer.Attention`).

use std::sync::OnceLock;

use burn::tensor::Tensor;

use crate::{LayerNorm, LinearParameters, Prepared, Weights, WeightsError};

/// Multi-head attention with projections: `out_proj(softmax(q kᵀ / √(internal / heads)) v)` with `q = q_proj(…)`,
/// `k = k_proj(…)`, `v = v_proj(…)`. The width `internal` of the projections may be smaller than the width `dim` of the
/// tokens.
///
/// Positions are added to queries and keys, never to values.
#[derive(Debug)]
pub struct Attention {
    operation: Prepared<dyn AttentionOperation>,
}

/// The parameters of an [`Attention`].
#[derive(Clone, Debug)]
pub struct AttentionParameters {
    /// `[internal, dim]`.
    pub q_proj: LinearParameters,
    /// `[internal, dim]`.
    pub k_proj: LinearParameters,
    /// `[internal, dim]`.
    pub v_proj: LinearParameters,
    /// `[dim, internal]`.
    pub out_proj: LinearParameters,
    /// The number of heads, which share `internal` equally.
    pub num_heads: usize,
}

/// The tokens of a picture, for attention between them and a few other tokens.
#[derive(Clone, Debug)]
pub struct Picture {
    /// `[b or 1, m, dim]`.
    pub tokens: Tensor<3>,
    /// `[1, m, dim]`.
    pub positions: Tensor<3>,
    /// Projections of the picture that were computed in advance, to be shared by many prompts.
    pub projections: Option<Projections>,
    positioned: OnceLock<Tensor<3>>,
}

/// The projections of a picture by two attentions: one from tokens to the picture, and one from the picture to tokens.
#[derive(Clone, Debug)]
pub struct Projections {
    /// The keys of the attention to the picture: `[b or 1, m, internal]`.
    pub keys: Tensor<3>,
    /// The values of the attention to the picture: `[b or 1, m, internal]`.
    pub values: Tensor<3>,
    /// The queries of the attention from the picture: `[b or 1, m, internal]`.
    pub queries: Tensor<3>,
}

impl Picture {
    /// A picture of tokens `[b or 1, m, dim]` and their positions `[1, m, dim]`, without projections.
    pub fn new(tokens: Tensor<3>, positions: Tensor<3>) -> Self {
        Self {
            tokens,
            positions,
            projections: None,
            positioned: OnceLock::new(),
        }
    }

    /// The tokens plus their positions, `[b or 1, m, dim]`. They are computed on the first call.
    pub fn positioned(&self) -> Tensor<3> {
        self.positioned
            .get_or_init(|| self.tokens.clone() + self.positions.clone())
            .clone()
    }
}

/// An [`Attention`] as an implementation has prepared it. Shapes are those of [`Attention`]'s methods.
pub trait AttentionOperation: std::fmt::Debug + Send + Sync {
    /// [`Attention::among_tokens`].
    fn among_tokens(
        &self,
        tokens: Tensor<3>,
        positions: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3>;
    /// [`Attention::among_earlier`].
    fn among_earlier(&self, tokens: Tensor<3>, residual: Tensor<3>) -> Tensor<3>;
    /// [`Attention::project_keys`].
    fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>);
    /// [`Attention::project_queries`].
    fn project_queries(&self, picture: &Picture) -> Tensor<3>;
    /// The picture's keys and values from [`Picture::projections`], or else projected now.
    fn keys_of(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        match &picture.projections {
            Some(projections) => (projections.keys.clone(), projections.values.clone()),
            None => self.project_keys(picture),
        }
    }
    /// The picture's queries from [`Picture::projections`], or else projected now.
    fn queries_of(&self, picture: &Picture) -> Tensor<3> {
        match &picture.projections {
            Some(projections) => projections.queries.clone(),
            None => self.project_queries(picture),
        }
    }
    /// [`Attention::to_picture`].
    fn to_picture(
        &self,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        picture: &Picture,
        wanted: usize,
    ) -> Tensor<3>;
    /// [`Attention::of_picture`].
    fn of_picture(
        &self,
        picture: &Picture,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3>;
}

impl Attention {
    /// Takes `q_proj`, `k_proj`, `v_proj` and `out_proj`. `internal` is the total width of all heads.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn load(
        mut weights: Weights,
        dim: usize,
        internal: usize,
        num_heads: usize,
    ) -> Result<Self, WeightsError> {
        let parameters = AttentionParameters {
            q_proj: LinearParameters::load(&mut weights.at("q_proj"), dim, internal)?,
            k_proj: LinearParameters::load(&mut weights.at("k_proj"), dim, internal)?,
            v_proj: LinearParameters::load(&mut weights.at("v_proj"), dim, internal)?,
            out_proj: LinearParameters::load(&mut weights.at("out_proj"), internal, dim)?,
            num_heads,
        };
        Ok(Self {
            operation: weights.prepare(parameters, |operations, parameters| {
                operations.attention(parameters)
            }),
        })
    }

    /// Attention of tokens `[b, n, dim]` to each other. Queries and keys are projected from `tokens + positions`,
    /// values from `tokens`. The result is added to `residual` `[b, n, dim]`.
    pub fn among_tokens(
        &self,
        tokens: Tensor<3>,
        positions: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        self.operation.among_tokens(tokens, positions, residual)
    }

    /// Attention of each of the tokens `[b, n, dim]` to itself and to those before it, as in a text that is read from its
    /// beginning (`is_causal`). The result is added to `residual` `[b, n, dim]`.
    pub fn among_earlier(&self, tokens: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        self.operation.among_earlier(tokens, residual)
    }

    /// Attention of tokens `[b, n, dim]` to a picture. Queries are projected from `tokens + positions`, keys from the
    /// picture plus its positions, values from the picture. The result is added to `tokens`. An implementation may
    /// compute only the first `wanted` of the `n` tokens: `[b, wanted or n, dim]`.
    pub fn to_picture(
        &self,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        picture: &Picture,
        wanted: usize,
    ) -> Tensor<3> {
        self.operation.to_picture(tokens, positions, picture, wanted)
    }

    /// Attention of a picture to tokens `[b, n, dim]`. Queries are projected from the picture plus its positions, keys
    /// from `tokens + positions`, values from `tokens`. The result is added to the picture and normalised: `[b, m,
    /// dim]`.
    pub fn of_picture(
        &self,
        picture: &Picture,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        self.operation.of_picture(picture, tokens, positions, norm)
    }

    /// The keys and values of a picture for [`Self::to_picture`], both `[b or 1, m, internal]`, to be shared by many
    /// prompts.
    pub fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        self.operation.project_keys(picture)
    }

    /// The queries of a picture for [`Self::of_picture`], `[b or 1, m, internal]`, to be shared by many prompts.
    pub fn project_queries(&self, picture: &Picture) -> Tensor<3> {
        self.operation.project_queries(picture)
    }
}
