"""Turns scenes into training batches in a process of its own, so that the network never waits for pictures."""
import multiprocessing
import os

import cv2
import numpy as np

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


def make(rng, src, size, pictures, per_picture):
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
            scene = scenes.make(rng, src, size)
            targets = choose_targets(rng, scene, per_picture)
        out["rgb"][b] = scene.rgb
        out["valid"][b] = cv2.resize((scene.labels >= 0).astype(np.uint8) * 255, (low, low), interpolation=cv2.INTER_AREA) > 127
        for k, mask in enumerate(targets):
            i = b * per_picture + k
            if mask is None:
                nothing = cv2.erode((scene.labels == 0).astype(np.uint8), np.ones((9, 9), np.uint8))
                where = nothing if nothing.any() else scene.labels >= 0
                out["present"][i] = 0
                out["click"][i] = prompts.anywhere(rng, where)
                out["box"][i] = 0, 0, size, size  # unused: what is absent gets clicks only
            else:
                out["wanted"][i] = cv2.resize(mask.astype(np.uint8) * 255, (low, low), interpolation=cv2.INTER_AREA)
                out["click"][i] = prompts.click(rng, mask)
                out["box"][i] = prompts.box(rng, mask)
    return out


def work(data, seed, size, pictures, per_picture, queue):
    cv2.setNumThreads(1)
    src = sources.load(data)
    count = 0
    while os.getppid() != 1:  # ends with its parent
        queue.put(make(np.random.default_rng([seed, count]), src, size, pictures, per_picture))
        count += 1


def start(data, seed, size, pictures, per_picture):
    queue = multiprocessing.Queue(maxsize=6)
    multiprocessing.Process(target=work, args=(data, seed, size, pictures, per_picture, queue), daemon=True).start()
    return queue
