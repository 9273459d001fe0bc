//! The configuration, with the fields of transformers' `config.json` (`Owlv2Config`). A field that the file leaves out has
//! transformers' default.

use serde::{Deserialize, Serialize};

/// Everything that is needed to build the network from its tensors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Owlv2Config {
    /// The vision transformer.
    #[serde(default)]
    pub vision_config: VisionConfig,
    /// The text transformer.
    #[serde(default)]
    pub text_config: TextConfig,
    /// The width of the projected text embeddings. The class head's is `text_config.hidden_size`, which must be the same.
    #[serde(default = "defaults::projection_dim")]
    pub projection_dim: usize,
}

/// `Owlv2VisionConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct VisionConfig {
    /// The width of a token.
    pub hidden_size: usize,
    /// The hidden width of a layer's MLP.
    pub intermediate_size: usize,
    /// The number of layers.
    pub num_hidden_layers: usize,
    /// The number of heads, which share the width equally.
    pub num_attention_heads: usize,
    /// The side, in pixels, of the pictures that the position grid was trained for.
    pub image_size: usize,
    /// The side of a patch in pixels.
    pub patch_size: usize,
}

/// `Owlv2TextConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct TextConfig {
    /// The number of tokens of the vocabulary.
    pub vocab_size: usize,
    /// The width of a token, and of the embeddings.
    pub hidden_size: usize,
    /// The hidden width of a layer's MLP.
    pub intermediate_size: usize,
    /// The number of layers.
    pub num_hidden_layers: usize,
    /// The number of heads, which share the width equally.
    pub num_attention_heads: usize,
    /// The most tokens of a text, with the two that mark its beginning and end.
    pub max_position_embeddings: usize,
}

mod defaults {
    pub fn projection_dim() -> usize {
        512
    }
}

impl Default for VisionConfig {
    /// transformers' defaults.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 768,
            patch_size: 16,
        }
    }
}

impl Default for TextConfig {
    /// transformers' defaults, which are those of `google/owlv2-base-patch16-ensemble`.
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 16,
        }
    }
}

/// Why a configuration does not describe a network that can be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a configuration.
    #[error(
        "the detector's configuration cannot be read ({reason}): expected transformers' config.json of OWLv2"
    )]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// A number is zero, too large, or does not fit another.
    #[error("configuration key `{key}` is {found}, expected {expected}")]
    Value {
        /// Dotted path.
        key: &'static str,
        /// The value.
        found: usize,
        /// What it must be.
        expected: String,
    },
    /// Pictures cannot have this side.
    #[error(
        "the detector cannot take pictures of {side} pixels: expected a multiple of {patch} from {patch} to {largest}, the side that it was trained for"
    )]
    Side {
        /// The side that was asked for.
        side: usize,
        /// The side of a patch.
        patch: usize,
        /// The side of the position grid in pixels.
        largest: usize,
    },
}

impl ConfigError {
    /// A stable code for programs: `WEIGHTS_UNSUPPORTED`, or `UNSUPPORTED_INPUT` for a side.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Value { .. } => "WEIGHTS_UNSUPPORTED",
            Self::Side { .. } => "UNSUPPORTED_INPUT",
        }
    }
}

/// The largest width, number of layers or side of a configuration. Those of the largest OWLv2 are 4096 and less.
const LARGEST: usize = 1 << 14;

/// The side of pictures that a CPU is given if nothing else is asked for, in pixels. By arithmetic it takes 91 G products,
/// where 960 takes 545 and 640 takes 183.
pub const CPU_SIDE: usize = 480;
/// The same for a GPU.
pub const GPU_SIDE: usize = 640;

impl Owlv2Config {
    /// `google/owlv2-base-patch16-ensemble`: 155 M parameters, pictures of 960 pixels.
    pub fn base_patch16() -> Self {
        Self {
            vision_config: VisionConfig {
                image_size: 960,
                ..VisionConfig::default()
            },
            text_config: TextConfig::default(),
            projection_dim: 512,
        }
    }

    /// Reads transformers' `config.json`.
    ///
    /// # Errors
    /// [`ConfigError`] if the text is not one, or describes a network that cannot be run.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(text).map_err(|error| ConfigError::Unreadable {
            reason: error.to_string(),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration as [`Self::from_json`] reads it.
    pub fn to_json(&self) -> String {
        // Structs of numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// [`ConfigError::Value`] with the first that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (vision, text) = (&self.vision_config, &self.text_config);
        let sizes = [
            ("vision_config.hidden_size", vision.hidden_size),
            ("vision_config.intermediate_size", vision.intermediate_size),
            ("vision_config.num_hidden_layers", vision.num_hidden_layers),
            ("vision_config.num_attention_heads", vision.num_attention_heads),
            ("vision_config.image_size", vision.image_size),
            ("vision_config.patch_size", vision.patch_size),
            ("text_config.hidden_size", text.hidden_size),
            ("text_config.intermediate_size", text.intermediate_size),
            ("text_config.num_hidden_layers", text.num_hidden_layers),
            ("text_config.num_attention_heads", text.num_attention_heads),
            (
                "text_config.max_position_embeddings",
                text.max_position_embeddings,
            ),
        ];
        let error = |key, found, expected| Err(ConfigError::Value { key, found, expected });
        for (key, found) in sizes {
            if !(1..=LARGEST).contains(&found) {
                return error(key, found, format!("1 to {LARGEST}"));
            }
        }
        if !(2..=1 << 20).contains(&text.vocab_size) {
            return error("text_config.vocab_size", text.vocab_size, "2 to 1048576".into());
        }
        let multiples = [
            (
                "vision_config.hidden_size",
                vision.hidden_size,
                vision.num_attention_heads,
            ),
            (
                "text_config.hidden_size",
                text.hidden_size,
                text.num_attention_heads,
            ),
        ];
        for (key, found, heads) in multiples {
            if !found.is_multiple_of(heads) {
                return error(key, found, format!("a multiple of its {heads} heads"));
            }
        }
        if self.projection_dim != text.hidden_size {
            let expected = format!("text_config.hidden_size, {}", text.hidden_size);
            return error("projection_dim", self.projection_dim, expected);
        }
        if vision.patch_size > vision.image_size {
            let expected = format!("at most vision_config.image_size, {}", vision.image_size);
            return error("vision_config.patch_size", vision.patch_size, expected);
        }
        Ok(())
    }

    /// The largest side of pictures up to `most` pixels, or the smallest that there is: [`CPU_SIDE`] and [`GPU_SIDE`] where
    /// the network was trained for larger ones.
    pub fn side_within(&self, most: usize) -> usize {
        let VisionConfig {
            patch_size: patch,
            image_size: largest,
            ..
        } = self.vision_config;
        (most.min(largest) / patch).max(1) * patch
    }

    /// Checks that pictures can have this side: a multiple of the patch's, and no larger than the network was trained for.
    ///
    /// # Errors
    /// [`ConfigError::Side`].
    pub fn check_side(&self, side: usize) -> Result<(), ConfigError> {
        let VisionConfig {
            patch_size: patch,
            image_size: largest,
            ..
        } = self.vision_config;
        match side > 0 && side.is_multiple_of(patch) && side <= largest {
            true => Ok(()),
            false => Err(ConfigError::Side { side, patch, largest }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_leaves_out_is_transformers_default() {
        let text = r#"{"vision_config": {"image_size": 960}, "text_config": {"bos_token_id": 0}, "projection_dim": 512}"#;
        assert_eq!(Owlv2Config::from_json(text), Ok(Owlv2Config::base_patch16()));
        let written = Owlv2Config::base_patch16().to_json();
        assert_eq!(Owlv2Config::from_json(&written), Ok(Owlv2Config::base_patch16()));
    }

    #[test]
    fn numbers_that_do_not_fit_are_named() {
        for (text, key) in [
            (
                r#"{"vision_config": {"hidden_size": 770}}"#,
                "vision_config.hidden_size",
            ),
            (
                r#"{"text_config": {"num_hidden_layers": 0}}"#,
                "text_config.num_hidden_layers",
            ),
            (r#"{"projection_dim": 256}"#, "projection_dim"),
            (
                r#"{"vision_config": {"patch_size": 1000}}"#,
                "vision_config.patch_size",
            ),
        ] {
            match Owlv2Config::from_json(text) {
                Err(ConfigError::Value { key: found, .. }) => assert_eq!(found, key),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(
            Owlv2Config::from_json("[1"),
            Err(ConfigError::Unreadable { .. })
        ));
    }

    #[test]
    fn sides_are_multiples_of_the_patch_up_to_the_trained_one() {
        let config = Owlv2Config::base_patch16();
        for side in [16, 480, 640, 960] {
            assert_eq!(config.check_side(side), Ok(()));
        }
        for side in [0, 500, 976] {
            assert!(config.check_side(side).is_err(), "{side}");
        }
        let within = [1, 100, CPU_SIDE, GPU_SIDE, 5000].map(|most| config.side_within(most));
        assert_eq!(within, [16, 96, 480, 640, 960]);
    }
}
