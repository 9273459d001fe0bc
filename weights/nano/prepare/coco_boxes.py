"""Photographs of COCO val2017 of which only the boxes are at hand: nano's own masks of those boxes, where it is sure enough.

    python coco_boxes.py --clones CLONES --data DIR --also DIR ... --weights ../../nano.safetensors --out DIR

CLONES is that of coco.py and has a clone of hunglc007/tensorflow-yolov4-tflite, too. What DATA and --also have all masks of (coco_ccby,
coco_full) is left out, and so is what is held out; masks that they have of a photograph (coco_person, coco_people, coco_partial) are
kept and the others' boxes added. A mask is the mean of two, of the photograph and of its mirror image; where they leave it in doubt,
pixels are to be ignored. Flickr licences 4 and 7 only. Writes images/coco_boxes.
"""
import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import coco
import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import evaluate
import model as nano
import sources
import split

BOXES = ("hunglc007/tensorflow-yolov4-tflite", "data/dataset/val2017.txt")
SMALLEST = 0.004  # of the picture, the box
SURE = 0.58  # predicted IoU of a mask worth learning from
DOUBT = 0.2  # a pixel's probability is this near to a half


def boxes_of(clones):
    """{id: [(x0, y0, x1, y1)]} in the photograph's own pixels."""
    out = {}
    for line in layout.read(clones, *BOXES).decode().splitlines():
        path, *boxes = line.split()
        out[int(Path(path).stem)] = [tuple(int(v) for v in box.split(",")[:4]) for box in boxes]
    return out


def overlap(a, b):
    """IoU of two boxes."""
    w, h = (max(0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h + 1e-6)


def answer(predictor, rgb, boxes):
    """Probabilities (N,H,W), the three masks' mean by their scores, and the highest score of each."""
    predictor.set_image(rgb)
    masks, scores = [], []
    for k in range(0, len(boxes), evaluate.CHUNK):
        logits, s, _ = predictor.predict(box=np.array(boxes[k : k + evaluate.CHUNK]), multimask_output=True, return_logits=True)
        if logits.ndim == 3:  # the official code drops a batch of one
            logits, s = logits[None], s[None]
        p = torch.from_numpy(logits).sigmoid().numpy()
        masks.append((p * (s / s.sum(1, keepdims=True))[..., None, None]).sum(1))
        scores.append(s.max(1))
    return np.concatenate(masks), np.concatenate(scores)


def label(predictor, rgb, boxes, known):
    """A label map with the masks of `boxes` under those of `known` (a label map, or None)."""
    h, w = rgb.shape[:2]
    labels = np.zeros((h, w), np.uint8) if known is None else known.copy()
    there = [i for i in np.unique(labels) if 0 < i < layout.IGNORE]
    taken = [(x, y, x + u, y + v) for x, y, u, v in (cv2.boundingRect((labels == i).astype(np.uint8)) for i in there)]
    boxes = [b for b in boxes if (b[2] - b[0]) * (b[3] - b[1]) >= SMALLEST * h * w and all(overlap(b, t) < 0.5 for t in taken)]
    if not boxes:
        return labels
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
    return labels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="what coco.py and coco_people.py wrote")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors, or a checkpoint of train.py")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    images, _ = coco.truncated(layout.read(args.clones, *coco.CUT_SHORT).decode())
    free = {i["id"] for i in images if i["license"] in coco.FREE}
    written = {s: {int(p.stem): p for d in [args.data, *args.also] for p in d.glob(f"images/{s}/*.jpg")} for s in sources.COCO}
    whole = set(written["coco_ccby"]) | set(written["coco_full"])
    part = written["coco_people"] | written["coco_partial"] | written["coco_person"]
    held_out = {int(i) for source, ids in split.read().items() if source.startswith("images/coco") for i in ids}
    boxes, photographs = boxes_of(args.clones), coco.find_photographs(args.clones)
    predictor = evaluate.Predictor(nano.load(nano.build(512, postprocessing=True), args.weights).eval())
    counts = dict(photographs=0, things=0)
    for i in sorted((free & set(boxes) & set(photographs)) - whole - held_out):
        rgb, known = layout.picture(layout.read(args.clones, *photographs[i])), None
        scale = min(1.0, layout.LONG_SIDE / max(rgb.shape[:2]))
        if i in part:
            rgb, known = sources.read_rgb(part[i]), sources.read_labels(part[i].with_suffix(".png"))
        else:
            rgb = cv2.resize(rgb, [round(s * scale) for s in rgb.shape[1::-1]], interpolation=cv2.INTER_AREA)
        with torch.no_grad():
            labels = label(predictor, rgb, [tuple(v * scale for v in b) for b in boxes[i]], known)
        things = len([n for n in np.unique(labels) if 0 < n < layout.IGNORE])
        if things:
            layout.write(args.out, "coco_boxes", f"{i:012d}", rgb, labels)
            counts["photographs"] += 1
            counts["things"] += things
    print(counts)


if __name__ == "__main__":
    main()
