"""Photographs of COCO val2017 of which only the boxes are at hand: nano's own masks of those boxes, where it is sure enough.

    python coco_boxes.py --clones CLONES --data DIR --also DIR ... --weights ../../nano.safetensors --out DIR

CLONES is that of coco.py and has a clone of hunglc007/tensorflow-yolov4-tflite, too. What DATA and --also have all masks of (coco_ccby,
coco_full) is left out, and so is what is held out; masks that they have of a photograph (coco_person, coco_people, coco_partial) are
kept and the others' boxes added, as box_masks.py tells. Flickr licences 4 and 7 only. Writes images/coco_boxes.
"""
import sys
from pathlib import Path

import cv2
import torch

import box_masks
import coco
import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import model as nano
import sources
import split

BOXES = ("hunglc007/tensorflow-yolov4-tflite", "data/dataset/val2017.txt")
REPOSITORIES = [*coco.REPOSITORIES, BOXES[0]]


def boxes_of(clones):
    """{id: [(x0, y0, x1, y1)]} in the photograph's own pixels."""
    out = {}
    for line in layout.read(clones, *BOXES).decode().splitlines():
        path, *boxes = line.split()
        out[int(Path(path).stem)] = [tuple(int(v) for v in box.split(",")[:4]) for box in boxes]
    return out


def main():
    parser = layout.parser(__doc__, data=True)
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="what coco.py and coco_people.py wrote")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors, or a checkpoint of train.py")
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    torch.set_num_threads(1)
    images, _ = coco.truncated(layout.read(args.clones, *coco.CUT_SHORT).decode())
    free = {i["id"] for i in images if i["license"] in coco.FREE}
    written = {s: {int(p.stem): p for d in [args.data, *args.also] for p in d.glob(f"images/{s}/*.jpg")} for s in sources.COCO}
    whole = set(written["coco_ccby"]) | set(written["coco_full"])
    part = written["coco_people"] | written["coco_partial"] | written["coco_person"]
    held_out = {int(i) for i in split.ids_under("images/coco")}
    boxes, photographs = boxes_of(args.clones), coco.find_photographs(args.clones)
    predictor = box_masks.load(args.weights)
    counts = dict(photographs=0, things=0)
    for i in sorted((free & set(boxes) & set(photographs)) - whole - held_out):
        rgb, known = layout.picture(layout.read(args.clones, *photographs[i])), None
        size, scale = layout.shrunk(rgb.shape[1], rgb.shape[0])
        if i in part:
            rgb, known = sources.read_rgb(part[i]), sources.read_labels(part[i].with_suffix(".png"))
        else:
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        labels, things = box_masks.label(predictor, rgb, [tuple(v * scale for v in b) for b in boxes[i]], known)
        if things:
            layout.write(args.out, "coco_boxes", f"{i:012d}", rgb, labels)
            counts["photographs"] += 1
            counts["things"] += things
    print(counts)


if __name__ == "__main__":
    main()
