"""Prompts: clicks and boxes from a mask, and correction clicks from where a prediction is wrong. Batches of them: corrections.py."""
import cv2
import numpy as np


def innermost(mask):
    """The pixel (x, y) deepest inside the mask; the picture's border counts as outside."""
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


def anywhere(rng, mask):
    spots = np.flatnonzero(mask)
    y, x = divmod(int(spots[rng.integers(len(spots))]), mask.shape[1])
    return x, y


def click(rng, mask):
    """Half the time the innermost pixel, half the time any pixel of the mask."""
    return innermost(mask) if rng.random() < 0.5 else anywhere(rng, mask)


def box(rng, mask):
    """The bounding box x0, y0, x1, y1; half the time its corners are off by up to a tenth of its size."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    corners = np.array([x, y, x + w, y + h], np.float32)
    if rng.random() < 0.5:
        limit = np.minimum(0.1 * np.array([w, h, w, h]), 0.03 * len(mask))
        corners += rng.uniform(-1, 1, 4) * limit
    return np.clip(corners, 0, len(mask))


def correction(predicted, wanted, valid):
    """A click (x, y, label) where people would correct: the deepest pixel of the larger wrong region, label 1 where something is missing, 0 where there is too much."""
    missing = wanted & ~predicted & valid
    extra = predicted & ~wanted & valid
    if not (missing.any() or extra.any()):
        return (*(innermost(wanted) if wanted.any() else (0, 0)), int(wanted.any()))
    x, y = innermost(missing if missing.sum() >= extra.sum() else extra)
    return x, y, int(wanted[y, x])
