"""Makes training pictures: photographs and compositions, each with the masks that a prompt may mean.

A scene is a picture, a label map (0 = nothing known, -1 = ignore) and targets, each a set of labels: single things,
things together with what sticks on them, touching groups. So one click can mean several masks.
"""
from dataclasses import dataclass, field

import cv2
import numpy as np

from sources import IGNORE

# How often a photograph of each source is taken. Crowded, uniform sources are held down.
PHOTO_WEIGHTS = {
    "openimages_animals": 0.22,
    "coco_full": 0.2,
    "coco_ccby": 0.16,
    "coco_boxes": 0.08,
    "openimages_boxes": 0.06,
    "coco_people": 0.05,
    "coco_person": 0.04,
    "coco_partial": 0.02,
    "taco_litter": 0.11,
    "openimages_masks": 0.01,
    "meal_trays": 0.025,
    "pills": 0.01,
    "kuih_food": 0.025,
    "microcontrollers": 0.02,
    "iot_boards": 0.01,
    "clothing_cc0": 0.06,
    "trashnet_photos": 0.04,
    "facade": 0.03,
    "library_books": 0.02,
    "nuclei_dsb2018": 0.02,
    "screws_bolts": 0.02,
    "breadboard_parts": 0.01,
    "maize_kernels": 0.01,
    "mushroom_bed": 0.01,
}
SPRITE_WEIGHTS = {
    "cut": 0.26,
    "shape": 0.08,
    "sh3d_scopia_turntable": 0.11,
    "sh3d_blendswap_cc0_turntable": 0.05,
    "sh3d_blendswap_ccby_turntable": 0.04,
    "sh3d_reallusion_turntable": 0.06,
    "sh3d_katorlegaz_turntable": 0.01,
    "google_scanned_turntable": 0.09,
    "aws_robomaker_turntable": 0.05,
    "polyhaven_turntable": 0.02,
    "gazebo_turntable": 0.02,
    "ycb_turntable": 0.05,
    "household_turntable": 0.03,
    "fluent_emoji_3d": 0.06,
    "clothing_cutouts": 0.04,
    "trashnet_cutouts": 0.03,
}


@dataclass
class Scene:
    rgb: np.ndarray
    labels: np.ndarray  # int16
    targets: list = field(default_factory=list)
    empty: bool = False  # label 0 is certainly nothing: a click there means no object
    next_label: int = 1


def pick(rng, weights, there):
    """One of the names of `weights` that are `there`, by their weights."""
    names = [name for name in weights if name in there]
    p = np.array([weights[n] for n in names])
    return names[rng.choice(len(names), p=p / p.sum())]


def one(rng, items):
    return items[rng.integers(len(items))]


def any_photo(rng, src, weights=PHOTO_WEIGHTS):
    """A labelled photograph of one of the sources that are there."""
    return one(rng, src.photos[pick(rng, weights, src.photos)])


# --- colours and textures ---------------------------------------------------------------------------------------------


def jitter(rng, rgb, strength=1.0):
    """Brightness, contrast, colour balance, saturation, gamma; sometimes grey."""
    table = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.normal(0, 0.16 * strength))
    contrast = np.exp(rng.normal(0, 0.15 * strength))
    lut = np.empty((256, 3), np.float32)
    for c in range(3):
        gain = np.exp(rng.normal(0, 0.08 * strength))
        lut[:, c] = ((table**gamma * gain - 0.5) * contrast + 0.5 + rng.normal(0, 0.04 * strength)) * 255
    lut = np.clip(lut, 0, 255).astype(np.uint8)
    out = cv2.LUT(rgb, lut[None])
    if rng.random() < 0.6:
        saturation = 0.0 if rng.random() < 0.08 else np.exp(rng.normal(0, 0.35 * strength))
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        out = cv2.addWeighted(out, saturation, grey, 1 - saturation, 0)
    return out


def hue_shift(rng, rgb):
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + rng.integers(180)) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def noise_texture(rng, size):
    """Coloured noise of a random coarseness between two colours, or a plain gradient, or stripes."""
    a, b = rng.integers(0, 256, (2, 3)).astype(np.float32)
    kind = rng.integers(3)
    if kind == 0:
        n = int(rng.integers(2, 48))
        t = cv2.resize(rng.random((n, n), np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    else:
        angle = rng.uniform(0, np.pi)
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
        t = x * np.cos(angle) + y * np.sin(angle)
        if kind == 2:
            t = 0.5 + 0.5 * np.sin(t * rng.uniform(10, 120))
    t = np.clip(t, 0, 1)[..., None]
    return (a + (b - a) * t).astype(np.uint8)


def texture(rng, src, size):
    """A square of some material: a random crop of a photograph or background, or noise."""
    if rng.random() < 0.3:
        return noise_texture(rng, size)
    rgb = one(rng, src.backgrounds) if rng.random() < 0.5 else any_photo(rng, src).rgb
    h, w = rgb.shape[:2]
    side = int(min(h, w) * rng.uniform(0.15, 0.9))
    y, x = rng.integers(h - side + 1), rng.integers(w - side + 1)
    return cv2.resize(rgb[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_AREA)


def shape(rng, src):
    """A random blob, polygon, ellipse, ring or rounded box filled with a texture."""
    size = 160
    alpha = np.zeros((size, size), np.uint8)
    kind = rng.integers(4)
    if kind == 0:  # a wobbly outline
        n = 64
        t = np.arange(n) / n * 2 * np.pi
        r = 1 + sum(rng.uniform(0, 0.5) / k * np.sin(k * t + rng.uniform(0, 7)) for k in range(1, 6))
        pts = np.stack([np.cos(t), np.sin(t)], 1) * r[:, None]
        pts = pts / np.abs(pts).max() * 76 + 80
        cv2.fillPoly(alpha, [pts.astype(np.int32)], 255)
    elif kind == 1:  # a polygon, convex or spiky
        n = int(rng.integers(3, 9))
        t = np.sort(rng.uniform(0, 2 * np.pi, n))
        r = rng.uniform(20, 78, n)
        pts = np.stack([np.cos(t) * r, np.sin(t) * r], 1) + 80
        cv2.fillPoly(alpha, [pts.astype(np.int32)], 255)
    elif kind == 2:
        axes = (int(rng.integers(12, 78)), int(rng.integers(30, 78)))
        cv2.ellipse(alpha, (80, 80), axes, 0, 0, 360, 255, -1)
        if rng.random() < 0.25:
            cv2.ellipse(alpha, (80, 80), (axes[0] // 2, axes[1] // 2), 0, 0, 360, 0, -1)
    else:
        bw, bh = int(rng.integers(8, 78)), int(rng.integers(30, 78))
        cv2.rectangle(alpha, (80 - bw, 80 - bh), (80 + bw, 80 + bh), 255, -1)
    alpha = cv2.GaussianBlur(alpha, (5, 5), 0)
    ys, xs = np.nonzero(alpha > 127)
    if len(ys) < 100:
        return shape(rng, src)
    rgba = np.dstack([texture(rng, src, size), alpha])
    return np.ascontiguousarray(rgba[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])


def sprite(rng, src):
    kind = pick(rng, SPRITE_WEIGHTS, {"cut", "shape", *src.sprites})
    if kind == "shape":
        rgba = shape(rng, src)
    else:
        rgba = one(rng, src.cuts if kind == "cut" else src.sprites[kind]).copy()
        if rng.random() < 0.08:  # keep the shape, change the material
            tex = texture(rng, src, 128)
            rgba[..., :3] = cv2.resize(tex, (rgba.shape[1], rgba.shape[0]))
        elif kind != "cut" and rng.random() < 0.3:
            rgba[..., :3] = hue_shift(rng, np.ascontiguousarray(rgba[..., :3]))
    rgba[..., :3] = jitter(rng, np.ascontiguousarray(rgba[..., :3]))
    return rgba


# --- pasting ----------------------------------------------------------------------------------------------------------


def warp(rgba, size, side, centre, angle, aspect, mirror):
    """The sprite turned, mirrored and scaled to `side` on an empty canvas of the picture's size: colour and alpha."""
    h, w = rgba.shape[:2]
    scale = side / max(h, w)
    c, s = np.cos(angle), np.sin(angle)
    m = np.array([[c, -s], [s, c]]) @ np.diag([scale * aspect, scale / aspect])
    if mirror:
        m = m @ np.diag([-1, 1])
    t = np.array(centre) - m @ np.array([w / 2, h / 2])
    # Shrinking by far would alias: average first.
    while scale < 0.5:
        rgba = cv2.resize(rgba, ((rgba.shape[1] + 1) // 2, (rgba.shape[0] + 1) // 2), interpolation=cv2.INTER_AREA)
        m, scale = m * 2, scale * 2
    canvas, alpha = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    # Only where it lands, with a margin for a blur.
    h, w = rgba.shape[:2]
    corners = np.array([[0, 0], [w, 0], [0, h], [w, h]]) @ m.T + t
    x0, y0 = np.clip(np.floor(corners.min(0)) - 8, 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(0)) + 8, 0, size).astype(int)
    if x1 > x0 and y1 > y0:
        matrix = np.hstack([m, (t - [x0, y0])[:, None]]).astype(np.float32)
        # The colour is smeared outwards by replication so that soft edges don't go dark.
        canvas[y0:y1, x0:x1] = cv2.warpAffine(rgba[..., :3], matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha[y0:y1, x0:x1] = cv2.warpAffine(np.ascontiguousarray(rgba[..., 3]), matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    return canvas, alpha


def place(rng, rgba, size, side, centre):
    aspect = np.exp(rng.normal(0, 0.12))
    angle = rng.normal(0, 0.25) if rng.random() < 0.7 else rng.uniform(-np.pi, np.pi)
    return warp(rgba, size, side, centre, angle, aspect, rng.random() < 0.5)


def where(alpha):
    x, y, w, h = cv2.boundingRect(alpha)
    return slice(y, y + h), slice(x, x + w)


def blend(scene, canvas, alpha):
    at = where(alpha)
    a = cv2.merge([alpha[at]] * 3).astype(np.float32) / 255 if alpha.any() else 0
    scene.rgb[at] = scene.rgb[at] * (1 - a) + canvas[at] * a


def shadow(rng, scene, alpha):
    size = len(alpha)
    dx, dy = rng.normal(0, 0.03 * size, 2)
    moved = cv2.warpAffine(alpha, np.float32([[1, 0, dx], [0, 1, dy]]), (size, size))
    k = int(size * rng.uniform(0.01, 0.06)) * 2 + 1
    blurred = cv2.GaussianBlur(moved, (k, k), 0)
    at = where(blurred)
    scene.rgb[at] = scene.rgb[at] * (1 - blurred[at].astype(np.float32)[..., None] / 255 * rng.uniform(0.2, 0.6))


def paste(rng, scene, rgba, side, centre, inside=None):
    """Pastes a sprite as a new label; `inside` limits it to a mask. Returns the label."""
    canvas, alpha = place(rng, rgba, len(scene.rgb), side, centre)
    if inside is not None:
        alpha = np.where(inside, alpha, 0).astype(np.uint8)
    if rng.random() < 0.15:
        alpha = cv2.GaussianBlur(alpha, (5, 5), 0)
    if rng.random() < 0.15:
        k = int(rng.integers(1, 3)) * 2 + 1
        canvas = cv2.GaussianBlur(canvas, (k, k), 0)
    if inside is None and rng.random() < 0.3:
        shadow(rng, scene, alpha)
    blend(scene, canvas, alpha)
    label = scene.next_label
    scene.next_label += 1
    scene.labels[alpha > 127] = label
    scene.targets.append({label})
    return label


def random_side(rng, size, low=0.1, high=0.75):
    return size * np.exp(rng.uniform(np.log(low), np.log(high)))


def paste_some(rng, src, scene, count, high=0.75):
    size = len(scene.rgb)
    for _ in range(count):
        centre = rng.uniform(0.02 * size, 0.98 * size, 2)
        side = random_side(rng, size, high=high)
        first = sprite(rng, src)
        label = paste(rng, scene, first, side, centre)
        what = rng.random()
        if what < 0.2:  # a touching group, often of equals: each thing, and all of them
            group = {label}
            for _ in range(int(rng.integers(1, 4))):
                centre = centre + rng.normal(0, 0.45 * side, 2)
                again = first if rng.random() < 0.6 else sprite(rng, src)
                group.add(paste(rng, scene, again, side * np.exp(rng.normal(0, 0.15)), centre))
            scene.targets.append(group)
        elif what < 0.35:  # a sticker: the part, and the whole with it
            whole = scene.labels == label
            spots = np.argwhere(whole)
            if len(spots) > 0.01 * size * size:
                y, x = spots[rng.integers(len(spots))]
                part_side = np.sqrt(len(spots)) * rng.uniform(0.3, 0.8)
                rgba = shape(rng, src) if rng.random() < 0.6 else sprite(rng, src)
                part = paste(rng, scene, rgba, part_side, (x, y), inside=whole)
                scene.targets = [t for t in scene.targets if t != {label}]
                scene.targets.append({label, part})


# --- scenes -----------------------------------------------------------------------------------------------------------


def crop_box(rng, h, w, smallest):
    area = rng.uniform(smallest, 1.0) * h * w
    aspect = np.exp(rng.normal(0, 0.2)) * w / h
    cw = int(min(w, np.sqrt(area * aspect)))
    ch = int(min(h, np.sqrt(area / aspect)))
    return rng.integers(h - ch + 1), rng.integers(w - cw + 1), ch, cw


def resize(rgb, labels, size):
    shrink = rgb.shape[0] >= size and rgb.shape[1] >= size
    rgb = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return rgb, None if labels is None else cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST)


def from_photo(rng, photo, size, smallest):
    """A crop of a labelled photograph; tries to keep at least one instance in view."""
    h, w = photo.labels.shape
    for _ in range(6):
        y, x, ch, cw = crop_box(rng, h, w, smallest if rng.random() < 0.65 else 0.95)
        labels = photo.labels[y : y + ch, x : x + cw]
        if ((labels > 0) & (labels < IGNORE)).mean() > 0.01:
            break
    rgb, labels = resize(photo.rgb[y : y + ch, x : x + cw], labels, size)
    if rng.random() < 0.5:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
    if rng.random() < (0.5 if photo.source in ("nuclei_dsb2018", "screws_bolts", "mushroom_bed") else 0.03):
        turn = rng.integers(1, 4)
        rgb, labels = np.rot90(rgb, turn), np.rot90(labels, turn)
    if rng.random() < 0.4:
        m = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 12), rng.uniform(1.0, 1.3))
        rgb = cv2.warpAffine(np.ascontiguousarray(rgb), m, (size, size), borderMode=cv2.BORDER_REFLECT)
        labels = cv2.warpAffine(np.ascontiguousarray(labels), m, (size, size), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    labels = labels.astype(np.int16)
    labels[labels == IGNORE] = -1
    found = [int(i) for i in np.unique(labels) if i > 0]
    scene = Scene(jitter(rng, np.ascontiguousarray(rgb)), np.ascontiguousarray(labels), [{i} for i in found], next_label=max(found, default=0) + 1)
    if photo.source == "facade":
        add_facade_whole(scene)
    return scene


def add_facade_whole(scene):
    """The annotators cut windows out of the facade; a click on it may as well mean all of it."""
    areas = {i: int((scene.labels == i).sum()) for i in range(1, scene.next_label)}
    main = max(areas, key=areas.get, default=None)
    if main is None or areas[main] == 0:
        return
    x, y, w, h = cv2.boundingRect((scene.labels == main).astype(np.uint8))
    group = {main}
    for i, area in areas.items():
        if 0 < area < 0.15 * areas[main]:
            a, b, c, d = cv2.boundingRect((scene.labels == i).astype(np.uint8))
            if x < a and y < b and a + c < x + w and b + d < y + h:
                group.add(i)
    if len(group) > 1:
        scene.targets += [group, group]


def mosaic(rng, src, size, smallest):
    """Four photographs in one picture, so that things are as small and as many as in a crowded room."""
    x, y = (size * rng.uniform(0.35, 0.65, 2)).astype(int)
    out = Scene(np.empty((size, size, 3), np.uint8), np.empty((size, size), np.int16), next_label=0)
    for rows, columns in ((r, c) for r in (slice(0, y), slice(y, size)) for c in (slice(0, x), slice(x, size))):
        h, w = rows.stop - rows.start, columns.stop - columns.start
        part = from_photo(rng, any_photo(rng, src), max(h, w), smallest)
        out.rgb[rows, columns] = cv2.resize(part.rgb, (w, h), interpolation=cv2.INTER_AREA)
        labels = cv2.resize(part.labels, (w, h), interpolation=cv2.INTER_NEAREST)
        out.labels[rows, columns] = np.where(labels > 0, labels + out.next_label, labels)
        out.targets += [{i + out.next_label for i in target} for target in part.targets]
        out.next_label += part.next_label
    return out


def blank(rng, src, size):
    """A scene to paste on: a background photograph, or a plain or noisy surface."""
    if rng.random() < 0.7:
        rgb = one(rng, src.backgrounds)
        y, x, ch, cw = crop_box(rng, *rgb.shape[:2], 0.2)
        rgb = resize(rgb[y : y + ch, x : x + cw], None, size)[0]
        if rng.random() < 0.3:
            rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 4) * size / 256)
        empty = False
    else:
        rgb, empty = noise_texture(rng, size), True
    if rng.random() < 0.5:
        rgb = rgb[:, ::-1]
    return Scene(jitter(rng, np.ascontiguousarray(rgb)), np.zeros((size, size), np.int16), empty=empty)


def camera(rng, scene):
    """What a camera adds at the end: blur, noise, JPEG."""
    rgb = scene.rgb
    if rng.random() < 0.08:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.2) * len(rgb) / 256)
    if rng.random() < 0.12:
        noise = rng.normal(0, rng.uniform(2, 14), rgb.shape[:2] + (1,)).astype(np.float32)
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.12:
        ok, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        rgb = cv2.imdecode(data, cv2.IMREAD_COLOR)
    scene.rgb = rgb
    return scene


@dataclass
class Mix:
    photos: float  # part of the scenes that are photographs
    clips: float  # part that are frames of clips; the rest are compositions
    smallest: float  # a crop is at least so much of its photograph
    pasted: float  # part of the photographs that get things pasted on
    mosaics: float = 0.0  # part of the scenes that are four photographs


LONG = Mix(photos=0.5, clips=0.06, smallest=0.25, pasted=0.3, mosaics=0.12)
# As people open them: photographs, nearly whole, mostly with nothing pasted on.
OPENED = Mix(photos=0.75, clips=0.04, smallest=0.6, pasted=0.1, mosaics=0.06)


def make(rng, src, size, mix=LONG):
    kind = rng.random()
    if kind < mix.photos:
        photo = any_photo(rng, src)
        scene = from_photo(rng, photo, size, mix.smallest)
        if rng.random() < mix.pasted:
            paste_some(rng, src, scene, int(rng.integers(1, 4)), high=0.5)
    elif kind < mix.photos + mix.clips and src.clips:
        scene = from_photo(rng, one(rng, one(rng, src.clips)), size, 0.3)
    elif kind < mix.photos + mix.clips + mix.mosaics:
        scene = mosaic(rng, src, size, mix.smallest)
    else:
        scene = blank(rng, src, size)
        paste_some(rng, src, scene, int(rng.integers(2, 8)))
    return camera(rng, scene)
