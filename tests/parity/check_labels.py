"""Compares masks in label files with pycocotools.

python check_labels.py [FILE.json …]

Without files, it makes the results in www/sam2-web/test/data/pycocotools.json again, with which the package and the
command-line tool are tested, and says what is different. Of COCO data sets, such as `sam2 import` and `sam2 export --to
coco` write, it says which annotations have another area or box than their masks, and which outlines are other masks than
the run lengths of the same annotation in the first file.

It needs numpy and pycocotools 2.0.11.
"""

import base64
import json
import pathlib
import sys

import numpy as np
from pycocotools import mask as official

RESULTS = pathlib.Path(__file__).parents[2] / "www/sam2-web/test/data/pycocotools.json"


def check_results(results):
    for made in results["masks"]:
        width, height = made["width"], made["height"]
        bits = np.frombuffer(base64.b64decode(made["bits"]), np.uint8)
        pixels = np.unpackbits(bits, bitorder="little")[: width * height].reshape(height, width)
        rle = official.encode(np.asfortranarray(pixels))
        yield f"{width} x {height}", (
            rle["counts"].decode() == made["text"]
            and int(official.area(rle)) == made["area"]
            and official.toBbox(rle).tolist() == made["bbox"]
        )
    for made in results["polygons"]:
        width, height = made["width"], made["height"]
        rings = [[value for point in ring for value in point] for ring in made["rings"]]
        rle = official.merge(official.frPyObjects(rings, height, width))
        yield f"polygons {rings}", rle["counts"].decode() == made["text"]


def to_rle(annotation, height, width):
    segmentation = annotation["segmentation"]
    if isinstance(segmentation, list):
        return official.merge(official.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return official.frPyObjects(segmentation, height, width)
    return {**segmentation, "counts": segmentation["counts"].encode()}


def check_data_set(data_set, masks):
    """Adds the masks to `masks`, by their annotations' ids, or compares them with those that are there."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in data_set["images"]}
    for annotation in data_set["annotations"]:
        rle = to_rle(annotation, *sizes[annotation["image_id"]])
        area, box = int(official.area(rle)), official.toBbox(rle).tolist()
        same = masks.setdefault(annotation["id"], rle["counts"]) == rle["counts"]
        right = area == annotation["area"] and (area == 0 or box == annotation["bbox"])
        yield f"annotation {annotation['id']}", same and right


def main():
    files = [pathlib.Path(name) for name in sys.argv[1:]] or [RESULTS]
    wrong, count, masks = 0, 0, {}
    for file in files:
        content = json.loads(file.read_text())
        checks = check_results(content) if "masks" in content else check_data_set(content, masks)
        for name, right in checks:
            count += 1
            if not right:
                wrong += 1
                print(f"{file}: {name} is different")
    print(f"{count} compared, {wrong} different")
    sys.exit(wrong > 0)


main()
