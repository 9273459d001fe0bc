#!/usr/bin/env python3
"""Writes the models that the bench compares: the same weights for sam2-web and, as ONNX, for ONNX Runtime Web.

    export_onnx.py --out DIR [--models nano,tiny]

Into DIR: for each model NAME.safetensors, NAME.encoder.onnx, NAME.decoder.onnx, NAME.refiner.onnx (the decoder that also
takes a mask prompt), NAME.prompter.onnx and NAME.tracker.onnx (a video's first frame and its later ones), and
manifest.json, which says how large they are and how many floating-point operations they cost.
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
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT / "weights/nano"), str(ROOT / "tests/parity")]

# The newest that both the TorchScript exporter writes and every onnxruntime-web since 1.16 reads.
OPSET = 17
# Object pointers that a frame of video looks at.
POINTERS = 16
PARTS = ["encoder", "decoder", "refiner", "prompter", "tracker"]
# Of a video's frames.
ANSWERS = ["mask", "pointer", "score", "memory"]


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


class Prompter(torch.nn.Module):
    """A click on a video's frame, without any memory, to the object's answer there and its memory.

    From what Encoder gives and the click as Decoder takes it: the best mask's logits (1,1,S/4,S/4), -1024 everywhere
    where the object is not seen; the object's pointer (1,d); its score (1,1); its memory (1,hw,m).
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, fine, middle, coarse, points, labels):
        plain = coarse - self.model.no_mem_embed.reshape(1, -1, 1, 1)
        prompt = {"point_coords": points, "point_labels": labels}
        return answer(self.model, fine, middle, coarse, plain, prompt)


class Tracker(torch.nn.Module):
    """An object on a video's next frame, in one graph: memory attention, decoder, memory encoder; answers as Prompter does.

    Beside what Encoder gives it takes M memories (M,hw,m) with the places in time that the official code calls t_pos
    (M), and P pointers (P,d) with how many frames ago they were (P); any M and P from 1.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        attention = model.memory_attention
        assert all(part.num_heads == 1 for layer in attention.layers for part in (layer.self_attn, layer.cross_attn_image))
        # Rotations as the official code multiplies them, but complex numbers don't export.
        turns = attention.layers[0].self_attn.freqs_cis
        self.register_buffer("cos", turns.real.contiguous())
        self.register_buffer("sin", turns.imag.contiguous())
        side = model.image_size // model.backbone_stride
        rows = lambda encoding, dim: encoding(torch.zeros(1, dim, side, side)).flatten(2).permute(0, 2, 1)
        self.register_buffer("position", 0.1 * rows(model.image_encoder.neck.position_encoding, model.hidden_dim))
        self.register_buffer("places", rows(model.memory_encoder.position_encoding, model.mem_dim))

    def forward(self, fine, middle, coarse, memories, times, pointers, distances):
        model = self.model
        plain = coarse - model.no_mem_embed.reshape(1, -1, 1, 1)
        placed = memories + self.places + model.maskmem_tpos_enc[model.num_maskmem - 1 - times].squeeze(1)
        # A pointer is as many tokens as memories are narrower than it.
        tokens = pointers.reshape(-1, model.hidden_dim // model.mem_dim, model.mem_dim)
        ages = model.obj_ptr_tpos_proj(get_1d_sine_pe(distances / (POINTERS - 1), model.hidden_dim))
        timed = (tokens + ages.unsqueeze(1)).reshape(1, -1, model.mem_dim)
        values = torch.cat([memories.reshape(1, -1, model.mem_dim), tokens.reshape(1, -1, model.mem_dim)], 1)

        x = plain.flatten(2).permute(0, 2, 1) + self.position
        for layer in model.memory_attention.layers:
            normed = layer.norm1(x)
            part = layer.self_attn
            x = x + self.attend(part, part.q_proj(normed), self.turned(part.k_proj(normed)), part.v_proj(normed))
            part = layer.cross_attn_image
            keys = self.turned(part.k_proj(placed)).reshape(1, -1, model.hidden_dim)
            keys = torch.cat([keys, part.k_proj(timed)], 1)
            x = x + self.attend(part, part.q_proj(layer.norm2(x)), keys, part.v_proj(values))
            x = x + layer.linear2(torch.relu(layer.linear1(layer.norm3(x))))
        source = model.memory_attention.norm(x).permute(0, 2, 1).reshape(plain.shape)
        return answer(model, fine, middle, source, plain, None)

    def attend(self, part, queries, keys, values):
        heads = [x.unsqueeze(1) for x in (self.turned(queries), keys, values)]
        return part.out_proj(torch.nn.functional.scaled_dot_product_attention(*heads).squeeze(1))

    def turned(self, x):
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack([even * self.cos - odd * self.sin, even * self.sin + odd * self.cos], -1).flatten(-2)


def answer(model, fine, middle, source, plain, prompt):
    """What Prompter and Tracker share: SAM's heads on `source`, and the memory of what they say with `plain` features."""
    _, _, _, masks, _, pointer, score = model._forward_sam_heads(
        source, point_inputs=prompt, high_res_features=[fine, middle], multimask_output=True
    )
    large = torch.nn.functional.interpolate(masks, size=(model.image_size,) * 2, mode="bilinear", align_corners=False)
    features = [plain.flatten(2).permute(2, 0, 1)]
    memory, _ = model._encode_new_memory(features, [plain.shape[-2:]], large, score, prompt is not None)
    memory = memory.flatten(2).permute(0, 2, 1)
    # To bfloat16's precision, in which the official predictor keeps memories, by Dekker's splitting.
    scaled = memory * 65537.0
    return masks, pointer, score, scaled - (scaled - memory)


def remembered(model):
    """A full bank of made-up memories: what Tracker takes after the features, and the same as the official code keeps it."""
    random = torch.Generator().manual_seed(0)
    side = model.image_size // model.backbone_stride
    outputs = [
        {
            "maskmem_features": torch.randn(1, model.mem_dim, side, side, generator=random),
            "maskmem_pos_enc": [model.memory_encoder.position_encoding(torch.zeros(1, model.mem_dim, side, side))],
            "obj_ptr": torch.randn(1, model.hidden_dim, generator=random),
        }
        for _ in range(POINTERS)
    ]
    # Frame 0 was prompted; frame 16 is next.
    bank = {"cond_frame_outputs": {0: outputs[0]}, "non_cond_frame_outputs": dict(enumerate(outputs[1:], 1))}
    recent = range(POINTERS - model.num_maskmem + 1, POINTERS)
    memories = torch.cat([outputs[at]["maskmem_features"].flatten(2).permute(0, 2, 1) for at in (0, *recent)])
    pointers = torch.cat([output["obj_ptr"] for output in outputs])
    distances = torch.arange(POINTERS, 0, -1, dtype=torch.float32)
    return (memories, torch.arange(model.num_maskmem), pointers, distances), bank


def check_tracker(model, pixels, found, bank):
    """Tracker's attention is written anew, so that it exports: it must say what the official code says."""
    _, features, positions, sizes = model._prepare_backbone_features(model.forward_image(pixels))
    wanted = model.track_step(POINTERS, False, features, positions, sizes, None, None, bank, num_frames=1000)
    memory = wanted["maskmem_features"].bfloat16().float().flatten(2).permute(0, 2, 1)
    wanted = [wanted["pred_masks"], wanted["obj_ptr"], wanted["object_score_logits"], memory]
    apart = differences(ANSWERS, found, wanted)
    print(f"    the step as exported differs from the official one of scale by {apart}; its score is {float(found[2]):.2f}", flush=True)


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
    # The exporter leaves a module, and the model in it, in the mode in which the module came.
    module.eval()
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
    apart = differences(outputs, [torch.from_numpy(values) for values in found], wanted)
    print(f"    {path.name}: {path.stat().st_size / 1e6:.1f} MB, onnxruntime differs of scale by {apart}", flush=True)


def differences(names, found, wanted):
    """The largest difference of each output, in parts of its largest number; stops where one is too large."""
    apart = {name: float((a - b).abs().max() / b.abs().max()) for name, a, b in zip(names, found, wanted)}
    for name, difference in apart.items():
        # What lies between two numbers of bfloat16 may be rounded to either, and they are up to 2**-7 apart; what differs
        # before the rounding (logits near 0, which the memory encoder multiplies by 20) may add another such step.
        if not difference <= (2**-6 if name == "memory" else 1e-3):
            raise SystemExit(f"the exported graph does not compute what the official modules do: {apart}")
    return ", ".join(f"{difference:.1e} ({name})" for name, difference in apart.items())


def gflop(module, inputs):
    # The fused attention of the CPU is not counted; its parts are.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return round(counter.get_total_flops() / 1e9, 3)


@torch.no_grad()
def make(name, out):
    model, weights = load(name)
    # As the official build of the video predictor sets it.
    model.binarize_mask_from_pts_for_mem_enc = True
    model.requires_grad_(False)
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
    names = [*levels, "points", "labels"]
    export(Prompter(model), (*features, points[:1], labels[:1]), names, ANSWERS, {}, out / f"{name}.prompter.onnx")
    tracker = Tracker(model)
    remember, bank = remembered(model)
    check_tracker(model, pixels, tracker(*features, *remember), bank)
    recalls = ["memories", "times", "pointers", "distances"]
    axes = {key: {0: "memories"} for key in recalls[:2]} | {key: {0: "pointers"} for key in recalls[2:]}
    export(tracker, (*features, *remember), [*levels, *recalls], ANSWERS, axes, out / f"{name}.tracker.onnx")
    many = (torch.rand(64, 1, 2) * side, torch.ones(64, 1))
    return {
        "side": side,
        "memories": model.num_maskmem,
        "pointers": POINTERS,
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflop": {
            "encode": gflop(encoder, (pixels,)),
            "decode": gflop(decoder, (*features, points[:1], labels[:1])),
            "decode64": gflop(decoder, (*features, *many)),
            "track": gflop(tracker, (*features, *remember)),
        },
        "bytes": {
            key: (out / f"{name}.{key}").stat().st_size
            for key in ["safetensors", *(f"{part}.onnx" for part in PARTS)]
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", default="nano,tiny")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "manifest.json"
    # Of the models made earlier, too.
    manifest = json.loads(file.read_text()) if file.exists() else {}
    for name in args.models.split(","):
        manifest[name] = make(name, args.out)
        file.write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
