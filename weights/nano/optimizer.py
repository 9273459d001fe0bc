"""Muon for the weight matrices (orthogonalised momentum), AdamW for everything else; both take AdamW's learning rate."""
import torch

import half


def orthogonalise(g):
    """Newton-Schulz iteration towards the nearest orthogonal matrix, for a stack of matrices."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = g.shape[-2] <= g.shape[-1]
    x = g if wide else g.mT
    if half.AMX or g.is_cuda:  # the direction is all that counts
        x = x.bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return (x if wide else x.mT).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():
                for p in params:
                    if not self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)
                grads, momenta = [p.grad for p in params], [self.state[p]["momentum"] for p in params]
                torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
                updates = torch.stack(torch._foreach_lerp(grads, momenta, group["momentum"]))
                # Scaled so that an entry moves as far as AdamW would move it.
                updates = orthogonalise(updates) * (0.2 * max(shape) ** 0.5)
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, updates.unbind(), alpha=-group["lr"])


def make(model, lr, weight_decay, muon=True, slow={}):
    """The optimizers for the trainable parameters; `slow` has the part of the rate for those whose name begins so.

    Convolutions, 1x1 and depthwise ones too, are no matrices here: AdamW has them. `scale` of each group is to be multiplied with the rate by whoever sets it.
    """
    adam, matrices = [], []
    for scale in sorted({1.0, *slow.values()}):
        groups = dict(matrices=[], vectors=[], rest=[])
        for name, p in model.named_parameters():
            if not p.requires_grad or scale != next((s for prefix, s in slow.items() if name.startswith(prefix)), 1.0):
                continue
            embedding = "embed" in name or "token" in name
            if p.ndim == 2 and min(p.shape) >= 16 and not embedding and muon:
                groups["matrices"].append(p)
            elif p.ndim == 1 or embedding:
                groups["vectors"].append(p)
            else:
                groups["rest"].append(p)
        adam.append(dict(params=groups["rest"], weight_decay=weight_decay, scale=scale))
        adam.append(dict(params=groups["vectors"], weight_decay=0.0, scale=scale))
        matrices.append(dict(params=groups["matrices"], scale=scale))
    adam, matrices = [[g for g in groups if g["params"]] for groups in (adam, matrices)]
    out = [torch.optim.AdamW(adam, lr=lr, betas=(0.9, 0.98))]
    return out + [Muon(matrices, lr=lr, weight_decay=weight_decay)] if matrices else out
