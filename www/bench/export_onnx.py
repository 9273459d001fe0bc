#!/usr/bin/env python3
"""Writes the models that the bench compares: the same weights for sam2-web and, as ONNX, for ONNX Runtime Web.

    export_onnx.py --out DIR [--models nano,tiny]
    PYTHONPATH=EDGETAM export_onnx.py --out DIR --models edgetam

Into DIR: for each model NAME.safetensors, NAME.encoder.onnx, NAME.decoder.onnx, NAME.refiner.onnx (the decoder that also
takes a mask prompt), NAME.prompter.onnx and NAME.tracker.onnx (a video's first frame and its later ones), and
manifest.json, which says how large they are and how many floating-point operations they cost.
`nano` is the trained model of this repository; `tiny` and `edgetam` are the official models on the made-up weights of
tests/parity/fixtures/tiny_synthetic and edgetam_synthetic. The graphs are exported from the official PyTorch modules: PyPI
`sam2`, and for EdgeTAM `edgetam-dimos`, which is named `sam2` too and so lies in a folder of its own. RepViT's branches are
fused as its authors do for inference.

Needs requirements.txt beside this file; pkg-scripts/bench installs them into an environment of their own.
"""
import argparse
import json
import sys
import warnings
from pathlib import Path
from types import MethodType

import numpy as np
import onnx
import onnxruntime
import onnxslim
import torch
from safetensors.torch import load_file, save_file
from sam2.build_sam import build_sam2
from sam2.modeling.sam2_utils import get_1d_sine_pe
from timm.models import create_model
from timm.utils.model import reparameterize_model
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

    Beside what Encoder gives it takes M memories (M,n,m) with the places in time that the official code calls t_pos
    (M), and P pointers (P,d) with how many frames ago they were (P), where the model uses that; any M and P from 1.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model
        attention = model.memory_attention
        assert all(part.num_heads == 1 for layer in attention.layers for part in (layer.self_attn, layer.cross_attn_image))
        # Rotations as the official code multiplies them, but complex numbers don't export.
        part = attention.layers[0].cross_attn_image
        self.register_rotations("queries", getattr(part, "freqs_cis_q", None))
        self.register_rotations("keys", getattr(part, "freqs_cis_k", None))
        side = model.image_size // model.backbone_stride
        encoding = model.image_encoder.neck.position_encoding
        self.register_buffer("position", 0.1 * rows(encoding(torch.zeros(1, model.hidden_dim, side, side))))
        self.register_buffer("places", rows(places(model)))
        # Of each memory the first tokens are not rotated where a perceiver has made them of the whole picture.
        self.free = self.places.shape[1] - len(self.cos_keys)

    def register_rotations(self, of, turns):
        if turns is None:
            turns = self.model.memory_attention.layers[0].self_attn.freqs_cis
        self.register_buffer(f"cos_{of}", turns.real.contiguous())
        self.register_buffer(f"sin_{of}", turns.imag.contiguous())

    def forward(self, fine, middle, coarse, memories, times, pointers, distances=None):
        model = self.model
        plain = coarse - model.no_mem_embed.reshape(1, -1, 1, 1)
        placed = memories + self.places + model.maskmem_tpos_enc[model.num_maskmem - 1 - times].squeeze(1)
        # A pointer is as many tokens as memories are narrower than it.
        tokens = pointers.reshape(-1, model.hidden_dim // model.mem_dim, model.mem_dim)
        timed = tokens
        if model.add_tpos_enc_to_obj_ptrs:
            ages = model.obj_ptr_tpos_proj(get_1d_sine_pe(distances / (POINTERS - 1), model.hidden_dim))
            timed = tokens + ages.unsqueeze(1)
        timed = timed.reshape(1, -1, model.mem_dim)
        values = torch.cat([memories.reshape(1, -1, model.mem_dim), tokens.reshape(1, -1, model.mem_dim)], 1)

        x = plain.flatten(2).permute(0, 2, 1) + self.position
        for layer in model.memory_attention.layers:
            normed = layer.norm1(x)
            part = layer.self_attn
            keys = turned(part.k_proj(normed), self.cos_queries, self.sin_queries)
            x = x + self.attend(part, part.q_proj(normed), keys, part.v_proj(normed))
            part = layer.cross_attn_image
            keys = part.k_proj(placed)
            if self.free:
                tail = turned(keys[:, self.free :], self.cos_keys, self.sin_keys)
                keys = torch.cat([keys[:, : self.free], tail], 1)
            else:
                keys = turned(keys, self.cos_keys, self.sin_keys)
            keys = torch.cat([keys.reshape(1, -1, model.hidden_dim), part.k_proj(timed)], 1)
            x = x + self.attend(part, part.q_proj(layer.norm2(x)), keys, part.v_proj(values))
            x = x + layer.linear2(torch.relu(layer.linear1(layer.norm3(x))))
        source = model.memory_attention.norm(x).permute(0, 2, 1).reshape(plain.shape)
        return answer(model, fine, middle, source, plain, None)

    def attend(self, part, queries, keys, values):
        queries = turned(queries, self.cos_queries, self.sin_queries)
        heads = [x.unsqueeze(1) for x in (queries, keys, values)]
        return part.out_proj(torch.nn.functional.scaled_dot_product_attention(*heads).squeeze(1))


def turned(x, cos, sin):
    """Pairs of numbers rotated as the official code does by complex multiplication."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def rows(x):
    """Tokens one behind the other, (1,n,c): a map's (1,c,h,w), or a perceiver's, which are so already."""
    return x if x.ndim == 3 else x.flatten(2).permute(0, 2, 1)


def places(model):
    """The positions of a memory's tokens, as the official code keeps them beside it."""
    side = model.image_size // model.backbone_stride
    empty = torch.zeros(1, model.mem_dim, side, side)
    positions = model.memory_encoder.position_encoding(empty)
    perceiver = getattr(model, "spatial_perceiver", None)
    return perceiver(empty, positions)[1] if perceiver else positions


def answer(model, fine, middle, source, plain, prompt):
    """What Prompter and Tracker share: SAM's heads on `source`, and the memory of what they say with `plain` features."""
    _, _, _, masks, _, pointer, score = model._forward_sam_heads(
        source, point_inputs=prompt, high_res_features=[fine, middle], multimask_output=True
    )
    large = torch.nn.functional.interpolate(masks, size=(model.image_size,) * 2, mode="bilinear", align_corners=False)
    features = [plain.flatten(2).permute(2, 0, 1)]
    memory, _ = model._encode_new_memory(features, [plain.shape[-2:]], large, score, prompt is not None)
    memory = rows(memory)
    # To bfloat16's precision, in which the official predictor keeps memories, by Dekker's splitting.
    scaled = memory * 65537.0
    return masks, pointer, score, scaled - (scaled - memory)


def remembered(model):
    """A full bank of made-up memories: what Tracker takes after the features, and the same as the official code keeps it."""
    random = torch.Generator().manual_seed(0)
    positions = places(model)
    outputs = [
        {
            "maskmem_features": torch.randn(positions.shape, generator=random),
            "maskmem_pos_enc": [positions],
            "obj_ptr": torch.randn(1, model.hidden_dim, generator=random),
        }
        for _ in range(POINTERS)
    ]
    # Frame 0 was prompted; frame 16 is next.
    bank = {"cond_frame_outputs": {0: outputs[0]}, "non_cond_frame_outputs": dict(enumerate(outputs[1:], 1))}
    recent = range(POINTERS - model.num_maskmem + 1, POINTERS)
    memories = torch.cat([rows(outputs[at]["maskmem_features"]) for at in (0, *recent)])
    taken = {
        "memories": memories,
        "times": torch.arange(model.num_maskmem),
        "pointers": torch.cat([output["obj_ptr"] for output in outputs]),
    }
    if model.add_tpos_enc_to_obj_ptrs:
        taken["distances"] = torch.arange(POINTERS, 0, -1, dtype=torch.float32)
    return taken, bank


def check_tracker(model, pixels, found, bank):
    """Tracker's attention is written anew, so that it exports: it must say what the official code says."""
    _, features, positions, sizes = model._prepare_backbone_features(model.forward_image(pixels))
    wanted = model.track_step(POINTERS, False, features, positions, sizes, None, None, bank, num_frames=1000)
    memory = rows(wanted["maskmem_features"].bfloat16().float())
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

    recipe = json.loads((ROOT / f"tests/parity/fixtures/{name}_synthetic/weights.json").read_text())
    if name == "edgetam":
        # Its trunk would fetch trained weights.
        from sam2.modeling.backbones import timm

        timm.create_model = lambda *args, **options: create_model(*args, **options | {"pretrained": False})
    built = build_sam2(recipe["base"], device="cpu")
    state = {
        entry["name"]: det_tensor(
            entry.get("stream") or entry["name"], recipe["seed"], entry["shape"], entry["offset"], entry["amp"]
        )
        for entry in recipe["weights"]
    }
    # Counters of training are no weights.
    counters = {key: value for key, value in built.state_dict().items() if not value.is_floating_point()}
    built.load_state_dict(state | counters)
    if name == "edgetam":
        fuse_branches(built)
        prompts = built.sam_prompt_encoder
        points, labels = torch.rand(2, 6, 2) * built.image_size, torch.tensor([[1.0, 0, 2, 3, -1, 1]] * 2)
        wanted = prompts._embed_points(points, labels, True)
        prompts._embed_points = MethodType(embed_points, prompts)
        differences(["points"], [prompts._embed_points(points, labels, True)], [wanted])
    return built.eval(), {key: value.half() for key, value in state.items()}


def embed_points(self, points, labels, pad):
    """EdgeTAM's `PromptEncoder._embed_points` by choices, as in `sam2`: its assignments to a part of a tensor don't export."""
    points = points + 0.5
    if pad:
        points = torch.cat([points, torch.zeros_like(points[:, :1])], 1)
        labels = torch.cat([labels, -torch.ones_like(labels[:, :1])], 1)
    embedded = self.pe_layer.forward_with_coords(points, self.input_image_size)
    labels = labels.unsqueeze(-1)
    embedded = torch.where(labels == -1, self.not_a_point_embed.weight, embedded)
    for label, kind in enumerate(self.point_embeddings):
        embedded = torch.where(labels == label, embedded + kind.weight, embedded)
    return embedded


def fuse_branches(model):
    """RepViT's convolutions beside each other, and the batch norms after them, as one convolution each."""
    trunk = model.eval().image_encoder.trunk
    pixels = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 256, 256), np.float32))
    wanted = trunk(pixels)
    trunk.body = reparameterize_model(trunk.body)
    left = [module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    if left:
        raise SystemExit(f"{len(left)} batch norms of the trunk are not fused")
    stages = [f"stage {i}" for i in range(len(wanted))]
    print(f"    the trunk as fused differs of scale by {differences(stages, trunk(pixels), wanted)}", flush=True)


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
    recalls = [*features, *remember.values()]
    check_tracker(model, pixels, tracker(*recalls), bank)
    axes = {key: {0: "memories" if key in ("memories", "times") else "pointers"} for key in remember}
    export(tracker, tuple(recalls), [*levels, *remember], ANSWERS, axes, out / f"{name}.tracker.onnx")
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
            "track": gflop(tracker, tuple(recalls)),
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
