#!/usr/bin/env python3
"""Makes the parity fixture of the EfficientNet-Lite trunk: what `weights/nano/efficientnet_lite.py` computes at every stage.

Weights follow `make_fixture.py`'s recipe. The script first checks that timm's network, with the same weights and batch norms that
change nothing, has the same features; its own names are the fixture's.

  pip install torch==2.8.0 timm==1.0.31 safetensors numpy
  make_lite_fixture.py --out fixtures/lite_micro
  make_lite_fixture.py --check-lite2       # the check alone, of the whole tf_efficientnet_lite2 at 512 pixels
  make_lite_fixture.py --weights second_edition.safetensors --out OUT      # trained weights, with sam2==1.1.0

With --weights, the trunk and the official neck are those of a file, and a part of their features is written: what
`tests/lite.rs` compares where SAM2_LITE_FIXTURE and SAM2_LITE_WEIGHTS name them.

`lite_micro` is tf_efficientnet_lite2 with a quarter of its channels and at most two blocks a stage, on pictures of 64 pixels.
"""

import argparse, copy, hashlib, json, sys
from pathlib import Path
import numpy as np
import torch
from safetensors.torch import save_file
from functools import partial

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "weights/nano"))
from efficientnet_lite import EfficientNetLite, MEAN, SAM_MEAN, SAM_STD, STD

torch.set_grad_enabled(False)
SEED = 7
TAPS = [1, 2, 4, 6]
# Kernel, stride, expansion, channels, blocks.
LITE2 = [[3, 1, 1, 16, 1], [3, 2, 6, 24, 3], [5, 2, 6, 48, 3], [3, 2, 6, 88, 4], [5, 1, 6, 120, 4], [5, 2, 6, 208, 5], [3, 1, 6, 352, 1]]
MICRO = [[k, s, e, c // 2 // 4 * 4 if c < 48 else c // 4 // 4 * 4, min(n, 2)] for k, s, e, c, n in LITE2]
M64 = (1 << 64) - 1


def fnv1a64(text):
    h = 0xCBF29CE484222325
    for b in text.encode():
        h = ((h ^ b) * 0x100000001B3) & M64
    return h


def det_tensor(name, shape, offset, amp):
    """as in make_fixture.py: a pure function of name and seed, exact in f16"""
    g, n = 0x9E3779B97F4A7C15, int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a64(name) ^ ((SEED * g) & M64)) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(g)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    v = offset + amp * ((z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0)
    return torch.from_numpy(v.astype(np.float32).astype(np.float16).astype(np.float32).reshape(shape))


def seeded(model):
    """the model with the recipe's weights, and the recipe"""
    entries, state = [], {}
    for name, t in model.state_dict().items():
        # Before a ReLU6, twice the variance, so that the signal stays; biases away from zero, so that padding counts.
        offset, amp = (0.05, 0.2) if name.endswith("bias") else (0.0, round((6.0 / t[0].numel()) ** 0.5, 6))
        full = f"image_encoder.trunk.{name}"
        entries.append(dict(name=full, shape=list(t.shape), offset=offset, amp=amp))
        state[name] = det_tensor(full, tuple(t.shape), offset, amp)
    model.load_state_dict(state)
    return model.eval(), entries


def timms(stem, stages):
    """timm's network of these sizes, as `timm.models.efficientnet._gen_efficientnet_lite` builds it"""
    from timm.models.efficientnet import EfficientNetFeatures, decode_arch_def, round_channels

    arch = [
        [f"ds_r{n}_k{k}_s{s}_e1_c{c}" if e == 1 else f"ir_r{n}_k{k}_s{s}_e{e}_c{c}"] for k, s, e, c, n in stages
    ]
    return EfficientNetFeatures(
        block_args=decode_arch_def(arch),
        out_indices=(1, 2, 3, 4),
        stem_size=stem,
        fix_stem=True,
        round_chs_fn=partial(round_channels, multiplier=1.0, divisor=1),
        act_layer=torch.nn.ReLU6,
        norm_layer=partial(torch.nn.BatchNorm2d, eps=1e-3),
        pad_type="same",
    ).eval()


def check(model, theirs, picture):
    """timm's features of the same weights, whose batch norms only add the biases, in f64"""
    model, theirs, picture = model.double(), theirs.double(), picture.double()
    state = theirs.state_dict()
    ours = model.state_dict()
    norm = {"conv_stem": "bn1", "conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"}
    taken = set()
    for name, value in ours.items():
        conv, part = name.rsplit(".", 1)
        taken.add(name)
        if part == "weight":
            state[name] = value
            continue
        parent, _, kind = conv.rpartition(".")
        bn = norm[kind]
        if kind in ("conv_dw", "conv_pw") and f"{parent}.conv_pwl.weight" not in ours:
            bn = {"conv_dw": "bn1", "conv_pw": "bn2"}[kind]
        bn = f"{parent}.{bn}" if parent else bn
        state[f"{bn}.weight"] = torch.full_like(value, (1 + 1e-3) ** 0.5)
        state[f"{bn}.bias"] = value
    assert taken == set(ours) and all(n in state for n in ours if n.endswith("weight"))
    theirs.load_state_dict(state)
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) * 255 for v in (SAM_MEAN, SAM_STD))
    # The module's own are f32, whose rounding grows on the way.
    model.scale, model.shift = std / STD, (mean - MEAN) / STD
    for i, (a, b) in enumerate(zip(model(picture), theirs((picture * std + mean - MEAN) / STD), strict=True)):
        apart = float((a - b).abs().max() / b.abs().max())
        print(f"stage {i}: {tuple(a.shape)}, {apart:.1e} of timm's scale")
        assert apart < 1e-9 and float(b.std()) > 0.01


def picture(side):
    return det_tensor("picture", (1, 3, side, side), 0.0, 2.0)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--out", type=Path)
    args.add_argument("--check-lite2", action="store_true")
    args.add_argument("--weights", type=Path)
    args = args.parse_args()
    if args.check_lite2:
        import timm

        model, _ = seeded(EfficientNetLite(32, LITE2, TAPS))
        check(model, timm.create_model("tf_efficientnet_lite2", features_only=True, out_indices=(1, 2, 3, 4)).eval(), picture(512))
        return
    if args.weights:
        return trained(args.weights, args.out)
    model, entries = seeded(EfficientNetLite(16, MICRO, TAPS))
    x = picture(64)
    check(copy.deepcopy(model), timms(16, MICRO), x)
    tensors = {"input": x, "stem": model_stem(model, x)}
    tensors |= {f"trunk.{i}": t for i, t in enumerate(model(x))}
    sha = hashlib.sha256()
    for e in sorted(entries, key=lambda e: e["name"].encode()):
        sha.update(e["name"].encode())
        sha.update(det_tensor(e["name"], e["shape"], e["offset"], e["amp"]).numpy().tobytes())
    rows = ",\n".join(json.dumps(e) for e in entries)
    write(args.out, tensors, 1, weights_sha256=sha.hexdigest(), stem=16, stages=MICRO, taps=TAPS)
    (args.out / "weights.json").write_text(f'{{"seed": {SEED}, "weights": [\n{rows}\n]}}\n')


def write(out, tensors, stride, **events):
    """every `stride`th value of the tensors, and what the tests know about them"""
    info = {
        k: dict(shape=list(t.shape), min=float(t.min()), max=float(t.max())) | (dict(stride=stride) if stride > 1 else {})
        for k, t in tensors.items()
    }
    kept = {k + "@s" * (stride > 1): t.flatten()[::stride].clone() if stride > 1 else t.contiguous() for k, t in tensors.items()}
    out.mkdir(parents=True, exist_ok=True)
    events |= dict(torch=torch.__version__, tensors=info)
    (out / "events.json").write_text(json.dumps(events) + "\n")
    save_file(kept, out / "fixture.safetensors")


def trained(file, out):
    """trunk and neck of a file of nano's"""
    from safetensors.torch import safe_open
    from sam2.modeling.backbones.image_encoder import FpnNeck
    from sam2.modeling.position_encoding import PositionEmbeddingSine

    with safe_open(file, "pt") as opened:
        config = json.loads(opened.metadata()["config"])["image_encoder"]
        state = {n: opened.get_tensor(n).float() for n in opened.keys()}
    of = lambda prefix: {n[len(prefix) :]: t for n, t in state.items() if n.startswith(prefix)}
    model = EfficientNetLite(*(config["trunk"][k] for k in ("stem", "stages", "taps"))).eval()
    model.load_state_dict(of("image_encoder.trunk."))
    sizes = {k: v for k, v in config["neck"].items() if k not in ("_target_", "position_encoding")}
    neck = FpnNeck(PositionEmbeddingSine(sizes["d_model"]), **sizes).eval()
    neck.load_state_dict(of("image_encoder.neck."))
    x = picture(512)
    xs = model(x)
    tensors = {f"trunk.{i}": t for i, t in enumerate(xs)} | {f"neck.{i}": t for i, t in enumerate(neck(xs)[0])}
    write(out, tensors, 67)


def model_stem(model, x):
    """what the first convolution gives"""
    return torch.nn.functional.relu6(model.conv_stem(x * model.scale + model.shift))


if __name__ == "__main__":
    main()
