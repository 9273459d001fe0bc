"""What prompts.py does one mask at a time, for a whole batch where the network is: correction clicks and rough mask prompts."""
import cv2
import numpy as np
import torch
import torch.nn.functional as F

import batches


def depth(masks):
    """Distance in pixels of every pixel of masks (N,h,w) to the nearest one outside; the border counts as outside. (N,h,w)"""
    padded = F.pad(masks, (1, 1, 1, 1))
    if not masks.is_cuda:
        each = [cv2.distanceTransform(m, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for m in padded.byte().numpy()]
        return torch.from_numpy(np.stack(each))[:, 1:-1, 1:-1]
    return torch.cat([envelope(part) for part in padded.split(64)])[:, 1:-1, 1:-1]


def envelope(masks):
    """The distance as the lower envelope of parabolas, one axis after the other (Felzenszwalb and Huttenlocher 2012)."""
    out = masks.float() * 2 * max(masks.shape[1:]) ** 2
    for axis in (1, 2):
        at = torch.arange(out.shape[axis], device=out.device, dtype=out.dtype)
        apart = (at[:, None] - at).square()
        out = (out.movedim(axis, -1)[..., None, :] + apart).amin(-1).movedim(-1, axis)
    return out.sqrt()


def innermost(masks):
    """Index of the deepest pixel of each mask."""
    return depth(masks).flatten(1).argmax(1)


def anywhere(masks):
    """Index of a pixel of each mask, of any where there is none."""
    weights = masks.flatten(1).float()
    return torch.multinomial(weights + ~masks.flatten(1).any(1, keepdim=True), 1)[:, 0]


@torch.no_grad()
def clicks(logits, wanted, valid):
    """A click for each mask (N,h,w) where it is wrong, half the time the deepest pixel of the larger wrong region, as people
    click, half the time any wrong pixel. Points (N,1,2) in picture pixels; labels (N,1): 1 something is missing, 0 there is too much."""
    predicted, wanted, valid = logits > 0, wanted >= 0.5, valid > 0.5
    missing, extra = wanted & ~predicted & valid, predicted & ~wanted & valid
    larger = torch.where((missing.sum((1, 2)) >= extra.sum((1, 2)))[:, None, None], missing, extra)
    right = ~(missing | extra).any(2).any(1)
    larger = torch.where(right[:, None, None], wanted, larger)
    deep = torch.rand(len(wanted), device=wanted.device) < 0.5
    at = torch.where(deep | right, innermost(larger), anywhere(missing | extra))
    labels = wanted.flatten(1).gather(1, at[:, None]).int()
    stride, width = batches.LOGIT_STRIDE, wanted.shape[-1]
    points = torch.stack([at % width, at // width], 1).float() * stride + (stride - 1) / 2
    return points[:, None], labels


@torch.no_grad()
def rough(covered):
    """Mask prompts as logits of +-10 (N,1,h,w): masks (N,h,w), 0 to 1, off by a little, or as coarse as a memory of them."""
    n, size, device = len(covered), covered.shape[-1], covered.device
    at = (torch.arange(size, device=device) * 2 + 1) / size - 1
    area = covered.sum((1, 2)).clamp(min=1e-6)
    centre = torch.stack([(covered.sum(1) * at).sum(1), (covered.sum(2) * at).sum(1)], 1) / area[:, None]
    moved = (torch.rand(n, 1, device=device) < 0.7).float()
    angle = torch.randn(n, device=device) * moved[:, 0] * 5 * torch.pi / 180
    scale = (torch.randn(n, device=device) * moved[:, 0] * 0.08).exp()
    c, s = angle.cos() / scale, angle.sin() / scale
    turn = torch.stack([c, s, -s, c], 1).view(n, 2, 2)
    shift = centre + moved * torch.randn(n, 2, device=device) * 0.05
    grid = F.affine_grid(torch.cat([turn, (centre[:, :, None] - turn @ shift[:, :, None])], 2), (n, 1, size, size), align_corners=False)
    out = F.grid_sample(covered[:, None], grid, align_corners=False)
    coarse = F.interpolate(F.avg_pool2d(out, 4), size=(size, size), mode="bilinear")
    return torch.where(torch.rand(n, 1, 1, 1, device=device) < 0.6, coarse, out) * 20 - 10
