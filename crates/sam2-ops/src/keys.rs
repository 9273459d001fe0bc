//! The keys and values of an attention with rotary positions: a picture's own tokens, or a memory bank.

use burn::tensor::Tensor;

use crate::Implementation;

/// The tokens to which the attentions of several layers attend.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The groups, in their order.
    pub groups: Vec<KeyGroup>,
    /// The keys `[m, kv_dim]` (the values plus their positions) and the values `[m, kv_dim]` of all groups, if an
    /// implementation needs them in one tensor.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code))]
    pub(crate) joined: Option<[Tensor<2>; 2]>,
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
    /// The keys of several groups, each of which has at least one part.
    pub fn new(implementation: &Implementation, groups: Vec<KeyGroup>) -> Self {
        implementation.keys(groups)
    }

    /// The keys of a picture `[m, kv_dim]` that attends to itself: keys and values are the same.
    pub fn of_picture(picture: Tensor<2>) -> Self {
        Self {
            joined: Some([picture.clone(), picture.clone()]),
            groups: vec![KeyGroup {
                parts: vec![(picture, None)],
                positions: None,
                rotated: true,
            }],
        }
    }

    /// The number of tokens that are rotated, which are the first ones.
    pub fn rotated(&self) -> usize {
        self.groups
            .iter()
            .filter(|group| group.rotated)
            .map(KeyGroup::len)
            .sum()
    }
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
