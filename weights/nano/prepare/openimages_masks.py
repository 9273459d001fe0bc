"""Open Images photographs with some of the masks of Open Images (files named <photograph>_<class>_<box>.png).

    python openimages_masks.py --clones CLONES --data DIR --out DIR

CLONES holds a `git clone` of each repository below as owner+name. What DATA has in images/openimages_animals and what is held out is left out.
Writes images/openimages_masks.
"""
import re

import cv2
import numpy as np

import layout
import openimages

REPOSITORIES = ["Efoks/OpenImages-Semantic-Segmentation"]

PHOTOGRAPH = re.compile(r"(?:^|/)([0-9a-f]{16})\.jpe?g$")
MASK = re.compile(r"(?:^|/)([0-9a-f]{16})_m0\w+_[0-9a-f]+\.png$")


def main():
    args = layout.parser(__doc__, data=True).parse_args()
    left_out = openimages.known(args.data)
    count = 0
    for repository in REPOSITORIES:
        paths = layout.files(args.clones, repository)
        masks = {}
        for path in paths:
            if found := MASK.search(path):
                masks.setdefault(found[1], []).append(path)
        photographs = {found[1]: path for path in paths if (found := PHOTOGRAPH.search(path))}
        for name in sorted(set(masks) & set(photographs) - left_out):
            rgb = layout.picture(layout.read(args.clones, repository, photographs[name]))
            h, w = rgb.shape[:2]
            # The masks have a size of their own.
            things = [layout.picture(layout.read(args.clones, repository, path))[..., 0] for path in masks[name]]
            things = [cv2.resize(t, (w, h), interpolation=cv2.INTER_NEAREST) > 0 for t in things]
            labels = layout.label_map([t for t in things if t.any()], [], h, w)
            if np.any(labels):
                layout.write(args.out, "openimages_masks", name, rgb, labels)
                count += 1
    print({"openimages_masks": count})


if __name__ == "__main__":
    main()
