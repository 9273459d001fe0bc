"""The training's pictures: curves from the CSV files, overlays on held-out photographs."""
import csv

import cv2
import numpy as np

import evaluate
import prompts


def column(rows, x, y):
    pairs = [(float(r[x]), float(r[y])) for r in rows if r.get(y)]
    return zip(*pairs) if pairs else ([], [])


def smooth(values, n=15):
    values = np.array(values)
    return [values[max(0, i - n + 1) : i + 1].mean() for i in range(len(values))]


def curves(run):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    log = list(csv.DictReader((run / "log.csv").open())) if (run / "log.csv").exists() else []
    val = list(csv.DictReader((run / "val.csv").open()))
    figure, axes = plt.subplots(1, 4, figsize=(20, 4))
    clips = ["clip_mask", "clip_click", "clip_box"]
    for axis, names in ((axes[0], ["loss", "clip_loss"]), (axes[1], ["click1_chosen", "click1_best", "click3_single", "box1_single"]), (axes[3], clips)):
        for name in names:
            x, y = column(log, "hours", name)
            axis.plot(list(x), smooth(list(y)), label=name)
        axis.legend()
        axis.set_xlabel("hours")
    axes[0].set_title("training loss")
    axes[0].set_ylim(0, 7)
    axes[3].set_title("clips in training: IoU on later frames, by prompt")
    axes[1].set_title("IoU in training")
    for name in ("click", "clicks3", "box"):
        x, y = column(val, "hours", name)
        axes[2].plot(list(x), list(y), "o-", label=name)
    axes[2].set_title("IoU on held-out photographs")
    axes[2].set_xlabel("hours")
    axes[2].legend()
    figure.tight_layout()
    figure.savefig(run / "curves.png", dpi=70)
    plt.close(figure)


def memory_curves(run):
    """Those of a training of the memory alone, by steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    log = list(csv.DictReader((run / "log.csv").open())) if (run / "log.csv").exists() else []
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    for axis, title, names in ((axes[0], "training loss", ["clip_loss"]), (axes[1], "IoU on later frames, by prompt", ["clip_mask", "clip_click", "clip_box"])):
        for name in names:
            x, y = column(log, "step", name)
            axis.plot(list(x), smooth(list(y), 8), label=name)
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.legend()
    figure.tight_layout()
    figure.savefig(run / "curves.png", dpi=70)
    plt.close(figure)


def overlay(rgb, mask, point=None, box=None, colour=(255, 60, 60)):
    out = rgb.copy()
    out[mask] = (0.5 * out[mask] + 0.5 * np.array(colour)).astype(np.uint8)
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, outline, -1, (255, 255, 255), 1)
    if box is not None:
        cv2.rectangle(out, tuple(int(v) for v in box[:2]), tuple(int(v) for v in box[2:]), (60, 255, 60), 2)
    if point is not None:
        cv2.circle(out, tuple(int(v) for v in point), 6, (255, 255, 255), -1)
        cv2.circle(out, tuple(int(v) for v in point), 4, (40, 160, 40), -1)
    return out


def overlays(predictor, photos, path, columns=4, width=320):
    """For each photograph, side by side: the largest instance as annotated and as predicted from one click."""
    tiles = []
    for photo, _ in photos:
        ids = evaluate.instances(photo)
        if not ids:
            continue
        wanted = photo.labels == max(ids, key=lambda i: (photo.labels == i).sum())
        predictor.set_image(photo.rgb)
        point = prompts.innermost(wanted)
        found = evaluate.masks_for(predictor, wanted[None], photo.labels != 255, "click")[0]
        pair = np.hstack([overlay(photo.rgb, wanted, colour=(60, 120, 255)), overlay(photo.rgb, found, point)])
        tiles.append(cv2.resize(pair, (2 * width, int(width * 0.75)), interpolation=cv2.INTER_AREA))
    while len(tiles) % columns:
        tiles.append(np.full_like(tiles[0], 255))
    sheet = np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])
    cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
