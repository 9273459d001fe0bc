"""The very first lesson: where a prompt is. Discs round clicks and filled boxes, with the encoder left alone.

A fresh SAM decoder ignores its prompts for thousands of steps, as their trace in the picture's tokens is faint.
These few hundred cheap steps make it strong, and only then are there pictures to learn from.

The second lesson comes before the clips: what a mask prompt says without a click. It is what a memory says.
"""
import torch

import losses
import model as nano
import optimizer


@torch.no_grad()
def begin_well(model):
    """Start values through which signals keep their size: PyTorch's linear layers shrink them by 0.4 each."""
    decoder = model.sam_mask_decoder
    attentions = [decoder.transformer.final_attn_token_to_image]
    for layer in decoder.transformer.layers:
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
        layer.cross_attn_image_to_token.out_proj.weight.mul_(8)
    for attention in attentions:
        # Equal query and key projections: equal position codes attend to each other, so a click finds its place.
        attention.q_proj.weight.mul_(2.5)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.k_proj.bias.copy_(attention.q_proj.bias)
    decoder.conv_s0.weight.mul_(0.3)
    decoder.conv_s1.weight.mul_(0.3)
    for mlp in decoder.output_hypernetworks_mlps:
        for layer in mlp.layers[:-1]:
            layer.weight.mul_(2.4)


def lesson(rng_box, n, size):
    """Prompts (n,P,2) in pixels with labels, and what they ask for, on the decoder's grid."""
    low = size // 4
    at = (torch.arange(low) + 0.5) / low
    y, x = at[None, :, None], at[None, None, :]
    if rng_box:
        a = torch.rand(n, 2) * 0.7
        b = a + 0.1 + torch.rand(n, 2) * (0.9 - a)
        (x0, y0), (x1, y1) = (v.T[..., None, None] for v in (a, b))
        return torch.stack([a, b], 1) * size, torch.tensor([[2, 3]], dtype=torch.int32).repeat(n, 1), ((x > x0) & (x < x1) & (y > y0) & (y < y1)).float()
    a = torch.rand(n, 2)
    cx, cy = a.T[..., None, None]
    return a[:, None] * size, torch.ones(n, 1, dtype=torch.int32), ((x - cx).square() + (y - cy).square() < 0.15**2).float()


def teach(model, pictures, steps=400, lr=3e-3, per_picture=8):
    """`pictures`: a few normalised batches, encoded once. Changes the prompt encoder and mask decoder only."""
    begin_well(model)
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    for name, p in model.named_parameters():
        p.requires_grad_(name in trained and name.startswith("sam_") and "conv_s" not in name)
    optimizers = optimizer.make(model, lr, 0.02)
    with torch.no_grad():
        encoded = [nano.image_features(model, p) for p in pictures]
    size = pictures[0].shape[-1]
    for step in range(steps):
        for o in optimizers:
            for group in o.param_groups:
                group["lr"] = lr * min(1.0, (step + 1) / 30)
        features = [f.repeat_interleave(per_picture, 0) for f in encoded[step % len(encoded)]]
        points, labels, wanted = lesson(step % 2, len(features[0]), size)
        loss, figures = losses.total(*nano.decode(model, features, points, labels), wanted, torch.ones_like(wanted), torch.ones(len(wanted)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
        if step % 50 == 49:
            print(f"places {step + 1} loss {loss.item():.3f} IoU {figures['single']:.3f}", flush=True)
    for name, p in model.named_parameters():
        p.requires_grad_(name in trained)


def teach_masks(model, encoded, rounds, steps=200, lr=2e-3):
    """`encoded`: [(features, batch)]; `rounds(features, batch, rows, kind)` gives a loss. Changes the prompt encoder and mask decoder only."""
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    for name, p in model.named_parameters():
        p.requires_grad_(name in trained and name.startswith("sam_") and "conv_s" not in name)
    optimizers = optimizer.make(model, lr, 0.02)
    for step in range(steps):
        for o in optimizers:
            for group in o.param_groups:
                group["lr"] = lr * min(1.0, (step + 1) / 30)
        features, batch = encoded[step % len(encoded)]
        rows = (batch["present"] > 0).nonzero()[:, 0]
        turn = (torch.arange(len(rows)) + step) % 3
        total = 0.0
        for kind, part in (("mask", rows[turn > 0]), ("click", rows[turn == 0])):
            loss, figures = rounds(features, batch, part, kind)
            total = total + loss * len(part) / len(rows)
            if kind == "mask" and step % 25 == 24:
                print(f"masks {step + 1} IoU {figures['mask1']['single']:.3f}", flush=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
    for name, p in model.named_parameters():
        p.requires_grad_(name in trained)
