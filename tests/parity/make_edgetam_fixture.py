#!/usr/bin/env python3
"""Makes the parity fixtures of EdgeTAM: what `make_fixture.py` does, with the official code of EdgeTAM.

EdgeTAM's package (PyPI `edgetam-dimos` 1.0.1) is named `sam2` like SAM 2's, so it has an environment of its own. Its
modules compute everything here, but its video predictor is older than SAM 2.1's, whose semantics this project has for
every model: that one file comes from `sam2` 1.1.0, in a folder that SAM21 names.

  pip install torch==2.8.0 ... (requirements.txt) timm==1.0.31
  pip install --no-deps edgetam-dimos==1.0.1
  SAM2_BUILD_CUDA=0 pip install --no-build-isolation --no-deps --target sam21 sam2==1.1.0

  SAM21=sam21 make_edgetam_fixture.py --config edgetam_micro --seed 7 --recipe fixtures/edgetam_micro/weights.json \\
      --no-amg --no-alt --no-ckpt --out OUT
  SAM21=sam21 make_edgetam_fixture.py --config edgetam --seed 1 --recipe fixtures/edgetam_synthetic/weights.json \\
      --no-video --no-amg --no-ckpt --lean --sample 256 --image-size 1200x1800 --out OUT

Without --recipe it makes one. `edgetam_micro` has RepViT-M1's depths with fewer channels, pictures of 256 px, and a
perceiver of 48 free latents and of 8 x 8 latents with windows of 2 x 2.
"""

import importlib.util, os, sys
import torch, torch.nn as nn
import timm.models


# The trunk without its download, and with as many channels as the configuration's neck expects.
WIDTHS = {"edgetam": (48, 96, 192, 384), "edgetam_micro": (16, 32, 64, 128)}
CONFIG = sys.argv[sys.argv.index("--config") + 1]
import sam2.modeling.backbones.timm as backbone

backbone.create_model = lambda name, pretrained, **kw: timm.models.create_model(
    name, pretrained=False, embed_dim=WIDTHS[CONFIG], **kw
)

# SAM 2.1's predictor over EdgeTAM's modules.
spec = importlib.util.spec_from_file_location(
    "sam2.sam2_video_predictor", os.path.join(os.environ["SAM21"], "sam2", "sam2_video_predictor.py")
)
svp = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(svp)


def _get_maskmem_pos_enc(self, inference_state, current_out):
    """the same for positions of any number of axes: the official one expands four, a perceiver's have three"""
    found = current_out["maskmem_pos_enc"]
    if found is None:
        return None
    kept = inference_state["constants"].setdefault("maskmem_pos_enc", [x[0:1].clone() for x in found])
    return [x.expand(found[0].size(0), *x.shape[1:]) for x in kept]


svp.SAM2VideoPredictor._get_maskmem_pos_enc = _get_maskmem_pos_enc

# Holes are filled on CUDA devices only, as in `sam2` 1.1.0.
import sam2.utils.misc


def no_extension(mask):
    raise ImportError("connected components need the CUDA extension")


sam2.utils.misc._get_connected_components_cv2 = no_extension

import make_fixture as mf

SIDE, LATENTS, WINDOWS = 16, 48, 8
MICRO = [
    o
    for o in mf.MICRO["over"]
    if "trunk" not in o and "num_layers" not in o and "cross_attention.feat_sizes" not in o
] + [
    f"++model.memory_attention.layer.cross_attention.q_sizes=[{SIDE},{SIDE}]",
    f"++model.memory_attention.layer.cross_attention.k_sizes=[{WINDOWS},{WINDOWS}]",
    "++model.spatial_perceiver.dim=16",
    "++model.spatial_perceiver.dim_head=16",
    f"++model.spatial_perceiver.num_latents={LATENTS}",
    f"++model.spatial_perceiver.num_latents_2d={WINDOWS**2}",
    "++model.spatial_perceiver.position_encoding.num_pos_feats=16",
]


def cfgs():
    file = "configs/edgetam.yaml"
    return {"edgetam": dict(file=file, over=[]), "edgetam_micro": dict(file=file, over=MICRO)}


def recipe(model, seed, img):
    """the recipe of SAM 2's modules, with latents, and with the trunk's batch norms made for what reaches them"""
    rec = {}
    norms = {n: m for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for n in norms:
        rec |= {
            f"{n}.weight": (1.0, 0.2),
            f"{n}.bias": (0.0, 0.1),
            f"{n}.running_mean": (0.0, 0.1),
            f"{n}.running_var": (1.0, 0.3),
        }
    rec |= {n: (0.0, 1.0) for n, _ in model.named_parameters() if "spatial_perceiver.latents" in n}
    rec = mf.recipe(model, known=rec)
    model.load_state_dict(mf.build_sd(model, rec, seed))

    def measure(m, args, n):
        power = float(f"{float(args[0].square().mean()):.3g}")
        for key, entry in (("running_var", (power, 0.3 * power)), ("running_mean", (0.0, 0.1 * power**0.5))):
            rec[f"{n}.{key}"] = tuple(float(f"{x:.3g}") for x in entry)
            t = getattr(m, key)
            t.copy_(mf.det_tensor(f"{n}.{key}", seed, tuple(t.shape), *rec[f"{n}.{key}"]))

    hooks = [m.register_forward_pre_hook(lambda m, a, n=n: measure(m, a, n)) for n, m in norms.items()]
    with torch.no_grad():
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        mf.fix_feat_sizes(SAM2ImagePredictor(model)).set_image(img)
    for h in hooks:
        h.remove()
    return rec


def encode(P, model, img, R):
    """sets the picture, and records the stem, some blocks, the stages and the pyramid's levels"""
    body = model.image_encoder.trunk.body
    store = {}
    watched = {"stem": body.stem, "stage0.block0": body.stages_0.blocks[0], "stage0.block1": body.stages_0.blocks[1]}
    watched["stage1.downsample"] = body.stages_1.downsample
    hooks = [m.register_forward_hook(lambda m, i, o, k=k: store.update({k: o})) for k, m in watched.items()]
    levels = mf.encode_levels(P, model, img, R)
    for h in hooks:
        h.remove()
    for k in watched:
        R.put(f"enc.{k}", store[k])  # NCHW
    levels()


def before(model, R):
    """records one whole memory through the perceiver, and one whole frame through the memory attention"""

    def perceiver(m, args, out):
        if "perceiver.x" not in R.t:
            R.put("perceiver.x", args[0], True)
            R.put("perceiver.latents", out[0], True)
            R.put("perceiver.pos", out[1], True)

    def attention(m, args, kw, out):
        # The first frame with several memories, and with pointers.
        if kw["num_spatial_mem"] >= 3 and kw["num_obj_ptr_tokens"] and "memory_attention.curr" not in R.t:
            R.put("memory_attention.curr", kw["curr"][0], True)
            R.put("memory_attention.memory", kw["memory"].float(), True)
            R.put("memory_attention.memory_pos", kw["memory_pos"], True)
            R.put("memory_attention.out", out, True)
            R.put("memory_attention.num_spatial_mem", torch.tensor([kw["num_spatial_mem"]], dtype=torch.int32), True)

    model.spatial_perceiver.register_forward_hook(perceiver)
    model.memory_attention.register_forward_hook(attention, with_kwargs=True)


if __name__ == "__main__":
    mf.main(cfgs, recipe, encode, before)
