//! Concatenation of matrices, and of a memory bank to one matrix of keys and one of values.

use burn::tensor::Tensor;
use sam2_kernels::tensors::{self, Joined, Positions};

use crate::{KeyGroup, Keys};

/// Concatenates the parts, each `[rows, c]`.
pub fn stack(parts: Vec<(Tensor<2>, Option<usize>)>) -> Tensor<2> {
    tensors::join(&[Joined {
        parts,
        positions: None,
    }])
}

/// [`Keys::new`].
pub fn join(groups: Vec<KeyGroup>) -> Keys {
    let values = groups.iter().flat_map(|group| group.parts.clone()).collect();
    let keys: Vec<Joined> = groups
        .iter()
        .map(|group| Joined {
            parts: group.parts.clone(),
            positions: group.positions.as_ref().map(|positions| Positions {
                spatial: positions.spatial.clone(),
                temporal: positions.temporal.clone(),
            }),
        })
        .collect();
    Keys {
        joined: Some([tensors::join(&keys), stack(values)]),
        groups,
    }
}
