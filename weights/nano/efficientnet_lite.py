"""EfficientNet-Lite as the trunk of SAM 2's image encoder: what timm calls tf_efficientnet_lite2 (and its like), without
its head, every batch norm folded into the convolution before it.

The names of the weights are timm's, with a `bias` on each convolution. No ImageNet file is needed where a checkpoint is
loaded; begin.py reads one.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

# Pictures come normalised as SAM's; this trunk was trained on (x - 127) / 128 of bytes.
SAM_MEAN, SAM_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MEAN, STD = 127.0, 128.0


class Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: an odd pixel of padding goes to the right and to the bottom."""

    def forward(self, x):
        (k, _), (s, _) = self.kernel_size, self.stride
        if s == 1:
            return F.conv2d(x, self.weight, self.bias, 1, k // 2, 1, self.groups)
        pads = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n in x.shape[:1:-1]]  # of the width, of the height
        return F.conv2d(F.pad(x, [v for p in pads for v in (p // 2, p - p // 2)]), self.weight, self.bias, s, 0, 1, self.groups)


def depthwise(channels, kernel, stride):
    return Same(channels, channels, kernel, stride, groups=channels)


class Separable(nn.Module):
    """Depthwise, then 1x1."""

    def __init__(self, taken, given, kernel, stride):
        super().__init__()
        self.conv_dw = depthwise(taken, kernel, stride)
        self.conv_pw = nn.Conv2d(taken, given, 1)
        self.adds = stride == 1 and taken == given

    def forward(self, x):
        y = self.conv_pw(F.relu6(self.conv_dw(x)))
        return x + y if self.adds else y


class Inverted(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to few."""

    def __init__(self, taken, given, kernel, stride, expansion):
        super().__init__()
        self.conv_pw = nn.Conv2d(taken, taken * expansion, 1)
        self.conv_dw = depthwise(taken * expansion, kernel, stride)
        self.conv_pwl = nn.Conv2d(taken * expansion, given, 1)
        self.adds = stride == 1 and taken == given

    def forward(self, x):
        y = F.relu6(self.conv_pw(x), inplace=True)
        y = self.conv_pwl(F.relu6(self.conv_dw(y), inplace=True))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    """Features of strides 4, 8, 16 and 32: what the stages `taps` give. `stages`: kernel, stride, expansion, channels, blocks."""

    def __init__(self, stem, stages, taps):
        super().__init__()
        self.conv_stem = Same(3, stem, 3, 2)
        self.blocks, self.taps = nn.Sequential(), taps
        taken = stem
        for kernel, stride, expansion, channels, count in stages:
            stage = nn.Sequential()
            for i in range(count):
                shape = (taken, channels, kernel, stride if i == 0 else 1)
                stage.append(Separable(*shape) if expansion == 1 else Inverted(*shape, expansion))
                taken = channels
            self.blocks.append(stage)
        self.channel_list = [stages[i][3] for i in reversed(taps)]  # coarse to fine, as the neck has them
        mean, std = (torch.tensor(v).view(3, 1, 1) * 255 for v in (SAM_MEAN, SAM_STD))
        self.register_buffer("scale", std / STD, persistent=False)
        self.register_buffer("shift", (mean - MEAN) / STD, persistent=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, x):
        x = (x * self.scale + self.shift).contiguous(memory_format=torch.channels_last)
        x = F.relu6(self.conv_stem(x))
        out = []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in self.taps:
                out.append(x)
        return out
