"""Pictures as people have them: kinds of files that readers treat differently. The thing in all of them is one disc.

    python make.py        needs numpy and Pillow (with AVIF and WebP); writes the pictures and expected.json beside this file

`expected.json` has the size of each as it is to be seen, and some of its pixels (RGBA), found without any reader: that is
what the page and the command-line tool must both see.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
WIDTH, HEIGHT, RADIUS = 160, 120, 24
DISC, OTHER = (60, 70), (120, 40)
ORANGE, BLUE = (240, 140, 30), (42, 111, 143)
# In the disc, and where it would be if the picture stood on its head or was mirrored; in the other disc, and in a corner.
PLACES = [(60, 70), (60, 90), (60, 30), (98, 70), (120, 40), (5, 5)]

expected: dict[str, dict] = {}


def disc(centre=DISC):
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < RADIUS**2


def scene(centre=DISC):
    return np.where(disc(centre)[..., None], np.array(ORANGE, np.uint8), np.array(BLUE, np.uint8))


def expect(name, seen, within=1, **more):
    """@param seen - the picture's RGB, RGBA or grey bytes as it is to be seen. @param within - what a pixel may differ by."""
    seen = seen[..., None].repeat(3, -1) if seen.ndim == 2 else seen
    if seen.shape[2] == 3:
        seen = np.dstack([seen, np.full(seen.shape[:2], 255, np.uint8)])
    height, width = seen.shape[:2]
    pixels = {f"{x},{y}": seen[y, x].tolist() for x, y in PLACES}
    expected[name] = {"size": [width, height], "within": within, "pixels": pixels, **more}


def write(name, data, seen, **more):
    (HERE / name).write_bytes(data)
    expect(name, seen, **more)


def encoded(picture, format, **options):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png16(samples, before_pixels=b""):
    """A PNG of 16 bits: grey, or RGB."""
    grey = samples.ndim == 2
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, 0 if grey else 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before_pixels + pixels + chunk(b"IEND", b"")


def exif(orientation):
    """Nothing but an orientation, as a TIFF without a picture."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def transparent():
    mask = disc()
    alpha = np.where(mask, 255, 0).astype(np.uint8)
    for name, level in (("black", 0), ("white", 255), ("grey", 128)):
        logo = np.dstack([np.full((HEIGHT, WIDTH, 3), level, np.uint8), alpha])
        write(f"{name}_on_nothing.png", encoded(logo, "PNG"), logo)
    # A second disc lies under alpha 0.
    hidden = np.dstack([np.where(mask[..., None], np.uint8(ORANGE), scene(OTHER)), alpha])
    write("hidden_disc.png", encoded(hidden, "PNG"), hidden)
    write("hidden_disc.webp", encoded(hidden, "WEBP", lossless=True, exact=True), hidden)


def deep():
    grey = np.array(Image.fromarray(scene()).convert("L"))
    twelve = (grey.astype(np.uint32) * 4095 // 255).astype(np.uint16)
    write("twelve_bits.png", png16(twelve), grey)
    write("twelve_bits_rgb.png", png16(scene().astype(np.uint32) * 4095 // 255), scene())
    write("twelve_bits.tif", encoded(twelve, "TIFF", compression="tiff_lzw"), grey)
    write("sixteen_bits.png", png16(grey.astype(np.uint16) * 257), grey)
    # What is black is nothing: a transparent colour.
    cut_out = np.where(disc(), twelve, 0)
    seen = np.dstack([np.where(disc(), grey, 0).astype(np.uint8)] * 3 + [np.where(disc(), 255, 0).astype(np.uint8)])
    write("twelve_bits_clear.png", png16(cut_out, chunk(b"tRNS", b"\0\0")), seen)
    # Stored lying: its EXIF says that it is to be turned by 90 degrees.
    lying = np.rot90(twelve)
    write("twelve_bits_exif6.png", png16(lying, chunk(b"eXIf", exif(6))), grey)
    write("twelve_bits_big.tif", big_tiff(twelve), grey)
    largest = int(grey.max())
    write("float.tif", encoded((grey / 255).astype(np.float32), "TIFF", compression="tiff_adobe_deflate"), grey_to(grey, largest))
    write("integers.tif", encoded(grey.astype(np.int32) * 10_000, "TIFF", compression="tiff_adobe_deflate"), grey_to(grey, largest))
    pages = [Image.fromarray(scene(at)) for at in (DISC, OTHER)]
    write("two_pages.tif", encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw"), scene())


def big_tiff(samples):
    """A grey BigTIFF, which has offsets of 64 bits."""
    height, width = samples.shape
    data = zlib.compress(samples.astype("<u2").tobytes())
    data += bytes(-len(data) % 8)
    entries = [(256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 8), (262, 3, 1), (273, 16, 16), (277, 3, 1), (278, 4, height), (279, 16, len(data))]
    fields = b"".join(struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in entries)
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16 + len(data)) + data + struct.pack("<Q", len(entries)) + fields + bytes(8)


def grey_to(grey, largest):
    """Stretched from 0 to the largest value."""
    return np.round(grey.astype(np.float64) * 255 / largest).astype(np.uint8)


def moving():
    frames = [Image.fromarray(scene(at)) for at in (DISC, OTHER)]
    moves = {"save_all": True, "append_images": frames[1:], "duration": 200, "loop": 0}
    write("moving.gif", encoded(frames[0], "GIF", **moves), scene(), within=4)
    write("moving.webp", encoded(frames[0], "WEBP", lossless=True, **moves), scene())
    write("moving.png", encoded(frames[0], "PNG", **moves), scene())
    # The PNG's own picture is no frame of it, and never shown.
    hidden = {**moves, "append_images": [frames[0], frames[1]], "default_image": True}
    write("moving_hidden_default.png", encoded(frames[1], "PNG", **hidden), scene())
    write("moving.avif", encoded(frames[0], "AVIF", quality=90, **moves), scene(), within=30, only="page")


def turned():
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = Image.fromarray(scene())
    for orientation, how in stored.items():
        kinds = {"jpg": ("JPEG", {"quality": 95})}
        if orientation in (5, 6):
            kinds |= {"png": ("PNG", {}), "webp": ("WEBP", {"lossless": True}), "tif": ("TIFF", {"compression": "tiff_lzw"})}
        for ending, (format, options) in kinds.items():
            options = {**options, "exif": exif_for(orientation)} if ending != "tif" else {**options, "tiffinfo": {274: orientation}}
            # Not every browser turns a WebP.
            only = {"only": "tool"} if ending == "webp" else {}
            name = f"exif{orientation}.{ending}"
            write(name, encoded(upright.transpose(how), format, **options), scene(), within=8 if ending == "jpg" else 1, **only)
    # There is no orientation 9.
    write("exif9.jpg", encoded(upright, "JPEG", quality=95, exif=exif_for(9)), scene(), within=8)


def exif_for(orientation):
    metadata = Image.Exif()
    metadata[0x0112] = orientation
    return metadata


def plain():
    picture = Image.fromarray(scene())
    write("plain.jpg", encoded(picture, "JPEG", quality=95), scene(), within=8)
    write("progressive.jpg", encoded(picture, "JPEG", quality=95, progressive=True), scene(), within=8)
    write("cmyk.jpg", encoded(picture.convert("CMYK"), "JPEG", quality=95), scene(), within=8)
    write("plain.png", encoded(picture, "PNG"), scene())
    write("plain.webp", encoded(picture, "WEBP", quality=90), scene(), within=12)
    write("plain.gif", encoded(picture, "GIF"), scene(), within=4)
    write("plain.avif", encoded(picture, "AVIF", quality=95), scene(), within=12, only="page")
    write("palette.png", encoded(picture.quantize(2), "PNG", bits=1), scene())


for kind in (plain, transparent, deep, moving, turned):
    kind()
lines = (f"{json.dumps(name)}: {json.dumps(how)}" for name, how in expected.items())
(HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
