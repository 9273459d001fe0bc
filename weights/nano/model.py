"""Builds nano from its YAML with the official SAM 2 classes, at any picture size that is a multiple of 128.

There are two editions, nano.yaml and second.yaml; the scripts take the other one by --config.
"""
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

CONFIG = Path(__file__).with_name("nano.yaml")  # of the edition that build() builds; use() chooses another

# What the official build_sam adds for inference (dynamic multimask by stability).
POSTPROCESSING = dict(
    dynamic_multimask_via_stability=True,
    dynamic_multimask_stability_delta=0.05,
    dynamic_multimask_stability_thresh=0.98,
)


def option(parser):
    """The argument by which a script chooses the edition, to be given to use()."""
    parser.add_argument("--config", type=Path, default=CONFIG, help="second.yaml for the second edition")


def use(config):
    global CONFIG
    CONFIG = config


def build(image_size=None, postprocessing=False, video=False):
    """The official SAM2Base, or the official SAM2VideoPredictor. No weight depends on the size, so one state_dict fits every `image_size`."""
    model = OmegaConf.load(CONFIG).model
    if image_size is not None:
        model.image_size = image_size
        grid = [image_size // 16] * 2
        model.memory_attention.layer.self_attention.feat_sizes = grid
        model.memory_attention.layer.cross_attention.feat_sizes = grid
        trunk = model.image_encoder.trunk
        if "window_spec" in trunk:  # smaller windows for small pictures, so that they need no padding either
            trunk.window_spec = [min(w, image_size // s) for w, s in zip(trunk.window_spec, (4, 8, 16, 32))]
    if postprocessing:
        model.sam_mask_decoder_extra_args = POSTPROCESSING
    if video:
        model._target_ = "sam2.sam2_video_predictor.SAM2VideoPredictor"
        model.binarize_mask_from_pts_for_mem_enc = True  # as the official build_sam does
    return instantiate(model, _recursive_=True)


def image_features(model, pictures):
    """Normalised pictures (B,3,S,S) -> (stride 4, stride 8, embedding with no_mem_embed), as set_image makes them."""
    fpn = model.forward_image(pictures)["backbone_fpn"]
    embedding = fpn[2] + model.no_mem_embed.reshape(1, -1, 1, 1)
    return fpn[0], fpn[1], embedding


def recalled(model, features):
    """The features as they come out of a memory attention that recalls nothing: through its last norm."""
    s0, s1, embedding = features
    plain = embedding - model.no_mem_embed.reshape(1, -1, 1, 1)
    plain = plain + 0.1 * model.image_encoder.neck.position_encoding(plain)
    return s0, s1, model.memory_attention.norm(plain.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def decode(model, features, points, labels, mask_input=None):
    """One prompt a row. Returns logits (N,4,h,w), predicted IoUs (N,4) and object scores (N,1): token 0 is the single mask."""
    s0, s1, embedding = features
    sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=mask_input)
    masks, ious, _, objects = model.sam_mask_decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=[s0, s1],
    )
    return masks, ious, objects


def values(stored):
    """The tensors of a safetensors file as float32, those in 8 bits (`sam2 convert --dtype q8`) times their scales."""
    scales = {k: stored.pop(f"{k}.scale").float() for k in [k for k, v in stored.items() if v.dtype == torch.int8]}
    return {k: v.float() * scales.get(k, 1.0) for k, v in stored.items()}


def load(model, path):
    """Reads exported safetensors, also in 8 bits, or a training checkpoint (its averaged weights)."""
    if str(path).endswith(".safetensors"):
        from safetensors.torch import load_file

        state = values(load_file(path))
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)["ema"]
    model.load_state_dict(state, strict=True)
    return model
