"""Sprites of 3D models seen from 12 sides: <object>_00.webp .. <object>_11.webp in <out>/sprites/<source>_turntable/.

    pip install trimesh pycollada lxml pillow numba
    python turntables.py --clones CLONES --out DATA [--only NAME ...] [--sheets FOLDER]

CLONES holds git clones named OWNER+NAME of the repositories in SOURCES, and the furniture library of Sweet Home 3D, which
Debian packs (apt-get download sweethome3d-furniture; dpkg -x sweethome3d-furniture_*.deb CLONES/sweethome3d-furniture).
A model that is there already isn't rendered again. --sheets also writes a contact sheet of each source.
"""
import argparse
import io
import re
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import trimesh
from numba import njit
from PIL import Image

SIZE, SCALE, VIEWS = 256, 2, 12  # side of a sprite, how much larger it's rendered, views
TEXTURE = 768  # longest side of a texture: finer ones only flicker at this size
# Whole things of one mesh.
GAZEBO = """ambulance bus cafe_table car_wheel cardboard_box cinder_block coke_can construction_barrel construction_cone
cordless_drill drc_practice_orange_jersey_barrier dumpster fire_hydrant fire_station fire_truck fountain gazebo
grey_tote hammer hatchback house_1 house_2 house_3 jersey_barrier law_office mars_rover monkey_wrench pickup
playground polaris_ranger_ev polaris_ranger_xp900 police_station post_office postbox salon saucepan school
speed_limit_sign stop_sign table_marble thrift_shop water_tower"""
FURNITURE = "sweethome3d-furniture/usr/share/sweethome3d/furniture"


# --- the models of each source: (name, file, texture or None, rotation or None) ----------------------------------------


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


Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # turned so that y is up


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


# --- reading ----------------------------------------------------------------------------------------------------------


class Resolver(trimesh.resolvers.FilePathResolver):
    """Also finds a texture that lies in another folder of the model than its file says."""

    def get(self, name):
        try:
            return super().get(name)
        except (OSError, ValueError):
            wanted = Path(name.replace("\\", "/")).name.lower()
            for path in Path(self.parent).parent.rglob("*"):
                if path.name.lower() == wanted:
                    return path.read_bytes()
            raise


def crease(corners, normals):
    """The vertices' normals of each face, but the face's own where they belong to another side of an edge."""
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    face /= np.linalg.norm(face, axis=1, keepdims=True) + 1e-20
    cosine = (normals * face[:, None]).sum(-1, keepdims=True)
    return np.where(abs(cosine) < 0.75, face[:, None], normals * np.where(cosine < 0, -1, 1))


def small(picture):
    picture.thumbnail((TEXTURE, TEXTURE))
    return np.array(picture.convert("RGBA"))


def read_mtl(path):
    """Colour (RGBA of 0..1) and picture of each material."""
    materials = {}
    for line in path.read_text("latin-1").splitlines() if path.exists() else []:
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            current = materials[rest.strip()] = [np.array([0.8, 0.8, 0.8, 1]), None]
        elif key == "Kd":
            current[0][:3] = [float(x) for x in rest.split()[:3]]
        elif key == "d":
            current[0][3] = float(rest.split()[-1])
        elif key == "map_Kd":
            for place in (path.parent, path.parent.parent / "materials" / "textures"):
                picture = place / rest.strip().replace("\\", "/").split("/")[-1]
                if picture.is_file():
                    current[1] = small(Image.open(picture))
                    break
    for colour, picture in materials.values():
        if picture is not None:
            colour[:3] = 1  # many files have a grey or even black one beside a picture
    return materials


def read_obj(path, texture):
    """As read() gives it; trimesh mixes up files in which only some faces have texture coordinates."""
    lists, faces, looks = {"v": [], "vt": [], "vn": []}, [], []
    materials, current = {}, ""
    if texture:
        materials[""] = (np.ones(4), small(Image.open(texture)))
    for line in path.read_text("latin-1").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key in lists:
            numbers = [float(x) for x in rest.split()[: 2 if key == "vt" else 3]]
            lists[key].append(numbers)
        elif key == "f":
            corners = []
            for corner in rest.split():
                index = [int(i) if i else 0 for i in corner.split("/")] + [0, 0]
                # From 1 on, or counted back from the end; 0 is none.
                corners.append([i - 1 if i > 0 else len(lists[k]) + i if i < 0 else -1 for i, k in zip(index, lists)])
            for i in range(1, len(corners) - 1):
                faces.append((corners[0], corners[i], corners[i + 1]))
                looks.append(current)
        elif key == "usemtl" and not texture:
            current = rest.strip()
        elif key == "mtllib" and not texture:
            materials.update(read_mtl(path.parent / rest.strip()))
    faces = np.array(faces)
    v, vt, vn = (np.array(lists[k] or [[0.0] * n]) for k, n in (("v", 3), ("vt", 2), ("vn", 3)))
    corners = v[faces[..., 0]]
    if (faces[..., 2] >= 0).all():
        normals = vn[faces[..., 2]]
    else:
        flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals = np.zeros_like(v)
        for k in range(3):
            np.add.at(normals, faces[:, k, 0], flat)
        normals = normals[faces[..., 0]]
    normals = normals / (np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-20)
    names = sorted(set(looks))
    plain = (np.array([0.8, 0.8, 0.8, 1]), None)
    colours = np.array([materials.get(n, plain)[0] for n in names])
    pictures = [materials.get(n, plain)[1] for n in names]
    material = np.searchsorted(names, looks)
    pictures = [np.full((1, 1, 4), 255, np.uint8) if p is None else p for p in pictures]
    return corners, crease(corners, normals), vt[faces[..., 1]], colours[material], material, pictures


def with_samplers(text):
    """COLLADA whose effects name an image itself, as one exporter writes it, made as the format wants it."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)  # pycollada stumbles over them
    images = set(re.findall(r'<image id="([^"]+)"', text)) & set(re.findall(r'<texture texture="([^"]+)"', text))
    params = ""
    for i in images:
        text = text.replace(f'texture="{i}"', f'texture="{i}-sampler"')
        params += f'<newparam sid="{i}-surface"><surface type="2D"><init_from>{i}</init_from></surface></newparam>'
        params += f'<newparam sid="{i}-sampler"><sampler2D><source>{i}-surface</source></sampler2D></newparam>'
    return text.replace("<profile_COMMON>", "<profile_COMMON>" + params)


def read_scene(path):
    """COLLADA and glTF, as read() gives them."""
    file, rotation = path, None
    if path.suffix.lower() == ".dae":
        text = path.read_text()
        file = io.BytesIO(with_samplers(text).encode())
        if "<up_axis>Z_UP" in text:
            rotation = Z_UP
    scene = trimesh.load_scene(file, file_type=path.suffix[1:].lower(), resolver=Resolver(path), process=False)
    parts, pictures = [], []
    for mesh in scene.dump():
        if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
            continue
        colour, picture, uv = np.ones((len(mesh.faces), 4)), None, None
        if mesh.visual.kind == "texture":
            material, uv = mesh.visual.material, mesh.visual.uv
            picture = material.baseColorTexture if uv is not None else None
            if material.baseColorFactor is not None and not (picture is not None and path.suffix.lower() == ".dae"):
                colour[:] = material.baseColorFactor / 255
            if path.suffix.lower() == ".dae" or material.alphaMode in (None, "OPAQUE"):
                colour[:, 3] = 1  # exporters don't agree on which way round transparency is
            if picture is not None and path.suffix.lower() != ".dae" and material.alphaMode in (None, "OPAQUE"):
                picture = picture.convert("RGB")
        elif mesh.visual.kind in ("vertex", "face"):
            colour = mesh.visual.face_colors / 255
        corners = mesh.vertices[mesh.faces]
        uv = np.zeros((len(mesh.vertices), 2)) if uv is None else uv
        parts.append((corners, crease(corners, mesh.vertex_normals[mesh.faces]), uv[mesh.faces], colour, np.full(len(corners), len(pictures))))
        pictures.append(np.full((1, 1, 4), 255, np.uint8) if picture is None else small(picture.copy()))
    if all(p.shape[:2] == (1, 1) for p in pictures):
        # Gazebo has scripts of its own for materials: where there is one picture, that is it.
        found = [p for p in (path.parent.parent / "materials" / "textures").glob("*") if not re.search("normal|spec|occl", p.name.lower())]
        if len(found) == 1:
            pictures = [small(Image.open(found[0]))] * len(pictures)
    corners, normals, *rest = (np.concatenate(p) for p in zip(*parts))
    if rotation is not None:
        corners, normals = corners @ rotation.T, normals @ rotation.T
    return corners, normals, *rest, pictures


def read(path, texture, rotation):
    """Corners, normals and texture coordinates of each face (F, 3, .), its colour and material, the materials' pictures."""
    corners, normals, *rest = read_obj(path, texture) if path.suffix.lower() == ".obj" else read_scene(path)
    if rotation is not None:
        corners, normals = corners @ rotation.T, normals @ rotation.T
    return corners, normals, *rest


# --- rendering --------------------------------------------------------------------------------------------------------


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
