"""Everything that these scripts make of public repositories but the rendered models: photographs with masks, and backgrounds.

    python photographs.py --list                                      the repositories, owner/name
    python photographs.py --clones CLONES --data DATA --out OUT

CLONES holds a `git clone` of each as owner+name. DATA holds the sources that come first in the model card (coco_ccby and
openimages_animals at the least); OUT gets the others, laid out alike, so that they can be moved into DATA. A source of which a
clone is missing is left out and told. Not among them are masks that a network makes of boxes: coco_boxes.py and box_masks.py.
"""
import subprocess
import sys
from pathlib import Path

import coco
import coco_people
import layout
import openimages
import openimages_masks
import roboflow
import taco

STEPS = [coco, coco_people, openimages_masks, openimages, taco, roboflow]
LOOK = [coco, coco_people, openimages_masks, openimages]  # these look at what DATA has


def main():
    if sys.argv[1:] == ["--list"]:
        print(*sorted({r for step in STEPS for r in step.REPOSITORIES}), sep="\n")
        return
    args = layout.parser(__doc__, data=True).parse_args()
    failed = []
    for step in STEPS:
        missing = layout.missing(args.clones, step.REPOSITORIES)
        if missing:
            failed.append(f"{step.__name__}: no clone of {', '.join(missing)}")
            continue
        data = ["--data", args.data] if step in LOOK else []
        also = ["--also", args.out] if step is coco_people else []
        command = [sys.executable, step.__file__, "--clones", args.clones, *data, *also, "--out", args.out]
        if subprocess.run(command).returncode:
            failed.append(f"{step.__name__}: see above")
    for source in sorted((args.out / "images").glob("*")):
        print(f"{source.name:20}", len(list(source.glob("*.jpg"))))
    if failed:
        sys.exit("left out:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
