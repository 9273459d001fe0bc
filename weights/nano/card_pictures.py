"""The model card's pictures: held-out photographs with what nano makes of one click and of a box.

    python card_pictures.py --data DIR --weights ../nano.safetensors
"""
import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

import evaluate
import model as nano
import pictures
import prompts

OUT = Path(__file__).with_name("pictures")


def tile(predictor, photo, height=240):
    ids = evaluate.instances(photo)
    wanted = photo.labels == max(ids, key=lambda i: (photo.labels == i).sum())
    predictor.set_image(photo.rgb)
    valid = photo.labels != 255
    click, box = (evaluate.masks_for(predictor, wanted[None], valid, p)[0] for p in ("click", "box"))
    x, y, w, h = cv2.boundingRect(wanted.astype(np.uint8))
    pair = np.hstack(
        [
            pictures.overlay(photo.rgb, wanted, colour=(60, 120, 255)),
            pictures.overlay(photo.rgb, click, prompts.innermost(wanted)),
            pictures.overlay(photo.rgb, box, box=(x, y, x + w, y + h)),
        ]
    )
    return cv2.resize(pair, (int(pair.shape[1] * height / pair.shape[0]), height), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    OUT.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    predictor = evaluate.Predictor(nano.load(nano.build(postprocessing=True), args.weights).eval())
    for name, step in (("openimages_animals", 7), ("coco_ccby", 5), ("clothing_cc0", 5), ("trashnet_photos", 4)):
        tiles = [tile(predictor, photo) for photo, _ in evaluate.held_out(args.data, [name])[::step] if evaluate.instances(photo)][:5]
        width = max(t.shape[1] for t in tiles)
        tiles = [np.pad(t, ((0, 4), (0, width - t.shape[1]), (0, 0)), constant_values=255) for t in tiles]
        sheet = cv2.cvtColor(np.vstack(tiles), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(OUT / f"{name}.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 80])
