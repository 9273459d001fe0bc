//! The text tower (`Owlv2TextTransformer` and `text_projection`).

use burn::tensor::{DType, Int, Tensor, TensorData, f16};
use sam2_ops::{Implementation, LayerNorm, Linear, LinearParameters, TensorSource, Weights, WeightsError};

use crate::encoder::{EPS, EncoderLayer, load_layers};
use crate::{LoadError, Owlv2Config};

/// The number of texts that are computed at once.
const TEXTS: usize = 64;

/// Tokens to embeddings.
#[derive(Debug)]
pub struct TextEncoder {
    /// `[vocab_size, width]`, on the host, where only the rows of a text's tokens are read.
    token_embedding: TensorData,
    /// `[max_position_embeddings, width]`.
    position_embedding: Vec<f32>,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
    text_projection: Linear,
    width: usize,
    vocab_size: usize,
    context: usize,
    implementation: Implementation,
}

impl TextEncoder {
    /// Builds the text tower from its tensors.
    ///
    /// # Errors
    /// The configuration cannot be run, or a tensor is missing or has another shape.
    pub fn load(
        config: &Owlv2Config,
        source: &mut dyn TensorSource,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        config.validate()?;
        Ok(Self::load_from(config, Weights::new(source, implementation))?)
    }

    /// Takes `owlv2.text_model` and `owlv2.text_projection`.
    pub(crate) fn load_from(config: &Owlv2Config, mut weights: Weights) -> Result<Self, WeightsError> {
        let text = &config.text_config;
        let (width, context) = (text.hidden_size, text.max_position_embeddings);
        let mut owlv2 = weights.at("owlv2");
        let mut model = owlv2.at("text_model");
        let mut embeddings = model.at("embeddings");
        let token_embedding = embeddings
            .at("token_embedding")
            .kept("weight", &[text.vocab_size, width])?;
        let position_embedding = embeddings
            .at("position_embedding")
            .values("weight", &[context, width])?;
        let sizes = [width, text.intermediate_size, text.num_attention_heads];
        let layers = load_layers(model.at("encoder"), text.num_hidden_layers, sizes)?;
        let final_layer_norm = LayerNorm::load(model.at("final_layer_norm"), width, EPS)?;
        let projection = LinearParameters::load_without_bias(
            &mut owlv2.at("text_projection"),
            width,
            config.projection_dim,
        )?;
        Ok(Self {
            token_embedding,
            position_embedding,
            layers,
            final_layer_norm,
            text_projection: Linear::new(&owlv2, projection, config.projection_dim),
            width,
            vocab_size: text.vocab_size,
            context,
            implementation: owlv2.implementation().clone(),
        })
    }

    /// The most tokens of a text.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The number of tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Embeddings of length 1 of texts, which [`crate::Tokenizer::encode`] has made tokens of: `[texts, d]`. There is at
    /// least one text, and each has at least one token. Tokens beyond the vocabulary count as its last one, and those
    /// beyond [`Self::context`] are not read.
    pub fn encode(&self, texts: &[Vec<u32>]) -> Tensor<2> {
        let parts = texts.chunks(TEXTS).map(|texts| self.encode_some(texts));
        let x = Tensor::cat(parts.collect(), 0);
        let length = (x.clone() * x.clone()).sum_dim(1).sqrt();
        x / length
    }

    fn encode_some(&self, texts: &[Vec<u32>]) -> Tensor<2> {
        let (b, width) = (texts.len(), self.width);
        // The padding that the official tokenizer adds follows a text's end, so that no token of the text attends to it.
        let n = texts
            .iter()
            .map(|text| text.len().min(self.context))
            .max()
            .unwrap_or(1);
        let mut values = Vec::with_capacity(b * n * width);
        let mut ends = Vec::with_capacity(b);
        for (i, text) in texts.iter().enumerate() {
            let text = &text[..text.len().min(n)];
            for (position, at) in self.position_embedding.chunks_exact(width).take(n).enumerate() {
                let token = text.get(position).copied().unwrap_or(0) as usize;
                let embedding = self.embedding(token.min(self.vocab_size - 1));
                values.extend(embedding.iter().zip(at).map(|(token, position)| token + position));
            }
            // The token of the end has the highest number (the official code takes the first highest).
            let highest = text.iter().max().copied().unwrap_or(0);
            let end = text.iter().position(|&token| token == highest).unwrap_or(0);
            ends.push((i * n + end) as i32);
        }
        let device = self.implementation.device();
        let mut x = Tensor::<3>::from_data(TensorData::new(values, [b, n, width]), device);
        for layer in &self.layers {
            x = layer.forward(x, true);
        }
        let ends = Tensor::<1, Int>::from_data(TensorData::new(ends, [b]), device);
        let pooled = x.reshape([b * n, width]).select(0, ends);
        self.text_projection
            .forward(self.final_layer_norm.forward(pooled))
    }

    /// A row of the token embeddings.
    fn embedding(&self, token: usize) -> Vec<f32> {
        let row = token * self.width..(token + 1) * self.width;
        match self.token_embedding.dtype() {
            DType::F16 => {
                let table = self.token_embedding.as_slice::<f16>().unwrap_or_default();
                table
                    .get(row)
                    .unwrap_or_default()
                    .iter()
                    .map(|x| x.to_f32())
                    .collect()
            }
            _ => {
                let table = self.token_embedding.as_slice::<f32>().unwrap_or_default();
                table.get(row).unwrap_or_default().to_vec()
            }
        }
    }
}
