"""The way back from export.py: makes RUN/last.pt of a shipped file, so that training goes on from it where no checkpoint is left.

    python resume.py ../nano.safetensors RUN --steps 20290 --hours 13.3

The optimizer begins anew: train.py warms its rate up again.
"""
import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

import model as nano


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, required=True, help="taken so far; also chooses the random numbers of what comes")
    parser.add_argument("--hours", type=float, required=True)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    state = {k: v.float() for k, v in load_file(args.weights).items()}
    nano.build().load_state_dict(state, strict=True)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(dict(model=state, ema=state, moments={}, step=args.steps, seconds=args.hours * 3600), args.out / "last.pt")


if __name__ == "__main__":
    main()
