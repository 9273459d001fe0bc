"""The mean of several checkpoints of one training, which does better on held-out pictures and clips than each of them.

    python average.py --out RUN/average.pt RUN/scored.pt RUN/last-256.pt ...

The first one's other contents are kept.
"""
import argparse
from pathlib import Path

import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in args.checkpoints]
    ema = states[0]["ema"]
    for name, value in ema.items():
        if value.is_floating_point():
            ema[name] = torch.stack([state["ema"][name] for state in states]).mean(0)
    torch.save(states[0], args.out)


if __name__ == "__main__":
    main()
