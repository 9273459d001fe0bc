"""Turns scenes into training batches in processes of their own, so that the network never waits for pictures."""
import os

import cv2
import numpy as np
import torch
import torch.multiprocessing as multiprocessing

import clips
import prompts
import scenes
import sources

LOGIT_STRIDE = 4  # the decoder's masks are a quarter of the picture's size
SMALLEST = 0.0025  # of the picture: nothing smaller is asked for


def choose_targets(rng, scene, count):
    """`count` masks of the scene, without repeats while there are enough; None for a click on certainly nothing."""
    minimum = SMALLEST * scene.labels.size
    masks = []
    for target in scene.targets:
        mask = np.isin(scene.labels, list(target)) if len(target) > 1 else scene.labels == next(iter(target))
        if mask.sum() >= minimum:
            masks.append(mask)
    if not masks:
        return None
    order = list(rng.permutation(len(masks)))
    while len(order) < count:
        order += list(rng.permutation(len(masks)))
    chosen = [masks[i] for i in order[:count]]
    if scene.empty and rng.random() < 0.7:
        chosen[-1] = None
    return chosen


def shrink(mask, low):
    """255 times the covered part of each cell, (low, low)."""
    return cv2.resize(mask.astype(np.uint8) * 255, (low, low), interpolation=cv2.INTER_AREA)


def make(rng, src, size, pictures, per_picture, mix):
    n, low = pictures * per_picture, size // LOGIT_STRIDE
    out = dict(
        rgb=np.zeros((pictures, size, size, 3), np.uint8),
        valid=np.zeros((pictures, low, low), np.uint8),
        wanted=np.zeros((n, low, low), np.uint8),  # 255 times the covered part of each cell
        present=np.ones(n, np.uint8),
        click=np.zeros((n, 2), np.float32),
        box=np.zeros((n, 4), np.float32),
    )
    for b in range(pictures):
        targets = None
        while targets is None:
            scene = scenes.make(rng, src, size, mix)
            targets = choose_targets(rng, scene, per_picture)
        out["rgb"][b] = scene.rgb
        out["valid"][b] = shrink(scene.labels >= 0, low) > 127
        for k, mask in enumerate(targets):
            i = b * per_picture + k
            if mask is None:
                nothing = cv2.erode((scene.labels == 0).astype(np.uint8), np.ones((9, 9), np.uint8))
                where = nothing if nothing.any() else scene.labels >= 0
                out["present"][i] = 0
                out["click"][i] = prompts.anywhere(rng, where)
                out["box"][i] = 0, 0, size, size  # unused: what is absent gets clicks only
            else:
                out["wanted"][i] = shrink(mask, low)
                out["click"][i] = prompts.click(rng, mask)
                out["box"][i] = prompts.box(rng, mask)
    return out


def make_clips(rng, src, size, count, frames, most=2):
    """Several clips; `clip` says which one each thing of the batch belongs to."""
    low = size // LOGIT_STRIDE
    out = dict(
        rgb=np.zeros((frames, count, size, size, 3), np.uint8),
        valid=np.zeros((frames, count, low, low), np.uint8),
    )
    clip_of, wanted, present, mask, click, box = [], [], [], [], [], []
    for b in range(count):
        chosen = []
        while not chosen:
            clip = clips.make(rng, src, size, frames)
            chosen = clips.things(rng, clip, most)
        for t, (rgb, labels) in enumerate(clip):
            out["rgb"][t, b] = rgb
            out["valid"][t, b] = shrink(labels >= 0, low) > 127
        for label in chosen:
            masks = [labels == label for _, labels in clip]
            clip_of.append(b)
            wanted.append([shrink(m, low) for m in masks])
            present.append([m.sum() >= clips.PRESENT * (size / 256) ** 2 for m in masks])
            mask.append(masks[0])
            click.append(prompts.click(rng, masks[0]))
            box.append(prompts.box(rng, masks[0]))
    out.update(
        clip=np.array(clip_of),
        wanted=np.array(wanted, np.uint8).swapaxes(0, 1),
        present=np.array(present, np.uint8).swapaxes(0, 1),
        mask=np.array(mask),
        click=np.array(click, np.float32),
        box=np.array(box, np.float32),
    )
    return out


def points(batch, kind, rows=slice(None)):
    """The "click" or "box" of some rows of a batch of tensors as points (N,P,2) in pixels and SAM's labels (N,P)."""
    at = batch[kind][rows]
    label = torch.tensor([[2, 3] if kind == "box" else [1]], dtype=torch.int32, device=at.device)
    return at.view(len(at), -1, 2), label.repeat(len(at), 1)


def work(src, seed, size, pictures, per_picture, mix, video_part, clips_size, clips_count, queue):
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    count = 0
    while os.getppid() != 1:  # ends with its parent
        rng = np.random.default_rng([*seed, count])
        if rng.random() < video_part:
            batch = make_clips(rng, src, clips_size, clips_count, int(rng.integers(4, 8)))
        else:
            batch = make(rng, src, size, pictures, per_picture, mix)
        queue.put({k: torch.from_numpy(v) for k, v in batch.items()})
        count += 1


def start(data, seed, workers, *what):
    """A queue of batches, dicts of tensors; pictures and clips in turns, in no fixed order where there are several `workers`."""
    # Made in a process of its own: where OpenCV's threads have run, a fork's OpenCV waits for them for ever.
    making = multiprocessing.Process(target=sources.shared, args=(data,))
    making.start()
    making.join()
    src = sources.shared(data)
    queue = multiprocessing.Queue(maxsize=6)
    for k in range(workers):
        multiprocessing.Process(target=work, args=(src, [seed, k] if k else [seed], *what, queue), daemon=True).start()
    return queue
