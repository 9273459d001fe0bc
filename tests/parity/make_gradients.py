#!/usr/bin/env python3
"""Makes `fixtures/micro/gradients.safetensors`: what PyTorch says of a loss on the official mask decoder's answer.

  make_gradients.py --recipe fixtures/micro/weights.json --out fixtures/micro/gradients.safetensors

The inputs are streams of `make_fixture.det_uniform` by their names. The loss is 20 focal + dice of the four masks, and so
that the small heads have gradients as well, the L1 distance of the predicted IoUs to 0.5 and the object score's cross
entropy. Of every parameter's gradient the file has 256 values or fewer, evenly spaced (`flat[::stride]`), and in its
metadata the stride, the greatest absolute value, and the loss.
"""

import argparse, json
import torch, torch.nn.functional as F
from safetensors.torch import save_file
from make_fixture import build_sam2, cfgs, det_tensor, det_uniform

KEPT = 256


def stream(name, shape, scale):
    n = int(torch.tensor(shape).prod())
    return torch.from_numpy(det_uniform(name, 11, n)).float().reshape(shape) * scale


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--recipe", required=True)
    arguments.add_argument("--out", required=True)
    arguments = arguments.parse_args()
    recipe = json.load(open(arguments.recipe))
    micro = cfgs()["micro"]
    model = build_sam2(micro["file"], None, device="cpu", hydra_overrides_extra=micro["over"])
    names = {entry["name"]: entry for entry in recipe["weights"]}
    model.load_state_dict({
        name: det_tensor(e.get("stream") or name, recipe["seed"], e["shape"], e["offset"], e["amp"])
        for name, e in names.items()
    })
    decoder = model.sam_mask_decoder.eval()

    d, side, prompts, tokens = 64, 16, 2, 3
    embedding = stream("embedding", [1, d, side, side], 1.0)
    # What `SAM2Base.forward_image` does with the finer levels.
    high_res = [
        decoder.conv_s0(stream("level_0", [1, d, 4 * side, 4 * side], 1.0)),
        decoder.conv_s1(stream("level_1", [1, d, 2 * side, 2 * side], 1.0)),
    ]
    sparse = stream("sparse", [prompts, tokens, d], 1.0)
    dense = stream("dense", [prompts, d, side, side], 0.5)
    target = (stream("target", [prompts, 1, 4 * side, 4 * side], 1.0) > 0.3).float()

    masks, ious, _, score = decoder.predict_masks(
        image_embeddings=embedding,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=True,
        high_res_features=high_res,
    )
    target = target.expand_as(masks)
    p = masks.sigmoid()
    cross = F.binary_cross_entropy_with_logits(masks, target, reduction="none")
    focal = ((0.25 * target + 0.75 * (1 - target)) * cross * (1 - (p * target + (1 - p) * (1 - target))) ** 2).mean()
    p, t = p.flatten(2), target.flatten(2)
    dice = (1 - (2 * (p * t).sum(-1) + 1) / (p.sum(-1) + t.sum(-1) + 1)).mean()
    loss = 20 * focal + dice + (ious - 0.5).abs().mean()
    loss = loss + F.binary_cross_entropy_with_logits(score, torch.ones_like(score))
    loss.backward()

    tensors, metadata = {}, {"loss": repr(loss.item())}
    for name, parameter in decoder.named_parameters():
        gradient = parameter.grad.flatten()
        stride = -(-gradient.numel() // KEPT)
        tensors[f"sam_mask_decoder.{name}"] = gradient[::stride].contiguous()
        metadata[f"sam_mask_decoder.{name}"] = json.dumps({"stride": stride, "scale": gradient.abs().max().item()})
    save_file(tensors, arguments.out, metadata)
    print(f"loss {loss.item()}, {len(tensors)} parameters")


main()
