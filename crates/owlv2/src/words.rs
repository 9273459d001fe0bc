//! Embeddings of words, each computed once.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::detector::values;
use crate::{DetectError, LabelEmbeddings, TextEncoder, Tokenizer, TokenizerError};

/// The number of embeddings that are kept: 8 MB of those of `google/owlv2-base-patch16-ensemble`.
const KEPT: usize = 4096;
/// The number of texts that are computed before the device is asked for their embeddings.
const AT_ONCE: usize = 64;

/// The text tower with its vocabulary.
#[derive(Debug)]
pub(crate) struct Words {
    text: TextEncoder,
    tokenizer: Tokenizer,
    /// Never locked while the device works.
    kept: Mutex<HashMap<String, Arc<[f32]>>>,
}

impl Words {
    pub(crate) fn new(text: TextEncoder, tokenizer: Tokenizer) -> Result<Self, TokenizerError> {
        tokenizer.check(text.vocab_size())?;
        Ok(Self {
            text,
            tokenizer,
            kept: Mutex::default(),
        })
    }

    /// The embeddings of labels that are not empty, in their order.
    pub(crate) async fn embed(&self, labels: &[&str]) -> Result<LabelEmbeddings, DetectError> {
        let mut found: HashMap<&str, Arc<[f32]>> = HashMap::new();
        {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            for &label in labels {
                if let Some(embedding) = kept.get(label) {
                    found.insert(label, embedding.clone());
                }
            }
        }
        let (mut seen, mut new) = (HashSet::new(), Vec::new());
        for &label in labels {
            if !found.contains_key(label) && seen.insert(label) {
                new.push(label);
            }
        }
        for labels in new.chunks(AT_ONCE) {
            let context = self.text.context();
            let tokens: Vec<Vec<u32>> = labels
                .iter()
                .map(|label| self.tokenizer.encode(label, context))
                .collect();
            let embeddings = values(self.text.encode(&tokens)).await?;
            let rows = embeddings.chunks_exact(embeddings.len() / labels.len());
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() + labels.len() > KEPT {
                kept.clear();
            }
            for (&label, row) in labels.iter().zip(rows) {
                let row: Arc<[f32]> = row.into();
                kept.insert(label.to_owned(), row.clone());
                found.insert(label, row);
            }
        }
        let values = labels.iter().flat_map(|label| found[label].iter().copied());
        let names = labels.iter().map(|&label| label.to_owned());
        LabelEmbeddings::new(names.collect(), values.collect())
    }
}
