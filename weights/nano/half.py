"""Matrix products in bfloat16 with everything else in float32, for processors whose bfloat16 products are several times
quicker (AMX). Call use() before the first step.

Only the products, and what is between the two of an MLP: attention, norms and what is added up stay as they are, as
bfloat16 is no quicker there.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from sam2.modeling.sam2_utils import MLP

AMX = Path("/proc/cpuinfo").exists() and "amx_bf16" in Path("/proc/cpuinfo").read_text()
SMALLEST = 1 << 20  # multiplications: below, the conversions cost more than they bring
linear, mlp_forward = F.linear, MLP.forward
aten = torch.ops.aten


class Product(torch.autograd.Function):
    """x (N, I) times weight (O, I) transposed, plus bias (O)."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        x, weight = x.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(x, weight)
        y = linear(x, weight).float()
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        half = grad.bfloat16()
        for_x = (half @ weight).float() if ctx.needs_input_grad[0] else None
        for_weight = (half.t() @ x).float() if ctx.needs_input_grad[1] else None
        return for_x, for_weight, grad.sum(0) if ctx.needs_input_grad[2] else None


class Mlp(torch.autograd.Function):
    """Two products with GELU or ReLU between them, x (N, I)."""

    @staticmethod
    def forward(ctx, x, weight1, bias1, weight2, bias2, gelu):
        x, weight1, weight2 = x.bfloat16(), weight1.bfloat16(), weight2.bfloat16()
        hidden = linear(x, weight1, bias1.bfloat16())
        active = F.gelu(hidden) if gelu else F.relu(hidden)
        ctx.save_for_backward(x, weight1, weight2, hidden, active)
        ctx.gelu = gelu
        return linear(active, weight2).float().add_(bias2)

    @staticmethod
    def backward(ctx, grad):
        x, weight1, weight2, hidden, active = ctx.saved_tensors
        half = grad.bfloat16()
        for_weight2 = (half.t() @ active).float()
        inner = half @ weight2
        inner = aten.gelu_backward(inner, hidden) if ctx.gelu else aten.threshold_backward(inner, hidden, 0)
        for_x = (inner @ weight1).float() if ctx.needs_input_grad[0] else None
        return for_x, (inner.t() @ x).float(), inner.sum(0, dtype=torch.float32), for_weight2, grad.sum(0), None


def worth_it(x, weight):
    return x.numel() * len(weight) >= SMALLEST and x.dtype == torch.float32


def half_linear(x, weight, bias=None):
    if not worth_it(x, weight):
        return linear(x, weight, bias)
    return Product.apply(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], -1)


def half_mlp(self, x):
    first, last = self.layers[0], self.layers[-1]
    gelu = isinstance(self.act, torch.nn.GELU)
    if self.num_layers != 2 or self.sigmoid_output or not (worth_it(x, first.weight) and first.weight.requires_grad):
        return mlp_forward(self, x)
    y = Mlp.apply(x.reshape(-1, x.shape[-1]), first.weight, first.bias, last.weight, last.bias, gelu)
    return y.view(*x.shape[:-1], -1)


def use():
    """Where the processor has AMX, all linear layers and MLPs of this process multiply so."""
    if AMX:
        F.linear, MLP.forward = half_linear, half_mlp
