//! The vision tower with its heads (`Owlv2ForObjectDetection` without the text tower).

use burn::tensor::{Tensor, activation};
use sam2_ops::{
    Implementation, LayerNorm, Mlp, Parameter, ParameterSpec, TensorSource, Weights, WeightsError,
    list_parameters,
};

use crate::encoder::EPS;
use crate::heads::{ClassFeatures, ClassHead, box_bias, load_box_head};
use crate::{LoadError, Owlv2Config, TextEncoder, VisionTransformer};

/// The vision tower and its heads, for pictures of one side.
#[derive(Debug)]
pub struct ObjectDetection {
    /// The vision tower.
    pub vision_model: VisionTransformer,
    layer_norm: LayerNorm,
    class_head: ClassHead,
    box_head: Mlp,
    objectness_head: Mlp,
    /// `[n, 4]`.
    box_bias: Parameter<2>,
    side: usize,
    implementation: Implementation,
}

/// What the network knows of a picture, whatever is looked for.
#[derive(Clone, Debug)]
pub struct Features {
    /// `[n, c]`: the features of the patches, row by row (`image_embeds`).
    pub image_embeds: Tensor<2>,
    /// The class embeddings.
    pub classes: ClassFeatures,
    /// `[n, 4]`: a box for each patch, as centre x and y, width and height, relative to the square of the picture's longer
    /// side (`pred_boxes`).
    pub boxes: Tensor<2>,
    /// `[n, 1]`: the logits of there being an object, whatever it is (`objectness_logits`).
    pub objectness: Tensor<2>,
}

impl ObjectDetection {
    /// Builds the vision tower and the heads from their tensors, for pictures of `side` pixels.
    ///
    /// # Errors
    /// The configuration or the side cannot be run, or a tensor is missing or has another shape.
    pub fn load(
        config: &Owlv2Config,
        side: usize,
        source: &mut dyn TensorSource,
        implementation: &Implementation,
    ) -> Result<Self, LoadError> {
        config.validate()?;
        config.check_side(side)?;
        Ok(Self::load_from(
            config,
            side,
            Weights::new(source, implementation),
        )?)
    }

    fn load_from(config: &Owlv2Config, side: usize, mut weights: Weights) -> Result<Self, WeightsError> {
        let (c, d) = (config.vision_config.hidden_size, config.text_config.hidden_size);
        let grid = side / config.vision_config.patch_size;
        let vision = weights.at("owlv2.vision_model");
        Ok(Self {
            vision_model: VisionTransformer::load(&config.vision_config, side, vision)?,
            layer_norm: LayerNorm::load(weights.at("layer_norm"), c, EPS)?,
            class_head: ClassHead::load(weights.at("class_head"), c, d)?,
            box_head: load_box_head(weights.at("box_head"), c, 4)?,
            objectness_head: load_box_head(weights.at("objectness_head"), c, 1)?,
            box_bias: weights.table([grid * grid, 4], || box_bias(grid)),
            side,
            implementation: weights.implementation().clone(),
        })
    }

    /// The side of the network's pictures in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The implementation that computes the network.
    pub fn implementation(&self) -> &Implementation {
        &self.implementation
    }

    /// A picture `[1, 3, side, side]` of [`crate::preprocess`].
    pub fn encode(&self, picture: Tensor<4>) -> Features {
        let tokens = self.vision_model.forward(picture);
        let [_, n, c] = tokens.dims();
        let tokens = tokens.reshape([n, c]);
        let class_token = tokens.clone().narrow(0, 0, 1);
        let image_embeds = self.layer_norm.forward(tokens.narrow(0, 1, n - 1) * class_token);
        let boxes = self.box_head.forward(image_embeds.clone()) + self.box_bias.value();
        Features {
            classes: self.class_head.features(image_embeds.clone()),
            boxes: activation::sigmoid(boxes),
            objectness: self.objectness_head.forward(image_embeds.clone()),
            image_embeds,
        }
    }

    /// The logit of each patch for each query `[q, d]`, at least one: embeddings of texts ([`TextEncoder::encode`]) or of
    /// patches ([`ClassFeatures::embeds`]). The result is `[n, q]`.
    pub fn logits(&self, features: &Features, queries: Tensor<2>) -> Tensor<2> {
        self.class_head.logits(&features.classes, queries)
    }
}

/// Every tensor that the network takes, with its text tower, by transformers' names. A published file also has
/// `owlv2.visual_projection` and `owlv2.logit_scale`, which only compare whole pictures with texts.
pub fn parameters(config: &Owlv2Config) -> Vec<ParameterSpec> {
    let load = |mut weights: Weights<'_>| {
        ObjectDetection::load_from(config, config.vision_config.image_size, weights.root())?;
        TextEncoder::load_from(config, weights)?;
        Ok::<_, WeightsError>(())
    };
    list_parameters(load).unwrap_or_default()
}
