"""Measures nano on held-out photographs with the official SAM2ImagePredictor, beside GrabCut and flood fill, and on
held-out clips with the official SAM2VideoPredictor.

    python evaluate.py --data DIR --weights ../nano.safetensors [--half report] [--baselines] [--out FILE.json]
    python evaluate.py --data DIR --weights ../nano.safetensors --video [--half report] [--out FILE.json]

Protocol: every instance of at least 0.5 % of the picture; first click at its innermost point, later clicks at the
innermost point of the larger wrong region, with the mask so far as mask prompt; three masks asked for, the one of the
highest predicted score taken. Told are the mean IoU, the mean boundary IoU, and the part of the instances whose mask is
good enough to be kept as it is. Ignored pixels count for nothing. What is chosen by held-out photographs or clips (--half
choose, every second one) is reported on the others (--half report).

Clips: every instance of at least 0.5 % of the first frame, each followed from its mask there, and once more from one
click at its innermost point; J is the mean IoU over the later frames (1 where it is rightly found absent), then over
the instances. The predictor has the official build's settings, but fills no holes.
"""
import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor

import model as nano
import prompts
import sources
import split

SMALLEST = 0.005
PROMPTS = ("click", "clicks3", "clicks5", "box")
HALVES = ("choose", "report")
GOOD = 0.75  # IoU of a mask that is good enough
BOUNDARY = 0.02  # of the picture's diagonal: how far inside the outline the boundary IoU looks
CHUNK = 16  # prompts decoded together


class Predictor(SAM2ImagePredictor):
    def __init__(self, model):
        super().__init__(model)
        # The official class has 1024 px written in.
        self._bb_feat_sizes = [(model.image_size // s,) * 2 for s in (4, 8, 16)]


def of_half(names, half=None):
    """All of `names`, sorted, or those of one of HALVES."""
    return sorted(names) if half is None else sorted(names)[HALVES.index(half) :: 2]


def held_out(data, names, half=None):
    """(photo, id) of the validation split, or of one of its HALVES. Says what of it is not there: not all of it can be made again from public repositories."""
    listed = split.read()
    out, missing = [], []
    for name in names:
        for i in of_half(listed[f"images/{name}"], half):
            path = data / "images" / name / f"{i}.jpg"
            if not path.exists():
                missing.append(f"{name}/{i}")
                continue
            out.append((sources.Photo(sources.read_rgb(path), sources.read_labels(path.with_suffix(".png")), name), i))
    if missing:
        print(f"{len(missing)} held-out photographs are not in {data}:", *missing, file=sys.stderr)
    return out


def instances(photo):
    return [i for i in np.unique(photo.labels) if i not in (0, sources.IGNORE) and (photo.labels == i).mean() >= SMALLEST]


def iou(a, b, valid):
    return float((a & b & valid).sum() / max(1, ((a | b) & valid).sum()))


def boundary(mask):
    """The part of a mask within BOUNDARY of its outline. The picture's border is an outline too, as in the official boundary IoU (Cheng et al. 2021)."""
    reach = max(1, round(BOUNDARY * float(np.hypot(*mask.shape))))
    kernel = np.ones((2 * reach + 1,) * 2, np.uint8)
    return mask & (cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) == 0)


class Agreement(NamedTuple):
    """Of a found mask with the wanted one."""

    iou: float
    boundary_iou: float


def agreement(found, wanted, valid):
    return Agreement(iou(found, wanted, valid), iou(boundary(found), boundary(wanted), valid))


def three_masks(predictor, **prompt):
    """Masks (N,3,H,W), scores (N,3) and low logits of a batch of prompts, also of one, which the official code drops."""
    masks, scores, logits = predictor.predict(multimask_output=True, **prompt)
    return (masks, scores, logits) if masks.ndim == 4 else (masks[None], scores[None], logits[None])


def best_masks(predictor, **prompt):
    """The mask and logits of highest predicted score for each prompt of a batch."""
    masks, scores, logits = three_masks(predictor, **prompt)
    rows, best = np.arange(len(scores)), scores.argmax(1)
    return masks[rows, best] > 0, logits[rows, best][:, None], scores[rows, best]


def masks_for(predictor, wanted, valid, prompt, feed=True):
    """Predicted masks for wanted masks (N,H,W) of the picture that is set."""
    if prompt == "box":
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in (cv2.boundingRect(m.astype(np.uint8)) for m in wanted)])
        return best_masks(predictor, box=boxes)[0]
    count = {"click": 1, "clicks3": 3, "clicks5": 5}[prompt]
    points = np.array([[prompts.innermost(m)] for m in wanted], np.float32)
    labels = np.ones((len(wanted), 1), np.int32)
    mask_input = None
    for r in range(count):
        found, logits, _ = best_masks(predictor, point_coords=points, point_labels=labels, mask_input=mask_input)
        if r + 1 < count:
            more = np.array([prompts.correction(f, w, valid) for f, w in zip(found, wanted)], np.float32)
            points = np.concatenate([points, more[:, None, :2]], 1)
            labels = np.concatenate([labels, more[:, None, 2].astype(np.int32)], 1)
            mask_input = torch.from_numpy(logits) if feed else None
    return found


def run(predictor, photos, asked=PROMPTS, feed=True):
    """Agreements by prompt and source."""
    out = {prompt: {} for prompt in asked}
    for photo, _ in photos:
        ids = instances(photo)
        valid = photo.labels != sources.IGNORE
        if not ids:
            continue
        predictor.set_image(photo.rgb)
        for k in range(0, len(ids), CHUNK):
            wanted = np.stack([photo.labels == i for i in ids[k : k + CHUNK]])
            for prompt in asked:
                found = masks_for(predictor, wanted, valid, prompt, feed)
                out[prompt].setdefault(photo.source, []).extend(agreement(f, w, valid) for f, w in zip(found, wanted))
    return out


def follow(predictor, folder, prompt):
    """J of each instance of one clip, a folder of NNNNN.jpg with NNNNN.png. `prompt` is "mask" or "click"."""
    labels = [sources.read_labels(p.with_suffix(".png")) for p in sorted(folder.glob("*.jpg"))]
    state = predictor.init_state(str(folder))
    ids = instances(sources.Photo(None, labels[0], ""))
    for i in ids:
        wanted = labels[0] == i
        if prompt == "mask":
            predictor.add_new_mask(state, 0, int(i), wanted)
        else:
            predictor.add_new_points_or_box(state, 0, int(i), points=np.array([prompts.innermost(wanted)], np.float32), labels=np.array([1], np.int32))
    found = {}
    for t, objects, logits in predictor.propagate_in_video(state):
        if t == 0:
            continue
        valid = labels[t] != sources.IGNORE
        for i, mask in zip(objects, logits[:, 0].numpy() > 0):
            wanted = labels[t] == i
            gone = not ((wanted | mask) & valid).any()
            found.setdefault(i, []).append(1.0 if gone else iou(mask, wanted, valid))
    return [float(np.mean(found[i])) for i in found]


def copied(folder):
    """What it would give to let the first frame's masks stand still."""
    labels = [sources.read_labels(p) for p in sorted(folder.glob("*.png"))]
    everything = np.ones_like(labels[0], bool)
    return [float(np.mean([iou(labels[0] == i, later == i, everything) for later in labels[1:]])) for i in instances(sources.Photo(None, labels[0], ""))]


def quiet():
    """No progress bars: a dozen clips would fill the screen."""
    import sam2.sam2_video_predictor
    import sam2.utils.misc

    for module in (sam2.sam2_video_predictor, sam2.utils.misc):
        module.tqdm = lambda items, **_: items


@torch.no_grad()
def run_video(predictor, data, half=None):
    """The report on the held-out clips, or on one of their HALVES."""
    rows = []
    for key, names in split.read().items():
        if key.startswith("video/"):
            folders = [data / key / n for n in of_half(names, half)]
            js = {p: [j for f in folders for j in follow(predictor, f, p)] for p in ("mask", "click")}
            still = [j for f in folders for j in copied(f)]
            rows.append((key.split("/")[1], js, still))
    both = {p: [j for _, js, _ in rows for j in js[p]] for p in ("mask", "click")}
    return dict(
        j_mask=round(float(np.mean(both["mask"])), 4),
        j_click=round(float(np.mean(both["click"])), 4),
        sources=[
            dict(source=s, n=len(still), j_mask=round(float(np.mean(js["mask"])), 4), j_click=round(float(np.mean(js["click"])), 4), j_still=round(float(np.mean(still)), 4))
            for s, js, still in rows
        ],
    )


def grabcut(rgb, wanted):
    x, y, w, h = cv2.boundingRect(wanted.astype(np.uint8))
    state = np.zeros(wanted.shape, np.uint8)
    try:
        cv2.grabCut(rgb, state, (x, y, w, h), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
    except cv2.error:  # a box as large as the picture leaves no background to learn from
        return np.ones(wanted.shape, bool)
    return (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)


def flood(rgb, wanted, tolerance=20):
    mask = np.zeros((wanted.shape[0] + 2, wanted.shape[1] + 2), np.uint8)
    flags = 4 | (255 << 8) | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    cv2.floodFill(rgb.copy(), mask, prompts.innermost(wanted), 0, (tolerance,) * 3, (tolerance,) * 3, flags)
    return mask[1:-1, 1:-1] > 0


def baseline(photos, method):
    out = {}
    for photo, _ in photos:
        valid = photo.labels != sources.IGNORE
        for i in instances(photo):
            wanted = photo.labels == i
            out.setdefault(photo.source, []).append(agreement(method(photo.rgb, wanted), wanted, valid))
    return out


def figures(agreements):
    ious, boundary_ious = np.array(agreements).T
    return dict(
        n=len(ious),
        iou=round(float(ious.mean()), 4),
        boundary_iou=round(float(boundary_ious.mean()), 4),
        good=round(float((ious >= GOOD).mean()), 4),
    )


def report(prompt, by_source):
    every = [a for agreements in by_source.values() for a in agreements]
    return dict(prompt=prompt, **figures(every), sources=[dict(source=s, **figures(a)) for s, a in by_source.items()])


def line(r):
    return f"IoU {r['iou']:.3f} boundary {r['boundary_iou']:.3f} good {r['good']:.3f} ({r['n']})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--sources", nargs="*", help="default: all of the split")
    parser.add_argument("--prompts", nargs="*", default=PROMPTS, choices=PROMPTS)
    parser.add_argument("--half", choices=HALVES, help="every second photograph of each source, or clip; default: all of them")
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--video", action="store_true", help="the clips instead of the photographs")
    parser.add_argument("--no-feed", action="store_true", help="don't give the mask so far as a prompt")
    parser.add_argument("--threads", type=int, default=1, help="two in step are slower than one on a busy machine")
    parser.add_argument("--out", type=Path)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    torch.set_num_threads(args.threads)
    if args.video:
        quiet()
        result = run_video(nano.load(nano.build(args.size, postprocessing=True, video=True), args.weights).eval(), args.data, args.half)
        print(json.dumps(result, indent=1))
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n")
        return
    names = args.sources or [k.split("/")[1] for k in split.read() if k.startswith("images/")]
    photos = held_out(args.data, names, args.half)
    predictor = Predictor(nano.load(nano.build(args.size, postprocessing=True), args.weights).eval())
    with torch.no_grad():
        found = run(predictor, photos, args.prompts, not args.no_feed)
    if args.baselines:
        cv2.setNumThreads(args.threads)
        found["box: GrabCut"] = baseline(photos, grabcut)
        found["click: flood fill"] = baseline(photos, flood)
    reports = [report(prompt, by_source) for prompt, by_source in found.items()]
    for r in reports:
        print(r["prompt"], line(r), *(f"\n    {s['source']:20} {line(s)}" for s in r["sources"]))
    if args.out:
        args.out.write_text(json.dumps(reports, indent=1) + "\n")


if __name__ == "__main__":
    main()
