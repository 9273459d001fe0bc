"""The model card's picture of clips: held-out clips followed from the first frame's masks, every fourth frame.

    python clip_picture.py --data DIR --weights ../nano.safetensors
"""
import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

import evaluate
import model as nano
import pictures
import sources
import split

COLOURS = [(255, 60, 60), (60, 120, 255), (60, 220, 60), (240, 200, 40), (220, 60, 220)]


@torch.no_grad()
def strip(predictor, folder, every=4, width=200):
    frames = sorted(folder.glob("*.jpg"))
    labels = sources.read_labels(frames[0].with_suffix(".png"))
    state = predictor.init_state(str(folder))
    ids = evaluate.instances(sources.Photo(None, labels, ""))
    for i in ids:
        predictor.add_new_mask(state, 0, int(i), labels == i)
    row = []
    for t, _, logits in predictor.propagate_in_video(state):
        if t % every == 0:
            rgb = sources.read_rgb(frames[t])
            for mask, colour in zip(logits[:, 0].numpy() > 0, COLOURS):
                rgb = pictures.overlay(rgb, mask, colour=colour)
            row.append(cv2.resize(rgb, (width, width * rgb.shape[0] // rgb.shape[1]), interpolation=cv2.INTER_AREA))
    return np.hstack(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    torch.set_num_threads(1)
    evaluate.quiet()
    predictor = nano.load(nano.build(postprocessing=True, video=True), args.weights).eval()
    folders = [args.data / key / name for key, names in split.read().items() if key.startswith("video/") for name in sorted(names)]
    sheet = cv2.cvtColor(np.vstack([strip(predictor, f) for f in folders[::3]]), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(Path(__file__).with_name("pictures") / "clips.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 80])
