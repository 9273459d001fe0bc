"""nano's own masks of things of which only the boxes are at hand, where it is sure enough; the rest of what a box holds stays unmarked.

    python box_masks.py --boxes FOLDER --weights ../../nano.safetensors --out DIR --source NAME

FOLDER holds photographs <id>.jpg and boxes.json, {"<id>": [[x0, y0, x1, y1], ...]} in pixels. A mask is the mean of two, of the
photograph and of its mirror image; where they leave it in doubt, pixels are to be ignored. Writes images/<source>.
"""
import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import evaluate
import model as nano
import sources

SMALLEST = 0.004  # of the picture, the box
SURE = 0.58  # predicted IoU of a mask worth learning from
DOUBT = 0.2  # a pixel's probability is this near to a half


def load(weights):
    return evaluate.Predictor(nano.load(nano.build(512, postprocessing=True), weights).eval())


def answer(predictor, rgb, boxes):
    """Probabilities (N,H,W), the three masks' mean by their scores, and the highest score of each."""
    predictor.set_image(rgb)
    masks, scores = [], []
    for k in range(0, len(boxes), evaluate.CHUNK):
        logits, s, _ = evaluate.three_masks(predictor, box=np.array(boxes[k : k + evaluate.CHUNK]), return_logits=True)
        p = torch.from_numpy(logits).sigmoid().numpy()
        masks.append((p * (s / s.sum(1, keepdims=True))[..., None, None]).sum(1))
        scores.append(s.max(1))
    return np.concatenate(masks), np.concatenate(scores)


@torch.no_grad()
def label(predictor, rgb, boxes, known=None):
    """A label map with the masks of `boxes` under those of `known` (a label map), and how many things it holds."""
    h, w = rgb.shape[:2]
    labels = np.zeros((h, w), np.uint8) if known is None else known.copy()
    there = [i for i in np.unique(labels) if 0 < i < layout.IGNORE]
    taken = [(x, y, x + u, y + v) for x, y, u, v in (cv2.boundingRect((labels == i).astype(np.uint8)) for i in there)]
    boxes = [b for b in boxes if (b[2] - b[0]) * (b[3] - b[1]) >= SMALLEST * h * w and all(layout.overlap(b, t) < 0.5 for t in taken)]
    if not boxes:
        return labels, len(there)
    a, score_a = answer(predictor, rgb, boxes)
    b, score_b = answer(predictor, np.ascontiguousarray(rgb[:, ::-1]), [(w - x1, y0, w - x0, y1) for x0, y0, x1, y1 in boxes])
    p, score = (a + b[:, :, ::-1]) / 2, (score_a + score_b) / 2
    free = labels == 0
    found = [(p[k], box) for k, box in enumerate(boxes) if score[k] >= SURE]
    # The smaller thing lies on top, as in layout.label_map.
    for number, (q, (x0, y0, x1, y1)) in enumerate(sorted(found, key=lambda f: -(f[0] > 0.5).sum()), max(there, default=0) + 1):
        inside = np.zeros_like(free)
        inside[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = True
        labels[free & inside & (np.abs(q - 0.5) < DOUBT)] = layout.IGNORE
        labels[free & inside & (q >= 0.5 + DOUBT)] = min(number, 254)
    return labels, len(np.setdiff1d(labels, [0, layout.IGNORE]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="safetensors, or a checkpoint of train.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", required=True)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    torch.set_num_threads(1)
    predictor = load(args.weights)
    photographs = things = 0
    for name, boxes in sorted(json.loads((args.boxes / "boxes.json").read_text()).items()):
        rgb = sources.read_rgb(args.boxes / f"{name}.jpg")
        labels, found = label(predictor, rgb, boxes)
        if found:
            layout.write(args.out, args.source, name, rgb, labels)
            photographs, things = photographs + 1, things + found
    print(f"{photographs} photographs, {things} things")


if __name__ == "__main__":
    main()
