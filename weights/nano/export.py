"""Writes a training checkpoint's averaged weights as safetensors: f16, official names, the configuration in the metadata.

    python export.py RUN/final.pt ../nano.safetensors
"""
import hashlib
import json
import sys
from pathlib import Path

import torch
import yaml
from safetensors.torch import save_file

import model as nano


def main(source, target):
    state = torch.load(source, map_location="cpu", weights_only=True)["ema"]
    nano.build().load_state_dict(state, strict=True)
    config = yaml.safe_load(nano.CONFIG.read_text())["model"]
    metadata = {"format": "sam2-web", "name": "nano", "version": "2.1", "config": json.dumps(config)}
    save_file({k: v.half().contiguous() for k, v in state.items()}, target, metadata=metadata)
    data = Path(target).read_bytes()
    print(target, len(data), "bytes, sha256", hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
