"""The mean of several checkpoints of one training, which does better on held-out pictures and clips than each of them.

    python average.py --out RUN/average.pt RUN/scored.pt RUN/last-256.pt ...

The weights in training and the optimizers' moments are averaged too, so that runs side by side can go on from their mean.
What not all of them have stays as in the first one.
"""
import argparse
from pathlib import Path

import torch


def average(parts):
    first = parts[0]
    if isinstance(first, dict):
        return {k: average([p[k] for p in parts]) if all(k in p for p in parts) else v for k, v in first.items()}
    if isinstance(first, torch.Tensor) and first.is_floating_point():
        return torch.stack(parts).mean(0)
    return first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in args.checkpoints]
    torch.save({**states[0], **{part: average([s[part] for s in states]) for part in ("model", "ema", "moments")}}, args.out)


if __name__ == "__main__":
    main()
