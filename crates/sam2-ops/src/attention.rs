//! Attention among a few tokens, and between them and a picture (`sam2.modeling.sam.transformer.Attention`).

use std::sync::OnceLock;

use burn::tensor::Tensor;

use crate::{LayerNorm, LinearParameters, Prepared, Weights, WeightsError};

/// Multi-head attention with projections, whose inner width may be a fraction of the tokens':
/// `out_proj(softmax(q kᵀ / √(internal / heads)) v)` with `q = q_proj(…)`, `k = k_proj(…)`, `v = v_proj(…)`.
///
/// Positions are added to queries and keys, never to values.
#[derive(Debug)]
pub struct Attention {
    operation: Prepared<dyn AttentionOperation>,
}

/// What an attention is made of.
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
    /// Heads, which share `internal` equally.
    pub num_heads: usize,
}

/// A picture's tokens, as attention between them and a few tokens reads them.
#[derive(Clone, Debug)]
pub struct Picture {
    /// `[b or 1, m, dim]`.
    pub tokens: Tensor<3>,
    /// `[1, m, dim]`.
    pub positions: Tensor<3>,
    /// What was projected ahead, for prompts to come on the same picture.
    pub projections: Option<Projections>,
    positioned: OnceLock<Tensor<3>>,
}

/// A picture as two attentions project it: one to it, and one of it.
#[derive(Clone, Debug)]
pub struct Projections {
    /// Of the attention to the picture: `[b or 1, m, internal]`.
    pub keys: Tensor<3>,
    /// Of the attention to the picture: `[b or 1, m, internal]`.
    pub values: Tensor<3>,
    /// Of the picture's own attention: `[b or 1, m, internal]`.
    pub queries: Tensor<3>,
}

impl Picture {
    /// Of tokens `[b or 1, m, dim]` and their positions `[1, m, dim]`.
    pub fn new(tokens: Tensor<3>, positions: Tensor<3>) -> Self {
        Self {
            tokens,
            positions,
            projections: None,
            positioned: OnceLock::new(),
        }
    }

    /// The tokens with their positions added, computed when it is first asked for: `[b or 1, m, dim]`.
    pub fn positioned(&self) -> Tensor<3> {
        self.positioned
            .get_or_init(|| self.tokens.clone() + self.positions.clone())
            .clone()
    }
}

/// An attention as an implementation prepared it. Shapes are as of [`Attention`]'s methods.
pub trait AttentionOperation: std::fmt::Debug + Send + Sync {
    /// [`Attention::among_tokens`].
    fn among_tokens(
        &self,
        tokens: Tensor<3>,
        positions: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3>;
    /// Keys and values of a picture: `[b or 1, m, internal]`.
    fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>);
    /// Queries of a picture: `[b or 1, m, internal]`.
    fn project_queries(&self, picture: &Picture) -> Tensor<3>;
    /// Keys and values of a picture as they were projected ahead, else projected now.
    fn keys_of(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        match &picture.projections {
            Some(ahead) => (ahead.keys.clone(), ahead.values.clone()),
            None => self.project_keys(picture),
        }
    }
    /// Queries of a picture as they were projected ahead, else projected now.
    fn queries_of(&self, picture: &Picture) -> Tensor<3> {
        match &picture.projections {
            Some(ahead) => ahead.queries.clone(),
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
    /// Takes `q_proj`, `k_proj`, `v_proj` and `out_proj`; `internal` is the width of all heads together.
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

    /// Tokens `[b, n, dim]` attend to each other: queries and keys are of `tokens + positions`, values of `tokens`, and the
    /// result is added to `residual` `[b, n, dim]`.
    pub fn among_tokens(
        &self,
        tokens: Tensor<3>,
        positions: Option<Tensor<3>>,
        residual: Option<Tensor<3>>,
    ) -> Tensor<3> {
        self.operation.among_tokens(tokens, positions, residual)
    }

    /// Tokens `[b, n, dim]` attend to a picture: queries are of `tokens + positions`, keys of the picture with its
    /// positions, values of the picture, and the result is added to `tokens`. Only the first `wanted` of the `n` tokens
    /// need be computed: `[b, wanted or n, dim]`.
    pub fn to_picture(
        &self,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        picture: &Picture,
        wanted: usize,
    ) -> Tensor<3> {
        self.operation.to_picture(tokens, positions, picture, wanted)
    }

    /// A picture attends to tokens `[b, n, dim]`: queries are of the picture with its positions, keys of
    /// `tokens + positions`, values of `tokens`. The result is added to the picture and normalised: `[b, m, dim]`.
    pub fn of_picture(
        &self,
        picture: &Picture,
        tokens: Tensor<3>,
        positions: Tensor<3>,
        norm: &LayerNorm,
    ) -> Tensor<3> {
        self.operation.of_picture(picture, tokens, positions, norm)
    }

    /// Keys and values of a picture for [`Self::to_picture`], once for many prompts: both `[b or 1, m, internal]`.
    pub fn project_keys(&self, picture: &Picture) -> (Tensor<3>, Tensor<3>) {
        self.operation.project_keys(picture)
    }

    /// Queries of a picture for [`Self::of_picture`], once for many prompts: `[b or 1, m, internal]`.
    pub fn project_queries(&self, picture: &Picture) -> Tensor<3> {
        self.operation.project_queries(picture)
    }
}
