//! What an attention with rotary positions attends to: a picture's own tokens, or a memory bank.

use burn::tensor::Tensor;

use crate::Implementation;

/// Tokens to attend to, ready for attentions of several layers.
#[derive(Clone, Debug)]
pub struct Keys {
    /// In their order.
    pub groups: Vec<KeyGroup>,
    /// Keys `[m, kv_dim]` (values with their positions) and values `[m, kv_dim]` of all groups, where an implementation
    /// wants all together.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code))]
    pub(crate) joined: Option<[Tensor<2>; 2]>,
}

/// Tokens that are positioned alike.
#[derive(Clone, Debug)]
pub struct KeyGroup {
    /// Each `[rows, kv_dim]`, and which row of `temporal` is added to make keys of it.
    pub parts: Vec<(Tensor<2>, Option<usize>)>,
    /// What is added to the values to make keys of them.
    pub positions: Option<KeyPositions>,
    /// Whether the tokens are whole pictures on the grid, one after another, and their keys are rotated by their position
    /// in it. Groups that are rotated come first.
    pub rotated: bool,
}

/// Where and when tokens are.
#[derive(Clone, Debug)]
pub struct KeyPositions {
    /// `[n, kv_dim]`: row i modulo n is added to row i of each part.
    pub spatial: Tensor<2>,
    /// `[t, kv_dim]`, of which a part names its row.
    pub temporal: Tensor<2>,
}

impl Keys {
    /// Of several groups; each has a part.
    pub fn new(implementation: &Implementation, groups: Vec<KeyGroup>) -> Self {
        implementation.keys(groups)
    }

    /// Of a picture `[m, kv_dim]`, whose keys and values are the same.
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

    /// How many tokens are rotated; they are the first ones.
    pub fn rotated(&self) -> usize {
        self.groups
            .iter()
            .filter(|group| group.rotated)
            .map(KeyGroup::len)
            .sum()
    }
}

impl KeyGroup {
    /// How many tokens.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(part, _)| part.dims()[0]).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is added to part `number` to make keys of it: `[rows, kv_dim]`.
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
