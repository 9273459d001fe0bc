"""Puts the training data, smaller, into one file, for a machine to which the folder cannot be carried.

    python pack.py --data DIR --out data.pack
    python train.py --data data.pack ...

Photographs, sprites and frames are shrunk and written as WebP. Of the sources that are seldom taken there are fewer, in
proportion to their weight in scenes.py. What val_split.json lists is not in it.
"""
import argparse
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

import scenes
import sources


def shrunk(image, side, how=cv2.INTER_AREA):
    scale = side / max(image.shape[:2])
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)


def webp(image, quality):
    """RGB or RGBA."""
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".webp", cv2.cvtColor(image, code), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()


def photo(p, side, quality):
    index = shrunk(p.labels, side, cv2.INTER_NEAREST)
    return webp(shrunk(p.rgb, side), quality), cv2.imencode(".png", index, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


def spread(items, most, group=1):
    """At most so many of them, evenly spread, in whole groups."""
    groups = [items[i : i + group] for i in range(0, len(items), group)]
    count = max(1, min(len(groups), most // group))
    return [item for k in range(count) for item in groups[k * len(groups) // count]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=448, help="of photographs, at most, in pixels")
    parser.add_argument("--sprite-side", type=int, default=176)
    parser.add_argument("--quality", type=int, default=70)
    parser.add_argument("--photos", type=int, default=4000, help="were all sources large enough")
    parser.add_argument("--sprites", type=int, default=14000)
    args = parser.parse_args()
    src = sources.read(args.data)
    with ThreadPoolExecutor(2) as pool:

        def photos(items):
            return list(pool.map(lambda p: photo(p, args.side, args.quality), items))

        def sprites(name, items):
            most = int(scenes.SPRITE_WEIGHTS[name] * args.sprites)
            items = spread(items, most, sources.VIEWS if name.endswith("_turntable") else 1)
            return list(pool.map(lambda s: webp(shrunk(s, args.sprite_side), args.quality), items))

        packed = dict(
            photos={name: photos(spread(items, int(scenes.PHOTO_WEIGHTS[name] * args.photos))) for name, items in src.photos.items()},
            clips=[photos(frames) for frames in src.clips],
            sprites={name: sprites(name, items) for name, items in src.sprites.items()},
            backgrounds=list(pool.map(lambda rgb: webp(shrunk(rgb, args.side), args.quality), src.backgrounds)),
        )
    args.out.write_bytes(pickle.dumps(packed))
    for part in ("photos", "sprites"):
        for name, items in packed[part].items():
            size = sum(len(i) if isinstance(i, bytes) else len(i[0]) + len(i[1]) for i in items)
            print(part, name, len(items), f"{size / 1e6:.1f} MB")
    print("clips", sum(len(a) + len(b) for frames in packed["clips"] for a, b in frames) / 1e6, "backgrounds", sum(map(len, packed["backgrounds"])) / 1e6)
    print(args.out, args.out.stat().st_size / 1e6, "MB")


if __name__ == "__main__":
    main()
