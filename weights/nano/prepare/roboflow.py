"""Small sets exported from Roboflow: COCO files or YOLO's polygons, one of the changed copies of each photograph.

    python roboflow.py --clones CLONES --out DIR

CLONES holds a `git clone` of each repository below as owner+name. Writes images/<source>.
"""
import json
from pathlib import Path

import numpy as np

import layout

# source: repository, folder, how many at most
COCO = {
    "microcontrollers": ("Grod-d/classifier_microcontrollers", "dataset", 200),
    "breadboard_parts": ("liuandy1207/BreadCrumb", "dataset", 60),
}
YOLO = {
    "kuih_food": ("Alobster49/KuihCaloriesEstimation", "", 300),
    "maize_kernels": ("justbiraj/yolo_maize", "data_mz/", 50),
    "meal_trays": ("Charladinna9/mbg-nutrition-detection-system", "dataset/", 200),
    "pills": ("Profianton/AIMediCheck", "training_data/", 50),
}
REPOSITORIES = [r for r, _, _ in [*COCO.values(), *YOLO.values()]]


def photograph(path):
    """The photograph's own name, without what was added on export."""
    return Path(path).name.split(".rf.")[0].rsplit("_", 1)[0]


def from_coco(clones, repository, folder):
    for part in ("train", "valid", "test"):
        doc = json.loads(layout.read(clones, repository, f"{folder}/{part}/_annotations.coco.json"))
        of = {}
        for a in doc["annotations"]:
            of.setdefault(a["image_id"], []).append(a["segmentation"])
        for i in doc["images"]:
            if i["id"] in of:
                yield f"{folder}/{part}/{i['file_name']}", lambda h, w, parts=of[i["id"]]: [layout.polygons(p, h, w) for p in parts]


def from_yolo(clones, repository, folder):
    there = set(layout.files(clones, repository))
    for path in sorted(there):
        if not (path.startswith(folder) and "/labels/" in path and path.endswith(".txt")):
            continue
        image = path.replace("/labels/", "/images/").removesuffix("txt") + "jpg"
        if image not in there:
            continue
        rows = [np.array(line.split()[1:], np.float64) for line in layout.read(clones, repository, path).decode().splitlines()]
        rows = [r.reshape(-1, 2) for r in rows if len(r) >= 6 and len(r) % 2 == 0]
        if rows:
            yield image, lambda h, w, rows=rows: [layout.polygons([(r * [w, h]).ravel()], h, w) for r in rows]


def main():
    args = layout.parser(__doc__).parse_args()
    for sets, pictures in ((COCO, from_coco), (YOLO, from_yolo)):
        for source, (repository, folder, most) in sets.items():
            seen = {}
            for path, masks in pictures(args.clones, repository, folder):
                seen.setdefault(photograph(path), (path, masks))
            chosen = sorted(seen.items())
            chosen = chosen[:: max(1, len(chosen) // most)][:most]
            for name, (path, masks) in chosen:
                rgb = layout.picture(layout.read(args.clones, repository, path))
                h, w = rgb.shape[:2]
                layout.write(args.out, source, name, rgb, layout.label_map([m for m in masks(h, w) if m.any()], [], h, w))
            print(source, len(chosen))


if __name__ == "__main__":
    main()
