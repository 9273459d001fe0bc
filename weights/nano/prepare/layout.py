"""Writes a photograph and its masks as the recipe reads them: images/<source>/<id>.jpg and .png (0 nothing, 1.. things, 255 ignored)."""
import argparse
import io
import subprocess
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

LONG_SIDE = 512
IGNORE = 255


def parser(description, data=False):
    """The arguments that these scripts share; `data` where they ask what is there already."""
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--clones", *(["--data"] if data else []), "--out"):
        out.add_argument(name, type=Path, required=True)
    return out


def git(clones, repository, *arguments):
    """What git prints in the clone of "owner/name", which lies in `clones` as owner+name. Raises CalledProcessError."""
    return subprocess.check_output(["git", "-C", str(clones / repository.replace("/", "+")), *arguments])


def missing(clones, repositories):
    """Those of "owner/name" of which there is no clone."""
    return [r for r in repositories if not (clones / r.replace("/", "+")).is_dir()]


def files(clones, repository, revision="HEAD"):
    return git(clones, repository, "ls-tree", "-r", "--name-only", "-z", revision).decode().split("\0")[:-1]


def read(clones, repository, path, revision="HEAD"):
    return git(clones, repository, "show", f"{revision}:{path}")


def picture(data):
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def polygons(parts, height, width):
    """A mask of COCO's polygons [[x, y, x, y, ...], ...], in pixels."""
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(p, np.float32).reshape(-1, 2)).astype(np.int32) for p in parts if len(p) >= 6], 1)
    return mask > 0


def runs(counts, height, width):
    """A mask of COCO's uncompressed run lengths, column by column."""
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    return flat.reshape(width, height).T > 0


def label_map(masks, ignored, height, width):
    """The smaller thing lies on top of the larger, as nothing may overlap; at most 254 things."""
    labels = np.zeros((height, width), np.uint8)
    for mask in ignored:
        labels[mask] = IGNORE
    largest = sorted(masks, key=lambda m: -int(m.sum()))[:254]
    for i, mask in enumerate(largest, 1):
        labels[mask] = i
    return labels


def overlap(a, b):
    """IoU of two boxes (x0, y0, x1, y1)."""
    w, h = (max(0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h + 1e-9)


def shrunk(width, height):
    """The size of a photograph as it is kept, and the factor to it."""
    scale = min(1.0, LONG_SIDE / max(height, width))
    return (max(1, round(width * scale)), max(1, round(height * scale))), scale


def write(out, source, name, rgb, labels=None, folder="images"):
    """Shrunk to LONG_SIDE; without labels only the photograph."""
    size, _ = shrunk(rgb.shape[1], rgb.shape[0])
    path = out / folder / source
    path.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)).save(path / f"{name}.jpg", quality=88)
    if labels is not None:
        Image.fromarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)).save(path / f"{name}.png")
