"""People of COCO val2017: photographs with Flickr licence 4 or 7 on which every person is marked, and nothing else is.

    python coco_people.py --clones CLONES --data DIR --out DIR [--also DIR]

CLONES is that of coco.py and has a clone of manhph2211/HRNet-Pose-Estimation, too. Left out are the photographs of images/coco_* in DATA
and in --also (what coco.py wrote) and what is held out of any of COCO's sources. Writes images/coco_people.
"""
import json
import sys
from pathlib import Path

import coco
import layout

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import split

# 538 photographs with all of COCO's annotations of persons, crowds included.
PEOPLE = ("manhph2211/HRNet-Pose-Estimation", "data/coco/annotations/person_keypoints_val2017.json")
REPOSITORIES = [*coco.REPOSITORIES, PEOPLE[0]]


def main():
    parser = layout.parser(__doc__, data=True)
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="what coco.py wrote")
    args = parser.parse_args()
    doc = json.loads(layout.read(args.clones, *PEOPLE))
    people = {}
    for a in doc["annotations"]:
        people.setdefault(a["image_id"], []).append(a)
    free = {i["id"] for i in doc["images"] if i["license"] in coco.FREE}
    there = {int(p.stem) for d in [args.data, *args.also] for p in d.glob("images/coco_*/*.jpg")}
    held_out = {int(i) for i in split.ids_under("images/coco")}
    photographs = coco.find_photographs(args.clones)
    count = 0
    for i in sorted(free & set(people) & set(photographs) - there - held_out):
        rgb = layout.picture(layout.read(args.clones, *photographs[i]))
        h, w = rgb.shape[:2]
        labels = layout.label_map(*coco.masks_of(people[i], h, w), h, w)
        if ((labels > 0) & (labels < layout.IGNORE)).any():
            layout.write(args.out, "coco_people", f"{i:012d}", rgb, labels)
            count += 1
    print({"coco_people": count})


if __name__ == "__main__":
    main()
