"""nano's own masks of things in photographs of which nothing is known, where three prompts agree; the rest stays unmarked.

    python agreed_masks.py --photographs FOLDER --weights ../second_edition.safetensors --config ../second.yaml --out DIR --source NAME

Clicks on a grid find things. What each finds is asked for again: by one click at its innermost point, by its box, and by two
clicks into it. A thing is kept where the three masks are alike; pixels on which they differ are to be ignored.
FOLDER holds photographs <id>.jpg, such as coco.py's backgrounds/coco. Writes images/<source>.
"""
import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import box_masks
import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import evaluate
import model as nano
import prompts
import sources
import split

GRID = 8  # clicks a side
SMALLEST, LARGEST = 0.006, 0.7  # of the picture, a thing
SURE = 0.6  # predicted IoU of what a click finds
ALIKE = 0.85  # IoU of each two of the three masks
SAME = 0.5  # IoU of two things of which one is kept


def found_by_clicks(predictor, shape):
    """Masks that clicks on a grid find, the surest of those that are alike."""
    h, w = shape
    at = (np.arange(GRID) + 0.5) / GRID
    points = np.stack(np.meshgrid(at * w, at * h), -1).reshape(-1, 1, 2).astype(np.float32)
    masks, scores = [], []
    for k in range(0, len(points), evaluate.CHUNK):
        some = points[k : k + evaluate.CHUNK]
        m, _, s = evaluate.best_masks(predictor, point_coords=some, point_labels=np.ones(some.shape[:2], np.int32))
        masks += list(m)
        scores += list(s)
    fit = [k for k in range(len(masks)) if scores[k] >= SURE and SMALLEST <= masks[k].mean() <= LARGEST]
    return without_repeats([masks[k] for k in sorted(fit, key=lambda k: -scores[k])])


def without_repeats(masks):
    """The first of those that are alike."""
    everything, kept = np.True_, []
    for m in masks:
        if all(evaluate.iou(m, k, everything) < SAME for k in kept):
            kept.append(m)
    return kept


def asked_again(predictor, rng, masks):
    """The masks (3,N,H,W) of one click, a box and two clicks for each of `masks`."""
    everything = np.ones(masks[0].shape, bool)
    one, box = (evaluate.masks_for(predictor, np.stack(masks), everything, prompt) for prompt in ("click", "box"))
    points = np.array([[prompts.innermost(m), prompts.anywhere(rng, m)] for m in masks], np.float32)
    two = evaluate.best_masks(predictor, point_coords=points, point_labels=np.ones(points.shape[:2], np.int32))[0]
    return np.stack([one, box, two])


def agreed(three):
    """Of three masks of one thing (3,H,W): whether they are alike, where all are, and where only some are."""
    everything = np.True_
    alike = all(evaluate.iou(three[i], three[j], everything) >= ALIKE for i, j in ((0, 1), (0, 2), (1, 2)))
    sure = three.all(0)
    return alike and sure.mean() >= SMALLEST, sure, three.any(0) & ~sure


@torch.no_grad()
def label(predictor, rng, rgb):
    """A label map of the things that are agreed on, and how many they are."""
    predictor.set_image(rgb)
    candidates, sure, doubtful = found_by_clicks(predictor, rgb.shape[:2]), [], []
    for k in range(0, len(candidates), evaluate.CHUNK):
        for three in asked_again(predictor, rng, candidates[k : k + evaluate.CHUNK]).swapaxes(0, 1):
            alike, inside, doubt = agreed(three)
            if alike:
                sure.append(inside)
                doubtful.append(doubt)
    sure_alone = without_repeats(sure)
    labels = layout.label_map(sure_alone, [], *rgb.shape[:2])
    for doubt in doubtful:
        labels[doubt & (labels == 0)] = layout.IGNORE
    return labels, len(sure_alone)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="safetensors, or a checkpoint of train.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--most", type=int, help="so many photographs, for a trial")
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    torch.set_num_threads(1)
    predictor, rng, held_out = box_masks.load(args.weights), np.random.default_rng(0), split.ids_under("images/")
    photographs = things = 0
    for path in [p for p in sorted(args.photographs.glob("*.jpg")) if p.stem not in held_out][: args.most]:
        rgb = sources.read_rgb(path)
        size, _ = layout.shrunk(rgb.shape[1], rgb.shape[0])
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        labels, found = label(predictor, rng, rgb)
        if found:
            layout.write(args.out, args.source, path.stem, rgb, labels)
            photographs, things = photographs + 1, things + found
    print(f"{photographs} photographs, {things} things")


if __name__ == "__main__":
    main()
