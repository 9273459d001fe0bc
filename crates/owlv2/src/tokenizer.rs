//! CLIP's tokenizer: lower-case byte pairs (`CLIPTokenizer`; `simple_tokenizer.py` of openai/CLIP). Its vocabulary follows
//! from its merges, which are read from a file beside the weights (`merges.txt`).

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// The longest text that is read, in characters. The tokens that a text may have are far fewer.
const LONGEST: usize = 1000;
/// The largest file of merges in bytes, ten times that of CLIP.
const LARGEST: usize = 5 << 20;
/// The number of bytes, each of which is a token.
const BYTES: u32 = 256;
/// The token that pads short texts. OWLv2's tokenizer takes each exclamation mark for it, since it is called so.
const PADDING: u32 = 0;
const PADDING_LETTER: char = '!';

/// Turns texts into tokens.
#[derive(Debug)]
pub struct Tokenizer {
    /// The token of each byte that does not end a word. At a word's end it is higher by [`BYTES`].
    bytes: [u32; 256],
    /// The token that two neighbouring tokens become. Earlier merges have lower tokens.
    merges: HashMap<(u32, u32), u32>,
    start: u32,
    end: u32,
}

/// Why a vocabulary cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// The file is not a list of merges.
    #[error(
        "line {line} of the vocabulary {reason}: expected CLIP's merges.txt, which is beside the detector's weights"
    )]
    Merges {
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The vocabulary has another number of tokens than the network.
    #[error(
        "the vocabulary has {found} tokens, and the detector {expected}: take the merges.txt of the same model"
    )]
    Size {
        /// The network's.
        expected: usize,
        /// The vocabulary's.
        found: usize,
    },
}

impl TokenizerError {
    /// A stable code for programs: `WEIGHTS_UNSUPPORTED` or `WEIGHTS_MISMATCH`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Merges { .. } => "WEIGHTS_UNSUPPORTED",
            Self::Size { .. } => "WEIGHTS_MISMATCH",
        }
    }
}

impl Tokenizer {
    /// Reads `merges.txt`: a line with a version, then two tokens in each line, in the order in which they are merged.
    ///
    /// # Errors
    /// [`TokenizerError::Merges`] for anything else.
    pub fn from_merges(file: &[u8]) -> Result<Self, TokenizerError> {
        let error = |line, reason| TokenizerError::Merges { line, reason };
        if file.len() > LARGEST {
            return Err(error(1, "begins a file that is too large"));
        }
        let text = str::from_utf8(file).map_err(|_| error(1, "begins a file that is not text"))?;
        let letters = letters();
        let mut bytes = [0; 256];
        let mut tokens = HashMap::new();
        for (token, (byte, letter)) in letters.into_iter().enumerate() {
            let token = token as u32;
            bytes[usize::from(byte)] = token;
            tokens.insert(letter.to_string(), token);
            tokens.insert(format!("{letter}</w>"), token + BYTES);
        }
        let mut merges = HashMap::new();
        let mut next = 2 * BYTES;
        let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim_end()));
        for (number, line) in
            lines.filter(|(number, line)| !(line.is_empty() || *number == 1 && line.starts_with('#')))
        {
            let (first, second) = line
                .split_once(' ')
                .ok_or_else(|| error(number, "does not have two tokens"))?;
            let token = |part: &str| {
                let token = tokens.get(part).copied();
                token.ok_or_else(|| error(number, "has a token that no earlier line makes"))
            };
            merges.insert((token(first)?, token(second)?), next);
            tokens.insert(format!("{first}{second}"), next);
            next += 1;
        }
        if merges.is_empty() {
            return Err(error(1, "is the last, and there are no merges"));
        }
        Ok(Self {
            bytes,
            merges,
            start: next,
            end: next + 1,
        })
    }

    /// The number of tokens.
    pub fn size(&self) -> usize {
        self.end as usize + 1
    }

    /// Checks that a network has as many tokens.
    ///
    /// # Errors
    /// [`TokenizerError::Size`].
    pub fn check(&self, vocab_size: usize) -> Result<(), TokenizerError> {
        match self.size() == vocab_size {
            true => Ok(()),
            false => Err(TokenizerError::Size {
                expected: vocab_size,
                found: self.size(),
            }),
        }
    }

    /// The tokens of a text between those of its beginning and end, at most `context` in all: of a longer text, the first.
    /// The official padding is left out, since nothing reads it. The official marks, such as `<|endoftext|>`, are plain
    /// characters here.
    pub fn encode(&self, text: &str, context: usize) -> Vec<u32> {
        let most = context.saturating_sub(2);
        let mut tokens = vec![self.start];
        for word in words(text) {
            if tokens.len() > most {
                break;
            }
            match word.starts_with(PADDING_LETTER) {
                true => tokens.push(PADDING),
                false => tokens.extend(self.word(&word)),
            }
        }
        tokens.truncate(most + 1);
        tokens.push(self.end);
        tokens
    }

    /// The tokens of a word: its bytes, of which the two that are merged first are replaced as long as there are any.
    fn word(&self, word: &str) -> Vec<u32> {
        let mut tokens: Vec<u32> = word.bytes().map(|byte| self.bytes[usize::from(byte)]).collect();
        if let Some(last) = tokens.last_mut() {
            *last += BYTES;
        }
        loop {
            let pairs = tokens.windows(2).map(|pair| (pair[0], pair[1]));
            let merged = pairs.filter_map(|pair| Some((*self.merges.get(&pair)?, pair)));
            let Some((merged, pair)) = merged.min() else {
                return tokens;
            };
            let mut kept = Vec::with_capacity(tokens.len());
            let mut rest = tokens.into_iter().peekable();
            while let Some(token) = rest.next() {
                let is_pair = token == pair.0 && rest.next_if_eq(&pair.1).is_some();
                kept.push(if is_pair { merged } else { token });
            }
            tokens = kept;
        }
    }
}

/// The bytes in the order of their tokens, with the letters that stand for them in the file: those that can be printed are
/// themselves, and the others are the letters from U+0100 on (`bytes_to_unicode`).
fn letters() -> Vec<(u8, char)> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    let plain = (0..=255u8).filter(printable).map(|byte| (byte, char::from(byte)));
    let others = (0..=255u8).filter(|byte| !printable(byte));
    let others = others.zip('\u{100}'..).collect::<Vec<_>>();
    plain.chain(others).collect()
}

/// The contractions that are words of their own.
const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// What a character can be part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Number,
    Space,
    Other,
}

fn kind(c: char) -> Kind {
    match c.general_category_group() {
        GeneralCategoryGroup::Letter => Kind::Letter,
        GeneralCategoryGroup::Number => Kind::Number,
        _ if c.is_whitespace() => Kind::Space,
        _ => Kind::Other,
    }
}

/// The words of a text, composed (NFC) and in lower case: contractions, letters, single digits, and runs of what is
/// neither. An exclamation mark is a word of its own.
fn words(text: &str) -> Vec<String> {
    // Letter by letter, so that a sigma at a word's end is not a special case.
    let composed = text.chars().take(LONGEST).nfc();
    let text: String = composed.flat_map(char::to_lowercase).collect();
    let mut words = Vec::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let length = match (CONTRACTIONS.iter().find(|c| rest.starts_with(**c)), kind(first)) {
            (Some(contraction), _) => contraction.len(),
            (None, Kind::Number | Kind::Space) => first.len_utf8(),
            (None, _) if first == PADDING_LETTER => first.len_utf8(),
            (None, own) => rest
                .find(|c| kind(c) != own || c == PADDING_LETTER)
                .unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(length);
        if kind(first) != Kind::Space {
            words.push(word.to_owned());
        }
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_official_expression() {
        assert_eq!(words("It's 12 cats!!"), ["it", "'s", "1", "2", "cats", "!", "!"]);
        assert_eq!(words(" \t\n"), [""; 0]);
        assert_eq!(words("a\u{301}b"), ["\u{e1}b"]);
        assert_eq!(words("?'s!'s"), ["?'", "s", "!", "'s"]);
    }

    #[test]
    fn merges_are_made_in_the_order_of_the_file() {
        let tokenizer = Tokenizer::from_merges("#version: 0.2\nb c</w>\na b\n".as_bytes()).expect("merges");
        let (start, end) = (514, 515);
        let token = |c: u8| tokenizer.bytes[usize::from(c)];
        assert_eq!(tokenizer.encode("abc", 16), [start, token(b'a'), 512, end]);
        assert_eq!(
            tokenizer.encode("ab", 16),
            [start, token(b'a'), token(b'b') + 256, end]
        );
        assert_eq!(tokenizer.encode("", 16), [start, end]);
        assert_eq!(
            tokenizer.encode("x y z", 4),
            [start, token(b'x') + 256, token(b'y') + 256, end]
        );
        assert!(tokenizer.check(516).is_ok() && tokenizer.check(49_408).is_err());
    }

    #[test]
    fn files_that_are_not_merges_are_refused_with_the_line() {
        for (file, line) in [
            (&b"{\"a\": 1}"[..], 1),
            (b"#v\na b\nq</w>xx\n", 3),
            (b"#v\na b\nab zz", 3),
            (b"", 1),
        ] {
            match Tokenizer::from_merges(file) {
                Err(TokenizerError::Merges { line: found, .. }) => assert_eq!(found, line),
                other => panic!("{other:?}"),
            }
        }
    }
}
