"""More of COCO: photographs with Flickr licence 4 (CC BY 2.0) or 7 (no known copyright restrictions) from small public subsets of it.

    python coco.py --clones CLONES --data DIR --out DIR

CLONES holds a `git clone` of each repository below as owner+name. What DIR/images/coco_ccby already has is left out. Writes
images/coco_full (all masks), images/coco_partial (some of them), images/coco_person (one person) and backgrounds/coco (no masks).
"""
import json
import re
import sys
from pathlib import Path

import numpy as np

import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import split

FREE = (4, 7)
# Annotation files with all of COCO's masks of their photographs.
COMPLETE = [
    ("siromermer/object-detection-benchmark", "HEAD", "data/coco_subset/annotations/instances_val2017_subset.json"),
    ("UCPRER/mini-coco", "HEAD", "annotations/mini_instances_train2017.json"),
    ("UCPRER/mini-coco", "HEAD", "annotations/mini_instances_val2017.json"),
    ("mchoccie/DeepDataMiningLearning", "HEAD", "data/annotations/instances_train2017.json"),
    ("mchoccie/DeepDataMiningLearning", "HEAD", "data/annotations/instances_val2017.json"),
    ("tikitong/minicoco", "5cffcf6~1", "data/labels/train.json"),
    ("tikitong/minicoco", "5cffcf6~1", "data/labels/val.json"),
    ("Clarifai/examples", "HEAD", "datasets/upload/image_segmentation/coco/annotations/instances_val2017_subset.json"),
    ("MiXaiLL76/faster_coco_eval", "HEAD", "tests/dataset/cocoapi/instances_val2014_100.json"),
    ("MiXaiLL76/faster_coco_eval", "HEAD", "tests/lvis_dataset/lvis_val_100.json"),
    ("274869388/debug_dataloader", "HEAD", "data/coco/annotations/instances_val2017.json"),
    ("TWSFar/FCOS", "HEAD", "data/COCO/annotations/instances_train2017.json"),
    ("TWSFar/FCOS", "HEAD", "data/COCO/annotations/instances_val2017.json"),
]
PANOPTIC = [
    ("lightly-ai/coco128_yolo", "panoptic_segmentation/annotations/panoptic_train2017"),
    ("lightly-ai/coco128_yolo", "panoptic_segmentation/annotations/panoptic_val2017"),
]
# This copy of COCO's annotations ends in the middle: all photographs' licences, the masks of some.
CUT_SHORT = ("zhengsipeng/rlt_system", "data/coco/annotations/instances_val2017.json")
ONE_PERSON = ("minto5z/coco_yolo", "coco/annotations/instances_val2017.json")
# Photographs without masks, some of which are those of the files above.
BARE = {"ManaviAgrawal/VQA", "codewithminer/ImageCaptioning", "vipulnj/coco-box-extraction", "yuanyl00/miniCOCO"}
REPOSITORIES = sorted({r for r, _, _ in COMPLETE} | {PANOPTIC[0][0], CUT_SHORT[0], ONE_PERSON[0]} | BARE)
THINGS = range(1, 91)  # COCO's categories of things; what is above them is stuff


def find_photographs(clones):
    found = {}
    for repository in REPOSITORIES:
        revision = dict((r, v) for r, v, _ in COMPLETE).get(repository, "HEAD")
        for path in layout.files(clones, repository, revision):
            match = re.search(r"(?:^|[/_])(\d{12})\.jpg$", path)
            if match:
                found.setdefault(int(match[1]), (repository, path, revision))
    return found


def truncated(text):
    """The `images` and the whole annotations of a JSON file that breaks off."""
    at = text.index('"annotations"')
    images = json.loads(text[: text.rindex("]", 0, at) + 1] + "}")["images"]
    body = text[text.index("[", at) :]
    end = body.rindex("},{")
    return images, json.loads(body[: end + 1] + "]")


def masks_of(annotations, height, width):
    """Things, and what is to be ignored (crowds)."""
    things, ignored = [], []
    for a in annotations:
        s = a["segmentation"]
        if isinstance(s, dict):
            if isinstance(s["counts"], list):
                ignored.append(layout.runs(s["counts"], height, width))
        elif s:
            (ignored if a.get("iscrowd") else things).append(layout.polygons(s, height, width))
    return things, ignored


def main():
    args = layout.parser(__doc__, data=True).parse_args()
    photographs = find_photographs(args.clones)
    there = {int(p.stem) for p in (args.data / "images" / "coco_ccby").glob("*.jpg")}
    licences, complete, panoptic, partial, person = {}, {}, {}, {}, {}

    def load(repository, path, revision="HEAD"):
        return json.loads(layout.read(args.clones, repository, path, revision))

    def collect(doc_images, annotations, into):
        known = {i["id"] for i in doc_images}
        for i in doc_images:
            licences[i["id"]] = i.get("license")
        of = {}
        for a in annotations:
            if a["image_id"] in known:
                of.setdefault(a["image_id"], []).append(a)
        for i, found in of.items():
            into.setdefault(i, found)

    for repository, revision, path in COMPLETE:
        doc = load(repository, path, revision)
        collect(doc["images"], doc["annotations"], complete)
    for repository, path in PANOPTIC:
        doc = load(repository, path + ".json")
        licences.update({i["id"]: i["license"] for i in doc["images"]})
        panoptic.update({a["image_id"]: (repository, path, a) for a in doc["annotations"]})
    collect(*truncated(layout.read(args.clones, *CUT_SHORT).decode()), partial)
    doc = load(*ONE_PERSON)
    collect(doc["images"], doc["annotations"], person)

    # What is held out as one person stays so, though some of them have all masks by now.
    for i in split.read()["images/coco_person"]:
        for masks in (complete, panoptic, partial):
            masks.pop(int(i), None)
    counts = {}
    for i, where in sorted(photographs.items()):
        if licences.get(i) not in FREE or i in there:
            continue
        rgb = layout.picture(layout.read(args.clones, *where))
        h, w = rgb.shape[:2]
        labels = None
        if i in complete:
            source, labels = "coco_full", layout.label_map(*masks_of(complete[i], h, w), h, w)
        elif i in panoptic:
            repository, path, a = panoptic[i]
            ids = layout.picture(layout.read(args.clones, repository, f"{path}/{a['file_name']}")).astype(np.int32) @ [1, 256, 65536]
            things = [s for s in a["segments_info"] if s["category_id"] in THINGS]
            masks = [[ids == s["id"] for s in things if bool(s["iscrowd"]) == crowd] for crowd in (False, True)]
            source, labels = "coco_full", layout.label_map(*masks, h, w)
        elif i in partial:
            source, labels = "coco_partial", layout.label_map(*masks_of(partial[i], h, w), h, w)
        elif i in person:
            source, labels = "coco_person", layout.label_map(*masks_of(person[i], h, w), h, w)
        if labels is None or not ((labels > 0) & (labels < layout.IGNORE)).any():
            source = "backgrounds"
            layout.write(args.out, "coco", f"{i:012d}", rgb, folder="backgrounds")
        else:
            layout.write(args.out, source, f"{i:012d}", rgb, labels)
        counts[source] = counts.get(source, 0) + 1
    print(counts)


if __name__ == "__main__":
    main()
