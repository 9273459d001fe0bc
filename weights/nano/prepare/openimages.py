"""Open Images photographs of which only boxes are at hand, shrunk, and those boxes in the shrunk photograph's pixels.

    python openimages.py --clones CLONES --data DIR --out DIR

CLONES holds a `git clone` of each repository below as owner+name. Only files named after an Open Images id (16 hex digits) are taken;
what DATA has in images/openimages_animals and what is held out is left out, and so are boxes of groups, where that is told.
Writes boxes/openimages/<id>.jpg and boxes/openimages/boxes.json, {id: [[x0, y0, x1, y1], ...]}.
"""
import csv
import io
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np

import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import split

# repository, the folder of the photographs, the file of the boxes (data's own train2017 is turned, and the boxes are not)
COCO = [
    ("DineshRamachandran14/data", "coco/val2017", "annotations/instances_val2017.json"),
    ("DineshRamachandran14/data", "coco/test2017", "annotations/instances_test2017.json"),
    ("pratikkorat26/DETR_FineTuning", "data/train2017", "data/annotations/instances_train2017.json"),
]
LABELS = "data/open-images-v7/train/labels/filtered_detections.csv"
OFFICIAL = [("HongshuW/Preference-Data-Generation", "data/open-images-v7/train/data", LABELS)]
AUTOML = [("SamORichards/EfficentNetSSDTrainer", "imgs", "output.csv")]
# repository, the folder of the photographs, the folder of what was cut out of them along the boxes
CUT_OUT = [("bert093/Pemrograman-Mobile-5-UAS", "open-images-v7/validation/data", "fish_crops")]
REPOSITORIES = sorted({r for r, _, _ in COCO + OFFICIAL + AUTOML + CUT_OUT})

ID = re.compile(r"(?:^|/)([0-9a-f]{16})(?![0-9a-f])[^/]*\.jpe?g$")
SAME = 0.8  # IoU of two boxes of one thing
FOUND = 0.98  # correlation of a cut-out with its photograph
MOST = 20  # boxes of a photograph
LARGEST = 0.9  # of the picture, a box: what is larger is mostly a group
OF_ONE_KIND = 250  # photographs of CUT_OUT


def from_coco(clones, repository, folder, path):
    doc = json.loads(layout.read(clones, repository, path))
    size = {i["id"]: (f"{folder}/{i['file_name']}", i["width"], i["height"]) for i in doc["images"]}
    for a in doc["annotations"]:
        photograph, w, h = size[a["image_id"]]
        x, y, u, v = a["bbox"]
        yield photograph, (x / w, y / h, (x + u) / w, (y + v) / h)


def from_official(clones, repository, folder, path):
    for row in csv.DictReader(io.StringIO(layout.read(clones, repository, path).decode())):
        if row["IsGroupOf"] != "1":
            yield f"{folder}/{row['ImageID']}.jpg", tuple(float(row[k]) for k in ("XMin", "YMin", "XMax", "YMax"))


def from_automl(clones, repository, folder, path):
    for _, photograph, _, x0, y0, _, _, x1, y1, _, _ in csv.reader(io.StringIO(layout.read(clones, repository, path).decode())):
        yield photograph.removeprefix("./"), tuple(float(v) for v in (x0, y0, x1, y1))


def from_cut_out(clones, repository, folder, path):
    there = set(layout.files(clones, repository))
    cuts = sorted((ID.search(p)[1], p) for p in there if p.startswith(path) and ID.search(p))
    first = set(sorted({name for name, _ in cuts if f"{folder}/{name}.jpg" in there})[:OF_ONE_KIND])
    for name, cut in cuts:
        if name not in first:
            continue
        photograph = f"{folder}/{name}.jpg"
        whole, part = (layout.picture(layout.read(clones, repository, p)) for p in (photograph, cut))
        (h, w), (v, u) = whole.shape[:2], part.shape[:2]
        if v > h or u > w or min(u, v) < 16 or u * v > LARGEST * w * h:
            continue
        _, best, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(whole, part, cv2.TM_CCOEFF_NORMED))
        if best >= FOUND:
            yield photograph, (x / w, y / h, (x + u) / w, (y + v) / h)


def known(data):
    """Ids of what is held out and of what openimages_animals has already, with real masks."""
    return split.ids_under("images/") | {p.stem for p in data.glob("images/openimages_animals/*.jpg")}


def main():
    args = layout.parser(__doc__, data=True).parse_args()
    cv2.setNumThreads(1)
    left_out = known(args.data)
    found, boxes = {}, {}
    for sets, read in ((COCO, from_coco), (OFFICIAL, from_official), (AUTOML, from_automl), (CUT_OUT, from_cut_out)):
        for repository, folder, path in sets:
            there, count, photographs = set(layout.files(args.clones, repository)), 0, set()
            for photograph, box in read(args.clones, repository, folder, path):
                name = ID.search(photograph)
                if photograph not in there or not name or name[1] in left_out:
                    continue
                box = tuple(min(1.0, max(0.0, v)) for v in box)
                area = max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
                if not 0 < area <= LARGEST or any(layout.overlap(box, b) > SAME for b in boxes.get(name[1], [])):
                    continue
                found.setdefault(name[1], (repository, photograph))
                boxes.setdefault(name[1], []).append(box)
                photographs.add(name[1])
                count += 1
            print(repository, folder, len(photographs), count)
    out = {}
    for name in sorted(n for n in boxes if len(boxes[n]) <= MOST):
        rgb = layout.picture(layout.read(args.clones, *found[name]))
        layout.write(args.out, "openimages", name, rgb, folder="boxes")
        size, _ = layout.shrunk(rgb.shape[1], rgb.shape[0])
        out[name] = np.round(np.array(boxes[name]) * (*size, *size), 1).tolist()
    (args.out / "boxes/openimages/boxes.json").write_text(json.dumps(out))
    print(len(out), "photographs", sum(len(b) for b in out.values()), "boxes")


if __name__ == "__main__":
    main()
