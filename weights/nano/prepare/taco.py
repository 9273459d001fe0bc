"""TACO's litter: its masks laid on a public copy of its photographs (416 px, squeezed to squares, some turned or mirrored).

    python taco.py --clones CLONES --out DIR

CLONES holds a `git clone` of pedropro/TACO and Artoriasnh/taco_yolov8 as owner+name. The copy dropped the folders' names, so
a photograph is recognised by its boxes. Writes images/taco_litter/<batch>_<number>, and a closer crop where all litter is small.
"""
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np

import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import split

REPOSITORIES = MASKS, COPY = "pedropro/TACO", "Artoriasnh/taco_yolov8"
NEAR = 0.008  # of the side: how well boxes must agree
SMALL = 0.06  # of the picture: below, a crop is worth having
SMALLEST = 0.005


def turned(boxes, turns, mirrored):
    """Boxes (n, 4) as centre and size in parts of the side, after a mirroring and quarter turns against the clock."""
    x, y, w, h = boxes.T
    if mirrored:
        x = 1 - x
    for _ in range(turns):
        x, y, w, h = y, 1 - x, h, w
    return np.stack([x, y, w, h], 1)


def agree(wanted, seen):
    """Nearly every box has its like, on both sides."""
    near = np.abs(wanted[:, None] - seen[None]).max(2) < NEAR
    return near.any(1).mean() > 0.85 and near.any(0).mean() > 0.85


def whole_boxes(image, annotations):
    w, h = image["width"], image["height"]
    b = np.array([a["bbox"] for a in annotations], np.float64)
    return np.stack([(b[:, 0] + b[:, 2] / 2) / w, (b[:, 1] + b[:, 3] / 2) / h, b[:, 2] / w, b[:, 3] / h], 1)


def main():
    args = layout.parser(__doc__).parse_args()
    doc = json.loads(layout.read(args.clones, MASKS, "data/annotations.json"))
    of = {}
    for a in doc["annotations"]:
        of.setdefault(a["image_id"], []).append(a)
    copies = {}
    for path in layout.files(args.clones, COPY):
        if "/labels/" in path and path.endswith(".txt"):
            copies.setdefault(Path(path).name.split(".rf.")[0].rsplit("_", 1)[0], []).append(path)
    boxes = {}
    for path in sum(copies.values(), []):
        rows = [line.split()[1:5] for line in layout.read(args.clones, COPY, path).decode().splitlines() if line.strip()]
        boxes[path] = np.array(rows, np.float64).reshape(-1, 4)
    held_out = split.read()["images/taco_litter"]
    photographs = crops = 0
    for image in doc["images"]:
        annotations = of.get(image["id"], [])
        if not annotations:
            continue
        wanted = whole_boxes(image, annotations)
        found = next(
            (
                (path, turns, mirrored)
                for mirrored in (False, True)
                for turns in range(4)
                for path in copies.get(Path(image["file_name"]).stem, ())
                if len(boxes[path]) and agree(turned(wanted, turns, mirrored), boxes[path])
            ),
            None,
        )
        if found is None:
            continue
        path, turns, mirrored = found
        rgb = layout.picture(layout.read(args.clones, COPY, re.sub("/labels/(.*)txt$", r"/images/\1jpg", path)))
        rgb = np.rot90(rgb, -turns)
        rgb = rgb[:, ::-1] if mirrored else rgb
        scale = layout.LONG_SIDE / max(image["width"], image["height"])
        w, h = round(image["width"] * scale), round(image["height"] * scale)
        rgb = cv2.resize(np.ascontiguousarray(rgb), (w, h), interpolation=cv2.INTER_LINEAR)
        masks = [layout.polygons([[v * scale for v in p] for p in a["segmentation"]], h, w) for a in annotations]
        labels = layout.label_map([m for m in masks if m.any()], [], h, w)
        name = image["file_name"].rsplit(".", 1)[0].replace("/", "_")
        areas = [(labels == i).mean() for i in range(1, labels.max() + 1)]
        if max(areas, default=0) >= SMALLEST:
            layout.write(args.out, "taco_litter", name, rgb, labels)
            photographs += 1
        if name not in held_out and 0 < max(areas, default=0) < SMALL:
            x, y, bw, bh = cv2.boundingRect((labels == 1 + int(np.argmax(areas))).astype(np.uint8))
            side = min(w, h, max(160, int(2.5 * max(bw, bh))))
            x0, y0 = (int(np.clip(c - side // 2, 0, most - side)) for c, most in ((x + bw // 2, w), (y + bh // 2, h)))
            part = np.s_[y0 : y0 + side, x0 : x0 + side]
            layout.write(args.out, "taco_litter", f"{name}_crop", rgb[part], labels[part])
            crops += 1
    print(f"{photographs} photographs, {crops} crops")


if __name__ == "__main__":
    main()
