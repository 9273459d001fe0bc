//! Concatenation of matrices, and of a memory bank to one matrix of keys and one of values, or to several of both if the
//! device's buffers are too small for one.

use burn::tensor::Tensor;
use sam2_kernels::tensors::{self, Joined, Positions};

use super::strips::rows_in;
use crate::keys::{JoinedKeys, rotated};
use crate::{KeyGroup, Keys};

/// Concatenates the parts, each `[rows, c]`.
pub fn stack(parts: Vec<(Tensor<2>, Option<usize>)>) -> Tensor<2> {
    tensors::join(&[Joined {
        parts,
        positions: None,
    }])
}

/// [`Keys::new`] in so many parts that a part's projection to `dim` channels has at most `largest` bytes.
pub fn join(groups: Vec<KeyGroup>, dim: usize, largest: u64) -> Keys {
    let most = rows_in(largest, dim);
    let joined = match groups.iter().map(KeyGroup::len).sum::<usize>() <= most {
        true => vec![joined(&groups)],
        false => in_parts(&groups, most).iter().map(|part| joined(part)).collect(),
    };
    Keys { groups, joined }
}

/// The tokens in their order, in parts of at most `most` tokens. A group's part that has more is not divided.
fn in_parts(groups: &[KeyGroup], most: usize) -> Vec<Vec<KeyGroup>> {
    let mut parts: Vec<Vec<KeyGroup>> = Vec::new();
    let mut left = 0;
    for group in groups {
        for part in &group.parts {
            let alone = KeyGroup {
                parts: vec![part.clone()],
                ..group.clone()
            };
            let rows = alone.len();
            match parts.last_mut().filter(|_| rows <= left) {
                Some(last) => last.push(alone),
                None => {
                    parts.push(vec![alone]);
                    left = most;
                }
            }
            left = left.saturating_sub(rows);
        }
    }
    parts
}

fn joined(groups: &[KeyGroup]) -> JoinedKeys {
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
    JoinedKeys {
        keys: tensors::join(&keys),
        values: stack(values),
        rotated: rotated(groups),
    }
}
