//! The names and shapes of every tensor of the official `state_dict`, from a configuration.

use crate::config::{Sam2Config, Version};

/// One tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Official name.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
}

impl ParameterSpec {
    /// Whether only video needs it; see [`is_memory`].
    pub fn is_memory(&self) -> bool {
        is_memory(&self.name)
    }
}

/// Whether a tensor (by official name) belongs to the memory part, that pictures do without:
/// a checkpoint of an image-only model has none of these.
pub fn is_memory(name: &str) -> bool {
    const EXACT: [&str; 4] = [
        "maskmem_tpos_enc",
        "no_mem_pos_enc",
        "no_obj_ptr",
        "no_obj_embed_spatial",
    ];
    const MODULES: [&str; 5] = [
        "memory_attention.",
        "memory_encoder.",
        "mask_downsample.",
        "obj_ptr_proj.",
        "obj_ptr_tpos_proj.",
    ];
    EXACT.contains(&name) || MODULES.iter().any(|module| name.starts_with(module))
}

// Widths that are hard-coded upstream.
const DECODER_LAYERS: usize = 2;
const DECODER_MLP: usize = 2048;
const IOU_HIDDEN: usize = 256;
const MASK_TOKENS: usize = 4;
const PROMPT_MASK_CHANNELS: [usize; 3] = [1, 4, 16];
const MEMORY_MASK_CHANNELS: [usize; 5] = [1, 4, 16, 64, 256];

impl Sam2Config {
    /// Every tensor of the official `state_dict` for this configuration, grouped by module.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut list = List::default();
        let (d_model, mem_dim) = (self.neck.d_model, self.memory_encoder.out_dim);
        list.add("maskmem_tpos_enc", [self.num_maskmem, 1, 1, mem_dim]);
        list.add("no_mem_embed", [1, 1, d_model]);
        list.add("no_mem_pos_enc", [1, 1, d_model]);
        list.add("no_obj_ptr", [1, d_model]);
        if self.version == Version::V2_1 {
            list.add("no_obj_embed_spatial", [1, mem_dim]);
        }
        self.trunk(&mut list);
        self.neck(&mut list);
        list.affine("mask_downsample", [1, 1, 4, 4]);
        self.memory_attention(&mut list);
        self.memory_encoder(&mut list);
        self.prompt_encoder(&mut list);
        self.mask_decoder(&mut list);
        list.mlp("obj_ptr_proj.layers", &[d_model; 4]);
        if self.version == Version::V2_1 {
            list.affine("obj_ptr_tpos_proj", [mem_dim, d_model]);
        }
        list.0
    }

    fn trunk(&self, list: &mut List) {
        let trunk = &self.trunk;
        let [height, width] = trunk.window_pos_embed_bkg_spatial_size;
        let mut dim = trunk.embed_dim;
        list.add("image_encoder.trunk.pos_embed", [1, dim, height, width]);
        list.add(
            "image_encoder.trunk.pos_embed_window",
            [1, dim, trunk.window_spec[0], trunk.window_spec[0]],
        );
        list.affine("image_encoder.trunk.patch_embed.proj", [dim, 3, 7, 7]);
        let mut index = 0;
        for (stage, &blocks) in trunk.stages.iter().enumerate() {
            for first in (0..blocks).map(|block| block == 0) {
                let block = format!("image_encoder.trunk.blocks.{index}");
                let out = if first && stage > 0 { 2 * dim } else { dim };
                list.norm(format!("{block}.norm1"), dim);
                list.affine(format!("{block}.attn.qkv"), [3 * out, dim]);
                list.affine(format!("{block}.attn.proj"), [out, out]);
                list.norm(format!("{block}.norm2"), out);
                list.mlp(format!("{block}.mlp.layers"), &[out, 4 * out, out]);
                if out != dim {
                    list.affine(format!("{block}.proj"), [out, dim]);
                }
                dim = out;
                index += 1;
            }
        }
    }

    fn neck(&self, list: &mut List) {
        for (level, &channels) in self.neck.backbone_channel_list.iter().enumerate() {
            list.affine(
                format!("image_encoder.neck.convs.{level}.conv"),
                [self.neck.d_model, channels, 1, 1],
            );
        }
    }

    fn memory_attention(&self, list: &mut List) {
        let (d_model, hidden) = (self.neck.d_model, self.memory_attention.dim_feedforward);
        for index in 0..self.memory_attention.num_layers {
            let layer = format!("memory_attention.layers.{index}");
            list.attention(format!("{layer}.self_attn"), d_model, d_model, d_model);
            list.attention(
                format!("{layer}.cross_attn_image"),
                d_model,
                d_model,
                self.memory_encoder.out_dim,
            );
            list.affine(format!("{layer}.linear1"), [hidden, d_model]);
            list.affine(format!("{layer}.linear2"), [d_model, hidden]);
            for norm in 1..=3 {
                list.norm(format!("{layer}.norm{norm}"), d_model);
            }
        }
        list.norm("memory_attention.norm", d_model);
    }

    fn memory_encoder(&self, list: &mut List) {
        let d_model = self.neck.d_model;
        // Conv, layer norm and GELU take three places each in the official Sequential.
        for (index, pair) in MEMORY_MASK_CHANNELS.windows(2).enumerate() {
            let encoder = "memory_encoder.mask_downsampler.encoder";
            list.affine(format!("{encoder}.{}", 3 * index), [pair[1], pair[0], 3, 3]);
            list.norm(format!("{encoder}.{}", 3 * index + 1), pair[1]);
        }
        let widest = MEMORY_MASK_CHANNELS[MEMORY_MASK_CHANNELS.len() - 1];
        list.affine(
            "memory_encoder.mask_downsampler.encoder.12",
            [d_model, widest, 1, 1],
        );
        list.affine("memory_encoder.pix_feat_proj", [d_model, d_model, 1, 1]);
        for index in 0..self.memory_encoder.fuser_layers {
            let layer = format!("memory_encoder.fuser.layers.{index}");
            list.add(format!("{layer}.gamma"), [d_model]);
            list.affine(format!("{layer}.dwconv"), [d_model, 1, 7, 7]);
            list.norm(format!("{layer}.norm"), d_model);
            list.affine(format!("{layer}.pwconv1"), [4 * d_model, d_model]);
            list.affine(format!("{layer}.pwconv2"), [d_model, 4 * d_model]);
        }
        list.affine(
            "memory_encoder.out_proj",
            [self.memory_encoder.out_dim, d_model, 1, 1],
        );
    }

    fn prompt_encoder(&self, list: &mut List) {
        let d_model = self.neck.d_model;
        let prefix = "sam_prompt_encoder";
        list.add(
            format!("{prefix}.pe_layer.positional_encoding_gaussian_matrix"),
            [2, d_model / 2],
        );
        for label in 0..4 {
            list.add(format!("{prefix}.point_embeddings.{label}.weight"), [1, d_model]);
        }
        list.add(format!("{prefix}.not_a_point_embed.weight"), [1, d_model]);
        for (index, pair) in PROMPT_MASK_CHANNELS.windows(2).enumerate() {
            list.affine(
                format!("{prefix}.mask_downscaling.{}", 3 * index),
                [pair[1], pair[0], 2, 2],
            );
            list.norm(format!("{prefix}.mask_downscaling.{}", 3 * index + 1), pair[1]);
        }
        list.affine(
            format!("{prefix}.mask_downscaling.6"),
            [d_model, PROMPT_MASK_CHANNELS[2], 1, 1],
        );
        list.add(format!("{prefix}.no_mask_embed.weight"), [1, d_model]);
    }

    fn mask_decoder(&self, list: &mut List) {
        let d_model = self.neck.d_model;
        let (half, quarter, eighth) = (d_model / 2, d_model / 4, d_model / 8);
        let prefix = "sam_mask_decoder";
        for index in 0..DECODER_LAYERS {
            let layer = format!("{prefix}.transformer.layers.{index}");
            list.attention(format!("{layer}.self_attn"), d_model, d_model, d_model);
            list.norm(format!("{layer}.norm1"), d_model);
            list.attention(
                format!("{layer}.cross_attn_token_to_image"),
                d_model,
                half,
                d_model,
            );
            list.norm(format!("{layer}.norm2"), d_model);
            list.mlp(format!("{layer}.mlp.layers"), &[d_model, DECODER_MLP, d_model]);
            list.norm(format!("{layer}.norm3"), d_model);
            list.norm(format!("{layer}.norm4"), d_model);
            list.attention(
                format!("{layer}.cross_attn_image_to_token"),
                d_model,
                half,
                d_model,
            );
        }
        list.attention(
            format!("{prefix}.transformer.final_attn_token_to_image"),
            d_model,
            half,
            d_model,
        );
        list.norm(format!("{prefix}.transformer.norm_final_attn"), d_model);
        list.add(format!("{prefix}.iou_token.weight"), [1, d_model]);
        list.add(format!("{prefix}.mask_tokens.weight"), [MASK_TOKENS, d_model]);
        list.add(format!("{prefix}.obj_score_token.weight"), [1, d_model]);
        // Transposed convolutions: input channels first.
        list.add(
            format!("{prefix}.output_upscaling.0.weight"),
            [d_model, quarter, 2, 2],
        );
        list.add(format!("{prefix}.output_upscaling.0.bias"), [quarter]);
        list.norm(format!("{prefix}.output_upscaling.1"), quarter);
        list.add(
            format!("{prefix}.output_upscaling.3.weight"),
            [quarter, eighth, 2, 2],
        );
        list.add(format!("{prefix}.output_upscaling.3.bias"), [eighth]);
        list.affine(format!("{prefix}.conv_s0"), [eighth, d_model, 1, 1]);
        list.affine(format!("{prefix}.conv_s1"), [quarter, d_model, 1, 1]);
        for token in 0..MASK_TOKENS {
            let mlp = format!("{prefix}.output_hypernetworks_mlps.{token}.layers");
            list.mlp(mlp, &[d_model, d_model, d_model, eighth]);
        }
        list.mlp(
            format!("{prefix}.iou_prediction_head.layers"),
            &[d_model, IOU_HIDDEN, IOU_HIDDEN, MASK_TOKENS],
        );
        list.mlp(
            format!("{prefix}.pred_obj_score_head.layers"),
            &[d_model, d_model, d_model, 1],
        );
    }
}

/// The list under construction.
#[derive(Default)]
struct List(Vec<ParameterSpec>);

impl List {
    fn add<const D: usize>(&mut self, name: impl Into<String>, shape: [usize; D]) {
        self.0.push(ParameterSpec {
            name: name.into(),
            shape: shape.to_vec(),
        });
    }

    /// A linear layer or convolution: its weight, and a bias for the first dimension.
    fn affine<const D: usize>(&mut self, module: impl std::fmt::Display, weight: [usize; D]) {
        self.add(format!("{module}.weight"), weight);
        self.add(format!("{module}.bias"), [weight[0]]);
    }

    fn norm(&mut self, module: impl std::fmt::Display, channels: usize) {
        self.affine(module, [channels]);
    }

    /// `widths.len() - 1` linear layers, numbered.
    fn mlp(&mut self, layers: impl std::fmt::Display, widths: &[usize]) {
        for (index, pair) in widths.windows(2).enumerate() {
            self.affine(format!("{layers}.{index}"), [pair[1], pair[0]]);
        }
    }

    /// Queries and output of `dim` channels, keys and values of `kv_dim`, `inner` channels between.
    fn attention(&mut self, module: impl std::fmt::Display, dim: usize, inner: usize, kv_dim: usize) {
        self.affine(format!("{module}.q_proj"), [inner, dim]);
        self.affine(format!("{module}.k_proj"), [inner, kv_dim]);
        self.affine(format!("{module}.v_proj"), [inner, kv_dim]);
        self.affine(format!("{module}.out_proj"), [dim, inner]);
    }
}
