//! The options of an attention: which queries attend to which keys, and where both are in memory.

/// The position of the queries, keys or values of all heads in a matrix whose rows are tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadRows {
    /// The number of grids of tokens. Element `i` of the batch uses grid `i` modulo this number.
    pub batch: usize,
    /// The number of values of a row.
    pub width: usize,
    /// The index in a row at which the first head begins.
    pub offset: usize,
}

/// Which queries attend to which keys: grids of tokens, cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// The number of grids of queries.
    pub batch: usize,
    /// The number of heads.
    pub heads: usize,
    /// The number of values of a head.
    pub width: usize,
    /// Height and width of a grid of queries, after pooling.
    pub queries: [usize; 2],
    /// Height and width of a grid of keys.
    pub keys: [usize; 2],
    /// Height and width of a window, in keys. If windows extend beyond the grid's bottom or right edge, the positions
    /// beyond are padding tokens, which are attended to.
    pub window: [usize; 2],
    /// Whether queries are pooled, by the maximum of each 2x2. There are then as many queries as keys before pooling, and
    /// `queries` is half of `keys`.
    pub pools: bool,
    /// Whether each query attends only to the keys up to its own position, as a text's tokens do. There is then a single
    /// row of queries, as many keys, and one window.
    pub causal: bool,
}

impl AttentionShape {
    /// Attention of each of `n` tokens to all of `m` tokens.
    pub fn tokens(batch: usize, heads: usize, width: usize, n: usize, m: usize) -> Self {
        Self {
            batch,
            heads,
            width,
            queries: [1, n],
            keys: [1, m],
            window: [1, m],
            pools: false,
            causal: false,
        }
    }

    /// Attention of each of `n` tokens to itself and to those before it.
    pub fn causal(batch: usize, heads: usize, width: usize, n: usize) -> Self {
        Self {
            causal: true,
            ..Self::tokens(batch, heads, width, n, n)
        }
    }

    /// Whether windows extend beyond an edge.
    pub fn pads(&self) -> bool {
        (0..2).any(|axis| !self.keys[axis].is_multiple_of(self.window[axis]))
    }
}
