//! What attention is asked for: which queries attend to which keys, and where both lie.

/// Where all heads of queries, keys or values lie in a matrix whose rows are tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRows {
    /// How many grids of tokens there are. With fewer than the batch, number `i` of the batch takes grid `i` modulo this
    /// number.
    pub batch: usize,
    /// Values of a row.
    pub width: usize,
    /// The value of a row at which the first head begins.
    pub offset: usize,
}

/// Which queries attend to which keys: grids of tokens, cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// How many grids of queries there are.
    pub batch: usize,
    /// How many heads there are.
    pub heads: usize,
    /// Values of a head.
    pub width: usize,
    /// Height and width of a grid of queries, after pooling.
    pub queries: [usize; 2],
    /// Height and width of a grid of keys.
    pub keys: [usize; 2],
    /// Height and width of a window, in keys. Where windows go over the grid's lower or right edge, the positions beyond
    /// are tokens of padding, which are attended to.
    pub window: [usize; 2],
    /// There are as many queries as keys, and the largest of each 2x2 is taken: `queries` is half of `keys`.
    pub pools: bool,
}

impl AttentionShape {
    /// Each of `n` tokens attends to all of `m`.
    pub fn tokens(batch: usize, heads: usize, width: usize, n: usize, m: usize) -> Self {
        Self {
            batch,
            heads,
            width,
            queries: [1, n],
            keys: [1, m],
            window: [1, m],
            pools: false,
        }
    }

    /// Whether windows go over an edge.
    pub fn pads(&self) -> bool {
        (0..2).any(|axis| !self.keys[axis].is_multiple_of(self.window[axis]))
    }
}
