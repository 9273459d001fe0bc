//! Remarks on a checkpoint that can be used.

/// The most names that a message lists; it gives the number of the others.
const NAMED: usize = 20;

/// Something that a user should know about a checkpoint, but that is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// The file contains the network more than once, and one of them was chosen.
    Chosen {
        /// The prefix of the chosen network's tensors, such as `model`.
        chosen: String,
        /// The prefixes of the others, such as `ema`.
        others: Vec<String>,
    },
    /// Tensors that do not belong to SAM 2, such as those of a custom head, were ignored.
    Ignored {
        /// Their names in the file.
        names: Vec<String>,
    },
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Remark::Chosen { chosen, others } => write!(
                f,
                "the file contains the network more than once: {chosen} was chosen, and not {}",
                list(others)
            ),
            Remark::Ignored { names } => {
                let (tensors, were) = match names.len() {
                    1 => ("a tensor that does", "was"),
                    _ => ("tensors that do", "were"),
                };
                write!(f, "{tensors} not belong to SAM 2 {were} ignored: {}", list(names))
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
