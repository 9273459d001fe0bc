"""python -m unittest, in this folder."""
import unittest

import torch
import torch.nn.functional as F
from torch import nn

import begin
from efficientnet_lite import EfficientNetLite

STAGES = [[3, 1, 1, 8, 1], [5, 2, 2, 12, 2]]


def bn(channels):
    out = nn.BatchNorm2d(channels, eps=begin.EPSILON).eval()
    for v in (out.weight, out.running_var):
        nn.init.uniform_(v, 0.5, 1.5)
    for v in (out.bias, out.running_mean):
        nn.init.normal_(v, std=0.3)
    return out


class OpenImagenet(unittest.TestCase):
    def test_folded_is_the_network_with_its_batch_norms(self):
        torch.manual_seed(0)
        trunk = EfficientNetLite(8, STAGES, taps=[0, 1])
        # The same with batch norms behind: each convolution of the trunk, in order, and what comes after it.
        norms = {name: bn(m.out_channels) for name, m in trunk.named_modules() if isinstance(m, nn.Conv2d)}
        state = {}
        for name, norm in norms.items():
            state[f"{name}.weight"] = trunk.get_submodule(name).weight.detach().clone()
            state.update({f"{name}.bn.{k}": v.clone() for k, v in norm.state_dict().items()})
        state["head.weight"] = torch.zeros(16, 12, 1, 1)

        def conv(name, x):
            m = trunk.get_submodule(name)
            bias, m.bias = m.bias, None
            y = norms[name](m(x))
            m.bias = bias
            return y

        rgb = torch.randn(1, 3, 33, 47)
        with torch.no_grad():
            x = F.relu6(conv("conv_stem", (rgb * trunk.scale + trunk.shift)))
            x = conv("blocks.0.0.conv_pw", F.relu6(conv("blocks.0.0.conv_dw", x))) + x
            wanted = [x]
            for block in ("blocks.1.0.", "blocks.1.1."):
                y = F.relu6(conv(block + "conv_pw", x))
                y = conv(block + "conv_pwl", F.relu6(conv(block + "conv_dw", y)))
                x = y + x if block == "blocks.1.1." else y
            wanted.append(x)
            begin.open_imagenet(trunk, state)
            for a, b in zip(trunk(rgb), wanted, strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)

    def test_another_size_is_refused(self):
        state = {"a": torch.zeros(4, 3, 3, 3), **{k: torch.ones(4) for k in "bcde"}}
        with self.assertRaisesRegex(ValueError, "conv_stem: a convolution of shape"):
            begin.open_imagenet(EfficientNetLite(8, STAGES, taps=[0, 1]), state)


class Ridge(unittest.TestCase):
    def test_finds_the_map(self):
        torch.manual_seed(0)
        x, weight, bias = torch.randn(500, 6), torch.randn(3, 6), torch.randn(3)
        found = begin.ridge(x, x @ weight.T + bias)
        torch.testing.assert_close(found[0], weight, atol=0.01, rtol=0.01)
        torch.testing.assert_close(found[1], bias, atol=0.01, rtol=0.01)
        self.assertGreater(found[2], 0.999)


if __name__ == "__main__":
    unittest.main()
