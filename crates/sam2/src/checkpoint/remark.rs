//! What a user should know of a checkpoint that can be used.

/// Names that are written out; of more, their number is told.
const NAMED: usize = 20;

/// Something about a checkpoint that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The network is in the file more than once, and this one was taken.
    Chosen {
        /// What stands before its tensors' names, such as `model`.
        chosen: String,
        /// The same of the others, such as `ema`.
        others: Vec<String>,
    },
    /// Tensors that are no part of SAM 2 were passed over, such as those of an own head.
    PassedOver {
        /// As the file names them.
        names: Vec<String>,
    },
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Remark::Chosen { chosen, others } => write!(
                f,
                "the network is in the file more than once: {chosen} was taken, and not {}",
                list(others)
            ),
            Remark::PassedOver { names } => {
                let (is, was) = match names.len() {
                    1 => ("a tensor that is", "was"),
                    _ => ("tensors that are", "were"),
                };
                write!(f, "{is} no part of SAM 2 {was} passed over: {}", list(names))
            }
        }
    }
}

fn list(names: &[String]) -> String {
    let mut text = names[..names.len().min(NAMED)].join(", ");
    if let Some(more) = names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
