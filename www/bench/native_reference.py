#!/usr/bin/env python3
"""The official tiny on the CPU: for each line read it encodes one picture and prints the milliseconds. See run.js."""
import sys
import time

import numpy as np
import torch
from sam2.build_sam import build_sam2
from sam2.sam2_image_predictor import SAM2ImagePredictor

torch.set_num_threads(2)
predictor = SAM2ImagePredictor(build_sam2("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu"))
side = predictor.model.image_size
picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
for _ in sys.stdin:
    started = time.perf_counter()
    predictor.set_image(picture)
    print((time.perf_counter() - started) * 1000, flush=True)
