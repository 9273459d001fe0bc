"""Sprites of 3D models seen from 12 sides: <object>_00.webp .. <object>_11.webp in <out>/sprites/<source>_turntable/.

    pip install trimesh pycollada lxml pillow numba
    python turntables.py --clones CLONES --out DATA [--only NAME ...] [--sheets FOLDER]

CLONES holds git clones named OWNER+NAME of the repositories in SOURCES, and the furniture library of Sweet Home 3D, which
Debian packs (apt-get download sweethome3d-furniture; dpkg -x sweethome3d-furniture_*.deb CLONES/sweethome3d-furniture).
A model that is there already isn't rendered again. --sheets also writes a contact sheet of each source.
"""
import argparse
import re
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from models import Z_UP, read
from render import VIEWS, render

# Whole things of one mesh.
GAZEBO = """ambulance bus cafe_table car_wheel cardboard_box cinder_block coke_can construction_barrel construction_cone
cordless_drill drc_practice_orange_jersey_barrier dumpster fire_hydrant fire_station fire_truck fountain gazebo
grey_tote hammer hatchback house_1 house_2 house_3 jersey_barrier law_office mars_rover monkey_wrench pickup
playground polaris_ranger_ev polaris_ranger_xp900 police_station post_office postbox salon saucepan school
speed_limit_sign stop_sign table_marble thrift_shop water_tower"""
FURNITURE = "sweethome3d-furniture/usr/share/sweethome3d/furniture"


def sweet_home(library):
    """Models of an unpacked .sh3f, without the parts of a house."""
    text = (library / "PluginFurnitureCatalog.properties").read_text("latin-1")
    entries = {}
    for key, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, re.M):
        entries.setdefault(int(number), {})[key] = value.strip()
    for entry in entries.values():
        if entry["category"] in ("Doors and windows", "Staircases") or entry.get("doorOrWindow") == "true":
            continue
        path = library / entry["model"].lstrip("/").replace("\\ ", " ")
        rotation = None
        if "modelRotation" in entry:
            rotation = np.array(entry["modelRotation"].split(), float).reshape(3, 3)
        yield path.parent.name, path, None, rotation


def google_scanned(clones):
    seen = set()
    roots = ("google-deepmind+aloha_sim/aloha_sim/assets/gso", "real-stanford+scalingup/scalingup/environment/mujoco/assets/google_scanned_objects")
    for root in roots:
        for path in sorted((clones / root).rglob("model.obj")):
            folder = path.parent.parent if path.parent.name == "meshes" else path.parent
            texture = next(folder.rglob("texture.png"), None)
            if texture and folder.name not in seen:
                seen.add(folder.name)
                yield folder.name, path, texture, Z_UP


def collada(clones, pattern):
    """The meshes to be seen, not those for collisions."""
    for path in sorted(clones.glob(pattern)):
        if path.suffix.lower() == ".dae" and "collision" not in path.name.lower():
            name = re.sub(r"^aws_|_visual$", "", path.stem)
            yield name, path, None, None


def gazebo(clones):
    for name in GAZEBO.split():
        path = next(p for p in sorted((clones / "osrf+gazebo_models" / name / "meshes").iterdir()) if p.suffix in (".dae", ".obj"))
        yield name, path, None, Z_UP if path.suffix == ".obj" else None


def gltf(clones, pattern):
    for path in sorted(clones.glob(pattern)):
        yield re.sub(r"_[12]k$", "", path.stem), path, None, None


def unpacked(library, folder):
    with zipfile.ZipFile(library) as archive:
        archive.extractall(folder)
    return Path(folder)


SOURCES = {
    "sh3d_scopia": lambda c, tmp: sweet_home(unpacked(c / FURNITURE / "Scopia.sh3f", tmp)),
    "sh3d_blendswap_cc0": lambda c, tmp: sweet_home(unpacked(c / FURNITURE / "BlendSwap-CC-0.sh3f", tmp)),
    "sh3d_blendswap_ccby": lambda c, tmp: sweet_home(unpacked(c / FURNITURE / "BlendSwap-CC-BY.sh3f", tmp)),
    "sh3d_reallusion": lambda c, tmp: sweet_home(unpacked(c / FURNITURE / "Reallusion.sh3f", tmp)),
    "sh3d_katorlegaz": lambda c, tmp: sweet_home(unpacked(c / FURNITURE / "KatorLegaz.sh3f", tmp)),
    "google_scanned": lambda c, tmp: google_scanned(c),
    "aws_robomaker": lambda c, tmp: collada(c, "aws-robotics+aws-robomaker-*-world/models/*/meshes/*"),
    "gazebo": lambda c, tmp: gazebo(c),
    "polyhaven": lambda c, tmp: gltf(c, "RobotLocomotion+models/tutorials/models/assets/*_1k.gltf"),
}


# Looked at and found white, flat, broken, lying on its side, or a part of a building.
LEFT_OUT = {
    "sh3d_scopia": r".*(plug|switch|antenna|socket).*|entry-bell-ring|ensemble-.*|pantalon.*|short-shadows|jupe.*|kids_shelves|"
    r"clothes-horse|pineSnow|RJ-45.*|rounded-dimmer|big-football-goal|com_bath2_jabon_pijo|fleche.*|stationnement.*",
    "sh3d_katorlegaz": r"bathroom-tissue|bowl|bullet-trash-can|cafe-table|coffee-mug|fluorescent-strip|painted-bench|porch-column-\d+|"
    r"showerHeadAndFaucet|filing-cabinet|12-oz-glass|bar-stool|chair-ottoman",
    "aws_robomaker": r"AirConditionerC.*|Bicycle.*|Board.*|Book[AC]_.*|BookshelfC.*|Chandelier.*|Column.*|DeskB.*|DoorB.*|FoldingDoor.*|"
    r"HouseWall.*|Pillow.*|Portrait[ACDE].*|Rangehood.*|RetailShop.*|Room.*|ShopWindow.*|spotlight.*|"
    r"robomaker_hospital_(curtain_open|elevator|floor|nursesstation|ramp).*|robomaker_warehouse_(Ground|Roof|Wall).*",
    # The Winchester ones are CC BY among CC0.
    "sh3d_blendswap_cc0": r"cosmeticsPot|radiator1?|shower|toiletBrush|winchester.*",
    "sh3d_blendswap_ccby": r"cafe_set.*|hood|saltShaker|sef-kasa|wardrobe2|wallSocket|surveillanceCamera|piano|bathroomRadiator|kitchenTools",
    "polyhaven": r"tea_set_01",  # many things at once
}


def poor(views):
    """Why these views are of no use, or None."""
    solid = views[..., 3] > 127
    if solid.sum((1, 2)).min() < 900:
        return "too thin or empty"
    pixels = views[solid].astype(float)
    if pixels[:, :3].std(0).max() < 12 or (np.ptp(pixels[:, :3], axis=1).mean() < 4 and pixels[:, :3].mean() > 150):
        return "of one colour or white"
    return None


def contact_sheet(folder, path, columns=16, side=96):
    names = sorted({p.stem[:-3] for p in folder.glob("*.webp")})
    rows = -(-len(names) * 2 // columns)
    sheet = Image.new("RGB", (columns * side, max(rows, 1) * side), (120, 150, 120))
    for i, name in enumerate(names):
        for j, view in enumerate((0, 4)):
            sprite = Image.open(folder / f"{name}_{view:02}.webp").convert("RGBA").resize((side, side))
            n = 2 * i + j
            sheet.paste(sprite, (n % columns * side, n // columns * side), sprite)
    sheet.save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clones", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=SOURCES, choices=SOURCES)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--limit", type=int, help="models of each source, for a trial")
    args = parser.parse_args()
    for source in args.only:
        folder = args.out / "sprites" / f"{source}_turntable"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as tmp:
            for name, path, texture, rotation in list(SOURCES[source](args.clones, tmp))[: args.limit]:
                # Without underscores, so that the views of one thing stay together when sorted.
                stem = re.sub(r"[\W_]+", "-", name)
                if re.fullmatch(LEFT_OUT.get(source, ""), name) or (folder / f"{stem}_{VIEWS - 1:02}.webp").exists():
                    continue
                try:
                    # The same view of a model whichever others are rendered.
                    views = render(read(path, texture, rotation), np.random.default_rng(zlib.crc32(name.encode())))
                    why = "no size" if views is None else poor(views)
                except Exception as error:  # one broken file of hundreds
                    why = repr(error)[:150]
                if why:
                    print(f"{source} {name}: left out, {why}", flush=True)
                    continue
                for k, view in enumerate(views):
                    Image.fromarray(view).save(folder / f"{stem}_{k:02}.webp", quality=90)
        print(source, len(list(folder.glob("*_00.webp"))), flush=True)
        if args.sheets:
            contact_sheet(folder, args.sheets / f"{source}.png")


if __name__ == "__main__":
    main()
