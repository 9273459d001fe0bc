"""The training data in memory: everything is decoded once, and what val_split.json lists is left out."""
import hashlib
import mmap
import os
import pickle
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import split

IGNORE = 255
VIEWS = 12  # of each object on a turntable
# Photographs whose instances are worth pasting elsewhere.
CUT_FROM = ("openimages_animals", "coco_full", "coco_ccby", "coco_person", "coco_people", "taco_litter")
COCO = ("coco_ccby", "coco_full", "coco_partial", "coco_person", "coco_people", "coco_boxes")


@dataclass
class Photo:
    rgb: np.ndarray
    labels: np.ndarray  # 0 background, 1.. instances, 255 ignore
    source: str


@dataclass
class Sources:
    photos: dict = field(default_factory=dict)  # source -> [Photo]
    clips: list = field(default_factory=list)  # [[Photo]]
    sprites: dict = field(default_factory=dict)  # source -> [RGBA]
    turntables: list = field(default_factory=list)  # [[RGBA]], views of one object in order
    cuts: list = field(default_factory=list)  # RGBA, instances cut out of training photos
    backgrounds: list = field(default_factory=list)  # [RGB]


def read_rgb(path):
    return cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def read_labels(path):
    """The PNG's palette indices (OpenCV would turn them into colours)."""
    return np.array(Image.open(path))


def crop_to_alpha(rgba):
    ys, xs = np.nonzero(rgba[..., 3] > 127)
    return np.ascontiguousarray(rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])


def cut_instances(photo):
    """Whole instances big enough to look like something: not touching the border, 1.5 to 60 % of the picture."""
    h, w = photo.labels.shape
    for i in np.unique(photo.labels):
        if i in (0, IGNORE):
            continue
        mask = (photo.labels == i).astype(np.uint8)
        x, y, bw, bh = cv2.boundingRect(mask)
        inside = x > 0 and y > 0 and x + bw < w and y + bh < h
        if inside and 0.015 < mask.mean() < 0.6:
            alpha = cv2.GaussianBlur(mask * 255, (3, 3), 0)
            yield crop_to_alpha(np.dstack([photo.rgb, alpha]))


def read(data, video=True):
    """What the folder `data` holds, as it is in the files: photos, clips, sprites with their empty border, backgrounds. Held out is left out."""
    held_out = split.read()
    out = Sources()
    held_out_coco = split.ids_under("images/coco")
    for folder in sorted((data / "images").iterdir()):
        skip = held_out_coco if folder.name.startswith("coco") else held_out.get(f"images/{folder.name}", ())
        out.photos[folder.name] = [
            Photo(read_rgb(p), read_labels(p.with_suffix(".png")), folder.name)
            for p in sorted(folder.glob("*.jpg"))
            if p.stem not in skip
        ]
    if video:
        for clip in sorted((data / "video" / "ycb_synth").iterdir()):
            if clip.name in held_out["video/ycb_synth"]:
                continue
            frames = sorted(clip.glob("*.jpg"))
            out.clips.append([Photo(read_rgb(p), read_labels(p.with_suffix(".png")), "ycb_synth") for p in frames])
    # Cut-outs carry the id of the photo they come from.
    photo_ids = held_out["images/clothing_cc0"] | held_out["images/trashnet_photos"]
    for folder in sorted((data / "sprites").iterdir()):
        out.sprites[folder.name] = [np.array(Image.open(p).convert("RGBA")) for p in sorted(folder.glob("*.webp")) if p.stem not in photo_ids]
    out.backgrounds = [read_rgb(p) for p in sorted((data / "backgrounds").glob("*/*.jpg"))]
    return out


def decoded(data):
    """The picture of an encoded file's bytes: RGB, RGBA, or labels."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def read_packed(path):
    """What read() gives, from a file of pack.py."""
    packed = pickle.loads(path.read_bytes())
    with ThreadPoolExecutor() as pool:

        def photos(items, name):
            return list(pool.map(lambda p: Photo(decoded(p[0]), decoded(p[1]), name), items))

        return Sources(
            photos={name: photos(items, name) for name, items in packed["photos"].items()},
            clips=[photos(frames, "ycb_synth") for frames in packed["clips"]],
            sprites={name: list(pool.map(decoded, items)) for name, items in packed["sprites"].items()},
            backgrounds=list(pool.map(decoded, packed["backgrounds"])),
        )


def large_enough(rgba):
    return (rgba[..., 3] > 127).sum() > 400


def load(data, video=True):
    """The sources of a folder or of a file of pack.py, with turntables and cut instances made of them."""
    out = read(data, video) if data.is_dir() else read_packed(data)
    for name, rgba in out.sprites.items():
        if name.endswith("_turntable"):
            out.turntables += [v for v in (rgba[i : i + VIEWS] for i in range(0, len(rgba), VIEWS)) if all(map(large_enough, v))]
        out.sprites[name] = [crop_to_alpha(s) for s in rgba if large_enough(s)]
    with ThreadPoolExecutor() as pool:
        photos = [p for name in CUT_FROM for p in out.photos.get(name, ())]
        out.cuts = [cut for cuts in pool.map(lambda p: list(cut_instances(p)), photos) for cut in cuts]
    return out


def shared(data):
    """What load() gives, read-only from a file in the temporary folder, so that runs side by side hold it once. Made where it isn't there."""
    names = [str(data), str(data.stat().st_size)] if data.is_file() else sorted(str(p) for folder in ("images", "sprites", "backgrounds", "video") for p in (data / folder).glob("*/*"))
    key = hashlib.sha256("\n".join([*names, split.FILE.read_text(), Path(__file__).read_text()]).encode()).hexdigest()
    path = Path(tempfile.gettempdir()) / f"nano-{key[:16]}.sources"
    if not path.exists():
        buffers = []
        head = pickle.dumps(load(data), protocol=5, buffer_callback=buffers.append)
        raw = [b.raw() for b in buffers]
        making = path.with_suffix(f".{os.getpid()}")
        with making.open("wb") as f:
            pickle.dump((head, [len(r) for r in raw]), f)
            for r in raw:
                f.write(r)
        making.replace(path)
        del buffers, raw
    with path.open("rb") as f:
        head, sizes = pickle.load(f)
        at, whole = f.tell(), memoryview(mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ))
    parts = []
    for size in sizes:
        parts.append(whole[at : at + size])
        at += size
    return pickle.loads(head, buffers=parts)
