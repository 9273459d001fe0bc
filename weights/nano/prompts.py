"""Prompts: clicks and boxes from a mask, and correction clicks from where a prediction is wrong."""
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


def correction(rng, predicted, wanted, valid, deepest=None):
    """A click (x, y, label) in the wrong region: label 1 where something is missing, 0 where there is too much."""
    missing = wanted & ~predicted & valid
    extra = predicted & ~wanted & valid
    if not (missing.any() or extra.any()):
        return (*(innermost(wanted) if wanted.any() else (0, 0)), int(wanted.any()))
    if deepest if deepest is not None else rng.random() < 0.5:
        # The deeper region of the two, as people do.
        region = missing if missing.sum() >= extra.sum() else extra
        x, y = innermost(region)
    else:
        x, y = anywhere(rng, missing | extra)
    return x, y, int(wanted[y, x])


def rough(rng, covered):
    """A mask prompt as logits of +-10: the mask off by a little, or as coarse as a memory of it. `covered` is (h,w), 0 to 1."""
    size = len(covered)
    if rng.random() < 0.7:
        angle, scale = rng.normal(0, 5), np.exp(rng.normal(0, 0.08))
        ys, xs = np.nonzero(covered > 0.5)
        centre = (float(xs.mean()), float(ys.mean())) if len(xs) else (size / 2, size / 2)
        m = cv2.getRotationMatrix2D(centre, angle, scale)
        m[:, 2] += rng.normal(0, 0.025 * size, 2)
        covered = cv2.warpAffine(covered, m, (size, size))
    if rng.random() < 0.6:
        cells = cv2.resize(covered, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
        covered = cv2.resize(cells, (size, size), interpolation=cv2.INTER_LINEAR)
    return covered * 20 - 10
