"""Draws a textured model from VIEWS sides, seen a little from above, on transparent ground."""
import numpy as np
from numba import njit

SIZE, SCALE, VIEWS = 256, 2, 12  # side of a picture, how much larger it's drawn, views


@njit
def rasterise(xyw, normals, uv, colour, material, texels, start, shape, light, side, rgb, alpha, depth, glass):
    """Draws the faces in their order; `glass` ones, which let the ground through, only over what is behind them."""
    for f in range(len(xyw)):
        x0, y0, x1, y1, x2, y2 = xyw[f, 0, 0], xyw[f, 0, 1], xyw[f, 1, 0], xyw[f, 1, 1], xyw[f, 2, 0], xyw[f, 2, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left, right = max(int(min(x0, x1, x2)), 0), min(int(max(x0, x1, x2)) + 1, side - 1)
        top, bottom = max(int(min(y0, y1, y2)), 0), min(int(max(y0, y1, y2)) + 1, side - 1)
        m = material[f]
        h, w = shape[m, 0], shape[m, 1]
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                px, py = x + 0.5, y + 0.5
                b0 = ((x1 - px) * (y2 - py) - (x2 - px) * (y1 - py)) / area
                b1 = ((x2 - px) * (y0 - py) - (x0 - px) * (y2 - py)) / area
                b2 = 1 - b0 - b1
                if b0 < 0 or b1 < 0 or b2 < 0:
                    continue
                # The third coordinate is one over the distance, which is what interpolates linearly.
                b0, b1, b2 = b0 * xyw[f, 0, 2], b1 * xyw[f, 1, 2], b2 * xyw[f, 2, 2]
                near = b0 + b1 + b2
                if near <= depth[y, x]:
                    continue
                b0, b1, b2 = b0 / near, b1 / near, b2 / near
                u = b0 * uv[f, 0, 0] + b1 * uv[f, 1, 0] + b2 * uv[f, 2, 0]
                v = 1 - (b0 * uv[f, 0, 1] + b1 * uv[f, 1, 1] + b2 * uv[f, 2, 1])
                i = start[m] + min(int((v - np.floor(v)) * h), h - 1) * w + min(int((u - np.floor(u)) * w), w - 1)
                a = colour[f, 3] * texels[i, 3] / 255
                if glass:
                    a = max(a, 0.35)  # a pane is part of the thing
                elif a < 0.5:
                    continue
                else:
                    a = 1.0
                nx = b0 * normals[f, 0, 0] + b1 * normals[f, 1, 0] + b2 * normals[f, 2, 0]
                ny = b0 * normals[f, 0, 1] + b1 * normals[f, 1, 1] + b2 * normals[f, 2, 1]
                nz = b0 * normals[f, 0, 2] + b1 * normals[f, 1, 2] + b2 * normals[f, 2, 2]
                n = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
                if nz < 0:
                    n = -n  # seen from behind
                # Light from all sides, more of it from above, and some from one.
                lambert = max((nx * light[0] + ny * light[1] + nz * light[2]) / n, 0.0)
                shade = 0.55 + 0.13 * ny / n + 0.42 * lambert
                for c in range(3):
                    value = min(texels[i, c] * colour[f, c] * shade + 10 * lambert**8, 255.0)
                    rgb[y, x, c] = a * value + (1 - a) * rgb[y, x, c]
                alpha[y, x] = a + (1 - a) * alpha[y, x]
                if not glass:
                    depth[y, x] = near


@njit
def shrink(rgb, alpha):
    """RGBA of SIZE. `rgb` has been multiplied by alpha, which is undone, or edges and glass would go dark."""
    out = np.zeros((SIZE, SIZE, 4), np.uint8)
    for y in range(SIZE):
        for x in range(SIZE):
            block = alpha[y * SCALE : (y + 1) * SCALE, x * SCALE : (x + 1) * SCALE]
            whole = block.sum()
            if whole > 0:
                for c in range(3):
                    out[y, x, c] = round(rgb[y * SCALE : (y + 1) * SCALE, x * SCALE : (x + 1) * SCALE, c].sum() / whole)
                out[y, x, 3] = round(255 * whole / SCALE**2)
    return out


def turn(angle, up):
    c, s, cu, su = np.cos(angle), np.sin(angle), np.cos(up), np.sin(up)
    return np.array([[1, 0, 0], [0, cu, -su], [0, su, cu]]) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def render(model, rng):
    """The views as (VIEWS, SIZE, SIZE, 4), or None of what has no size."""
    corners, normals, uv, colour, material, pictures = model
    low, high = corners.min((0, 1)), corners.max((0, 1))
    radius = np.linalg.norm(high - low) / 2
    if not 0 < radius < np.inf:
        return None
    corners = (corners - (low + high) / 2) / radius
    up, first = np.radians(rng.uniform(10, 35)), rng.uniform(0, 2 * np.pi)
    distance, sun = rng.uniform(3.5, 6), rng.uniform(-1.2, 1.2)
    light = np.array([np.sin(sun), 0.9, np.cos(sun)]) / np.hypot(1, 0.9)
    shape = np.array([p.shape[:2] for p in pictures])
    start = np.concatenate([[0], np.cumsum(shape.prod(1))[:-1]])
    texels = np.concatenate([p.reshape(-1, 4) for p in pictures])
    clear = colour[:, 3] < 0.95

    seen = []
    for k in range(VIEWS):
        matrix = turn(first + k * 2 * np.pi / VIEWS, up)
        at = corners @ matrix.T
        w = 1 / (distance - at[..., 2])
        seen.append((np.stack([at[..., 0] * w, -at[..., 1] * w, w], -1), normals @ matrix.T))
    # One square for all views, so that the thing stays where it is.
    reach = max(np.abs(s[0][..., 0]).max() for s in seen)
    top, bottom = min(s[0][..., 1].min() for s in seen), max(s[0][..., 1].max() for s in seen)
    half = 1.04 * max(reach, (bottom - top) / 2)
    side = SIZE * SCALE
    out = []
    for xyw, turned in seen:
        xyw[..., 0] = (xyw[..., 0] / half + 1) * side / 2
        xyw[..., 1] = ((xyw[..., 1] - (top + bottom) / 2) / half + 1) * side / 2
        rgb, alpha, depth = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32), np.zeros((side, side))
        far_first = np.argsort(xyw[..., 2].sum(1))
        for glass in (False, True):
            order = far_first[clear[far_first]] if glass else np.nonzero(~clear)[0]
            rasterise(xyw[order], turned[order], uv[order], colour[order], material[order], texels, start, shape, light, side, rgb, alpha, depth, glass)
        out.append(shrink(rgb, alpha))
    return np.stack(out)
