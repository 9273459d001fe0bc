"""Writes a training checkpoint's averaged weights as safetensors: f16, official names, the configuration in the metadata.

    python export.py RUN/final.pt ../nano.safetensors
"""
import argparse
import hashlib
import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

import model as nano


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)["ema"]
    nano.build().load_state_dict(state, strict=True)
    config = yaml.safe_load(nano.CONFIG.read_text())["model"]
    metadata = {"format": "sam2-web", "name": "nano", "version": "2.1", "config": json.dumps(config)}
    save_file({k: v.half().contiguous() for k, v in state.items()}, args.out, metadata=metadata)
    data = args.out.read_bytes()
    print(args.out, len(data), "bytes, sha256", hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
