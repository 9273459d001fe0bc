//! The keys and values of an attention with rotary positions: a picture's own tokens, or a memory bank.

use burn::tensor::Tensor;

use crate::Implementation;

/// The tokens to which the attentions of several layers attend.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The groups, in their order.
    pub groups: Vec<KeyGroup>,
    /// The keys and values of all groups, if an implementation needs them concatenated: one part, or several whose
    /// tokens follow each other.
    #[cfg(feature = "gpu")]
    pub(crate) joined: Vec<JoinedKeys>,
}

/// The concatenated keys and values of several groups, or of parts of them.
#[cfg(feature = "gpu")]
#[derive(Clone, Debug)]
pub(crate) struct JoinedKeys {
    /// The values plus their positions, `[m, kv_dim]`.
    pub keys: Tensor<2>,
    /// The values, `[m, kv_dim]`.
    pub values: Tensor<2>,
    /// The number of tokens that are rotated, which are the first ones.
    pub rotated: usize,
}

/// Tokens that share a kind of positions.
#[derive(Clone, Debug)]
pub struct KeyGroup {
    /// Parts of the tokens, each `[rows, kv_dim]`, with the row of [`KeyPositions::temporal`] that is added to get its
    /// keys.
    pub parts: Vec<(Tensor<2>, Option<usize>)>,
    /// The positions that are added to the values to get the keys.
    pub positions: Option<KeyPositions>,
    /// Whether the tokens are whole pictures, one after another, whose keys are rotated by their positions on the grid.
    /// Groups that are rotated come first.
    pub rotated: bool,
}

/// The positions of tokens in space and time.
#[derive(Clone, Debug)]
pub struct KeyPositions {
    /// `[n, kv_dim]`: row i modulo n is added to row i of each part.
    pub spatial: Tensor<2>,
    /// `[t, kv_dim]`: each part names the row that is added to all of its tokens.
    pub temporal: Tensor<2>,
}

impl Keys {
    /// The keys of several groups, each of which has at least one part. `dim` is the width to which the attentions
    /// project them.
    pub fn new(implementation: &Implementation, groups: Vec<KeyGroup>, dim: usize) -> Self {
        implementation.keys(groups, dim)
    }

    /// The keys of a picture `[m, kv_dim]` that attends to itself: keys and values are the same.
    pub fn of_picture(picture: Tensor<2>) -> Self {
        Self {
            #[cfg(feature = "gpu")]
            joined: vec![JoinedKeys {
                keys: picture.clone(),
                values: picture.clone(),
                rotated: picture.dims()[0],
            }],
            groups: vec![KeyGroup {
                parts: vec![(picture, None)],
                positions: None,
                rotated: true,
            }],
        }
    }

    /// The number of tokens that are rotated, which are the first ones.
    pub fn rotated(&self) -> usize {
        rotated(&self.groups)
    }
}

/// The number of tokens of `groups` that are rotated, which are the first ones.
pub(crate) fn rotated(groups: &[KeyGroup]) -> usize {
    groups
        .iter()
        .filter(|group| group.rotated)
        .map(KeyGroup::len)
        .sum()
}

impl KeyGroup {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(part, _)| part.dims()[0]).sum()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The positions that are added to part `number` to get its keys: `[rows, kv_dim]`.
    pub fn positions_of(&self, number: usize) -> Option<Tensor<2>> {
        let (part, time) = &self.parts[number];
        let [rows, c] = part.dims();
        let KeyPositions { spatial, temporal } = self.positions.as_ref()?;
        let repeats = rows.div_ceil(spatial.dims()[0]);
        let spatial = match repeats {
            1 => spatial.clone(),
            _ => spatial.clone().repeat(&[repeats, 1]),
        };
        let spatial = spatial.narrow(0, 0, rows);
        Some(match time {
            Some(row) => spatial + temporal.clone().narrow(0, *row, 1).expand([rows, c]),
            None => spatial,
        })
    }
}
