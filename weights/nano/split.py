"""Chooses the validation split of each source once, by a hash of each id, and writes val_split.json.

Run: python split.py --data DIR. The file is committed; training refuses to touch what it lists.
"""
import argparse
import hashlib
import json
from pathlib import Path

FILE = Path(__file__).with_name("val_split.json")

# How many of each source are held out.
HELD_OUT = {
    "images/openimages_animals": 48,
    "images/coco_ccby": 22,
    "images/coco_person": 18,
    "images/taco_litter": 30,
    "images/clothing_cc0": 20,
    "images/trashnet_photos": 12,
    "images/facade": 8,
    "images/nuclei_dsb2018": 12,
    "images/library_books": 8,
    "images/screws_bolts": 6,
    "images/mushroom_bed": 3,
    "video/ycb_synth": 10,
}


def ids_of(folder):
    if folder.parent.name == "video":
        return [p.name for p in folder.iterdir() if p.is_dir()]
    return [p.stem for p in folder.glob("*.jpg")]


def read():
    return {k: set(v) for k, v in json.loads(FILE.read_text()).items()}


def ids_under(prefix):
    """The held-out ids of all sources whose name begins so: a photograph of COCO may be in several of its folders."""
    return set().union(*(ids for source, ids in read().items() if source.startswith(prefix)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    split = {k: sorted(v) for k, v in read().items()} if FILE.exists() else {}
    for source, count in HELD_OUT.items():
        if source in split:
            continue  # what was held out once stays so
        ranked = sorted(ids_of(data / source), key=lambda i: hashlib.sha256(i.encode()).hexdigest())
        split[source] = sorted(ranked[:count])
    FILE.write_text(json.dumps(split, indent=1) + "\n")
