"""Makes training clips, as scenes.py makes pictures: moving things over rendered clips, photographs and backgrounds.

A clip is frames and label maps (0 = nothing known, -1 = ignore); a label means the same thing in all of them. The
camera pans, zooms and turns, also over photographs, so that what is labelled in them is followed too.
"""
from dataclasses import dataclass

import cv2
import numpy as np

import scenes
import sources

SMALLEST = 0.004  # of the picture, in the first frame
PRESENT = 12  # pixels at 256 px: what shows less counts as gone


def path(rng, frames, start, travel):
    """A smooth way of about `travel` from `start`, with a bend; one value a frame."""
    t = np.linspace(0, 1, frames)
    return start + rng.normal(0, travel) * t + rng.normal(0, 0.4 * travel) * 4 * t * (1 - t)


@dataclass
class Mover:
    """A cut-out thing on its way."""

    views: list  # RGBA, one a frame
    label: int
    side: np.ndarray
    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    aspect: np.ndarray
    mirror: bool


def recolour(rgba, seed, hue):
    """The same change of colour for every view."""
    rgb = np.ascontiguousarray(rgba[..., :3])
    rgb = scenes.hue_shift(np.random.default_rng(seed), rgb) if hue else rgb
    return np.dstack([scenes.jitter(np.random.default_rng(seed), rgb), rgba[..., 3]])


def mover(rng, src, size, frames, label):
    if src.turntables and rng.random() < 0.5:
        turn = scenes.one(rng, src.turntables)
        at = rng.integers(len(turn)) + rng.choice([-1, 1]) * np.arange(frames) * rng.uniform(0.2, 0.8)
        views = [turn[int(np.floor(a)) % len(turn)] for a in at]
        seed, hue = rng.integers(1 << 31), rng.random() < 0.3
        views = [recolour(v, seed, hue) for v in views]
    else:
        views = [scenes.sprite(rng, src)] * frames
    # Fast things are rare, and some only change in place.
    speed = size * rng.choice([0.02, 0.12, 0.3, 0.6], p=[0.2, 0.4, 0.3, 0.1])
    side = scenes.random_side(rng, size, low=0.12, high=0.7)
    return Mover(
        views,
        label,
        side * np.exp(path(rng, frames, 0, 0.2)),
        path(rng, frames, rng.uniform(0.05, 0.95) * size, speed),
        path(rng, frames, rng.uniform(0.05, 0.95) * size, speed),
        path(rng, frames, rng.normal(0, 0.3), rng.choice([0.05, 0.3, 1.0], p=[0.4, 0.4, 0.2])),
        np.exp(path(rng, frames, rng.normal(0, 0.1), 0.12)),
        rng.random() < 0.5,
    )


def camera_path(rng, h, w, size, frames, moving):
    """Affine matrices from a source of h x w to the square picture, one a frame; the view stays inside the source."""
    part = np.sqrt(rng.uniform(0.3, 1.0))
    travel = rng.choice([0.03, 0.12, 0.3]) if moving else 0.0
    zoom = np.clip(part * np.exp(path(rng, frames, 0, 0.5 * travel)), 0.3, 1.0)
    stretch = np.exp(rng.normal(0, 0.1))
    cw = np.clip(zoom * w * stretch, 8, w)
    ch = np.clip(zoom * h / stretch, 8, h)
    cx = np.clip(path(rng, frames, rng.uniform(0.3, 0.7) * w, travel * w), cw / 2, w - cw / 2)
    cy = np.clip(path(rng, frames, rng.uniform(0.3, 0.7) * h, travel * h), ch / 2, h - ch / 2)
    angle = path(rng, frames, 0, 0.3 * travel) if moving else np.zeros(frames)
    out = []
    for a, x, y, u, v in zip(angle, cx, cy, cw, ch):
        c, s = np.cos(a), np.sin(a)
        m = np.diag([size / u, size / v]) @ np.array([[c, -s], [s, c]])
        out.append(np.hstack([m, (size / 2 - m @ [x, y])[:, None]]))
    return out


def view(rgb, labels, matrix, size):
    shrink = min(1.0, float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))))
    if shrink < 0.8:  # average first, else it would alias
        rgb = cv2.resize(rgb, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        small = matrix @ np.diag([labels.shape[1] / rgb.shape[1], labels.shape[0] / rgb.shape[0], 1])
    else:
        small = matrix
    rgb = cv2.warpAffine(rgb, small, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    labels = cv2.warpAffine(labels, matrix, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=sources.IGNORE)
    labels = labels.astype(np.int16)
    labels[labels == sources.IGNORE] = -1
    return rgb, labels


def stage(rng, src, frames):
    """What moving things are put on: frames with labels, whether the camera may move, and how many things."""
    kind = rng.random()
    if kind < 0.4 and src.clips:
        clip = scenes.one(rng, src.clips)
        stride = int(rng.choice([1, 2, 3]))
        stride = min(stride, (len(clip) - 1) // (frames - 1))
        first = rng.integers(len(clip) - stride * (frames - 1))
        taken = clip[first : first + stride * (frames - 1) + 1 : stride]
        if rng.random() < 0.5:
            taken = taken[::-1]
        return [(p.rgb, p.labels) for p in taken], rng.random() < 0.4, rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1])
    if kind < 0.75:
        photo = scenes.any_photo(rng, src)
        return [(photo.rgb, photo.labels)] * frames, True, rng.choice([0, 1, 2, 3], p=[0.3, 0.35, 0.25, 0.1])
    rgb = scenes.one(rng, src.backgrounds) if rng.random() < 0.75 else scenes.noise_texture(rng, 256)
    return [(rgb, np.zeros(rgb.shape[:2], np.uint8))] * frames, rng.random() < 0.7, rng.integers(2, 6)


def make(rng, src, size, frames):
    """[(rgb (S,S,3), labels (S,S) int16)], one a frame."""
    ground, moving, count = stage(rng, src, frames)
    cameras = camera_path(rng, *ground[0][1].shape, size, frames, moving)
    highest = max(int(np.where(labels == sources.IGNORE, 0, labels).max()) for _, labels in ground)
    movers = [mover(rng, src, size, frames, highest + 1 + k) for k in range(count)]
    # The same colours and the same camera in all frames.
    seed, mirror = rng.integers(1 << 31), rng.random() < 0.5
    out = []
    for t, ((rgb, labels), matrix) in enumerate(zip(ground, cameras)):
        scene = scenes.Scene(*view(rgb, labels, matrix, size))
        scene.rgb = scenes.jitter(np.random.default_rng(seed), scene.rgb)
        for m in movers:
            canvas, alpha = scenes.warp(m.views[t], size, m.side[t], (m.x[t], m.y[t]), m.angle[t], m.aspect[t], m.mirror)
            scenes.blend(scene, canvas, alpha)
            scene.labels[alpha > 127] = m.label
        scenes.camera(np.random.default_rng(seed), scene)
        if mirror:
            scene.rgb, scene.labels = scene.rgb[:, ::-1], scene.labels[:, ::-1]
        out.append((scene.rgb, scene.labels))
    return out


def things(rng, clip, most):
    """Labels that the first frame shows well, at most `most`."""
    labels, counts = np.unique(clip[0][1], return_counts=True)
    found = [int(i) for i, n in zip(labels, counts) if i > 0 and n >= SMALLEST * clip[0][1].size]
    return [found[i] for i in rng.permutation(len(found))[:most]]
