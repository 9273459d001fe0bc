"""Reads OBJ, COLLADA and glTF models as corners, normals, texture coordinates, colours and pictures; `read` is what is for others."""
import io
import re
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

TEXTURE = 768  # longest side of a texture: finer ones only flicker at this size
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # turned so that y is up


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
