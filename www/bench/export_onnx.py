#!/usr/bin/env python3
"""Writes the models that the bench compares: the same weights for sam2-web and, as ONNX, for ONNX Runtime Web.

    export_onnx.py --out DIR [--models nano,tiny]

Into DIR: for each model NAME.safetensors, NAME.encoder.onnx, NAME.decoder.onnx, NAME.refiner.onnx (the decoder that also
takes a mask prompt), and manifest.json, which says how large they are and how many floating-point operations they cost.
`nano` is the trained model of this repository; `tiny` is the official variant on the made-up weights of
tests/parity/fixtures/tiny_synthetic. The graphs are exported from the official PyTorch modules (PyPI `sam2`).

Needs requirements.txt beside this file; pkg-scripts/bench installs them into an environment of their own.
"""
import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxslim
import torch
from safetensors.torch import load_file, save_file
from sam2.build_sam import build_sam2
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT / "weights/nano"), str(ROOT / "tests/parity")]

# The newest that both the TorchScript exporter writes and every onnxruntime-web since 1.16 reads.
OPSET = 17


class Encoder(torch.nn.Module):
    """Normalised pictures (1,3,S,S) to what a prompt reads: (1,d/8,S/4,S/4), (1,d/4,S/8,S/8), (1,d,S/16,S/16)."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels):
        fine, middle, coarse = self.model.forward_image(pixels)["backbone_fpn"][:3]
        return fine, middle, coarse + self.model.no_mem_embed.reshape(1, -1, 1, 1)


class Decoder(torch.nn.Module):
    """B prompts of N points on one picture to three candidate masks each: logits (B,3,S/4,S/4), IoUs (B,3), objects (B,1).

    Points are in the network's pixels, labels 0, 1, 2 and 3 (box corners) and -1 (padding), as SAM2ImagePredictor
    gives them to its model: after a click without a box comes one point of padding, which this adds itself.
    """

    def __init__(self, model, with_mask):
        super().__init__()
        self.model, self.with_mask = model, with_mask
        self.register_buffer("image_pe", model.sam_prompt_encoder.get_dense_pe().detach())

    def forward(self, fine, middle, coarse, points, labels, mask=None):
        prompts = self.model.sam_prompt_encoder
        batch = points.shape[0]
        sparse = prompts._embed_points(points, labels, pad=True)
        if self.with_mask:
            dense = prompts._embed_masks(mask)
        else:
            dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(coarse)
        # One picture for all prompts; the sum with the dense prompt, or this, repeats it.
        source = coarse.expand(batch, -1, -1, -1)
        masks, ious, _, objects = self.model.sam_mask_decoder.predict_masks(
            image_embeddings=source,
            image_pe=self.image_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=False,
            high_res_features=[fine, middle],
        )
        return masks[:, 1:], ious[:, 1:], objects


def load(name):
    """The official model in evaluation mode, its weights as they go into the safetensors file, and the file's metadata."""
    if name == "nano":
        import model as nano

        built = nano.build(postprocessing=True)
        path = ROOT / "weights/nano.safetensors"
        state = load_file(path)
        built.load_state_dict({key: value.float() for key, value in state.items()})
        return built.eval(), path.read_bytes()
    from make_fixture import det_tensor

    recipe = json.loads((ROOT / "tests/parity/fixtures/tiny_synthetic/weights.json").read_text())
    built = build_sam2(recipe["base"], device="cpu")
    state = {
        entry["name"]: det_tensor(
            entry.get("stream") or entry["name"], recipe["seed"], entry["shape"], entry["offset"], entry["amp"]
        )
        for entry in recipe["weights"]
    }
    built.load_state_dict(state)
    return built.eval(), {key: value.half() for key, value in state.items()}


def export(module, inputs, names, outputs, dynamic, path):
    torch.onnx.export(
        module, inputs, str(path), input_names=names, output_names=outputs, dynamic_axes=dynamic,
        opset_version=OPSET, dynamo=False, do_constant_folding=True,
    )  # fmt: skip
    # onnxruntime-web refuses the exporter's encoder for a conflict of shapes; slimmed, it loads.
    slim = onnxslim.slim(str(path))
    onnx.save(slim, str(path))
    wanted = module(*inputs)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in zip(names, inputs)})
    difference = max(float(np.abs(a - b.numpy()).max() / b.abs().max()) for a, b in zip(found, wanted))
    print(f"    {path.name}: {path.stat().st_size / 1e6:.1f} MB, onnxruntime differs by {difference:.1e} of scale", flush=True)
    if difference > 1e-3:
        raise SystemExit(f"{path.name} does not compute what the PyTorch module does")


def gflop(module, inputs):
    # The fused attention of the CPU is not counted; its parts are.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return round(counter.get_total_flops() / 1e9, 3)


@torch.no_grad()
def make(name, out):
    model, weights = load(name)
    side = model.image_size
    file = out / f"{name}.safetensors"
    if isinstance(weights, bytes):
        file.write_bytes(weights)
    else:
        save_file(weights, file)

    encoder = Encoder(model)
    pixels = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, side, side), np.float32))
    features = encoder(pixels)
    levels = ["fine", "middle", "coarse"]
    export(encoder, (pixels,), ["pixels"], levels, {}, out / f"{name}.encoder.onnx")

    points = torch.tensor([[[0.3, 0.4]], [[0.6, 0.5]]]) * side
    labels = torch.tensor([[1.0], [1.0]])
    mask = torch.randn(2, 1, side // 4, side // 4, generator=torch.Generator().manual_seed(0))
    axes = {"points": {0: "prompts", 1: "count"}, "labels": {0: "prompts", 1: "count"}}
    answers = ["masks", "ious", "objects"]
    batched = {key: {0: "prompts"} for key in ["mask", *answers]}
    decoder, refiner = Decoder(model, False), Decoder(model, True)
    names = [*levels, "points", "labels"]
    export(
        decoder, (*features, points, labels), names, answers,
        axes | {key: batched[key] for key in answers}, out / f"{name}.decoder.onnx",
    )  # fmt: skip
    export(
        refiner, (*features, points, labels, mask), [*names, "mask"], answers,
        axes | batched, out / f"{name}.refiner.onnx",
    )  # fmt: skip
    many = (torch.rand(64, 1, 2) * side, torch.ones(64, 1))
    return {
        "side": side,
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflop": {
            "encode": gflop(encoder, (pixels,)),
            "decode": gflop(decoder, (*features, points[:1], labels[:1])),
            "decode64": gflop(decoder, (*features, *many)),
        },
        "bytes": {
            key: (out / f"{name}.{key}").stat().st_size
            for key in ["safetensors", "encoder.onnx", "decoder.onnx", "refiner.onnx"]
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", default="nano,tiny")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = {name: make(name, args.out) for name in args.models.split(",")}
    (args.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
