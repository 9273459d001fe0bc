#!/usr/bin/env python3
"""Trains a tiny detector, transformers' `Owlv2ForObjectDetection`, on coloured shapes that are drawn as it goes.

  train.py --out . --minutes 13      trains for so long on one core (its own time), and writes config.json, merges.txt and model.safetensors
  train.py --out . --resume          goes on from there
  train.py --out . --check           only measures what is there

With torch 2.8.0 and transformers 5.24.0, as in tests/parity/requirements.txt.

The loss is that of OWL-ViT ("Simple Open-Vocabulary Object Detection with Vision Transformers", section 3.2) without the
bipartite matching: a patch in the middle of a shape is responsible for it, so that the patches are known beforehand. Class
embeddings of other pictures are queries beside the texts, so that a shape can also be the example for others.
"""

import argparse, json, os, time
import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import box_iou, generalized_box_iou, nms
from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor

SIDE, PATCH, CONTEXT = 64, 8, 16
COLOURS = dict(
    red=(215, 40, 40), green=(40, 165, 60), blue=(45, 75, 215), yellow=(240, 215, 50), purple=(145, 50, 175)
)
SHAPES = ("circle", "square", "triangle", "star")
NAMES = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
# A shape is what its name and the name without the colour say.
LABELS = NAMES + list(SHAPES)
TEMPLATES = ("{}", "{}", "{}s", "a {}", "a photo of a {}")
# What no picture has, among random words: so that words that the vocabulary does not know are found nowhere.
OTHERS = "cat dog person car tree house chair bird cup book phone horse apple table boat flower cloud ring line".split()
# The example in the picture whose like is looked for, in parts of all queries that are pictures.
EXAMPLES = 24
# The number of pictures that are drawn beforehand.
POOL = 8000


def merges():
    """The merges of the words that are used, by the usual training: the most frequent pair first."""
    words = [*COLOURS, *SHAPES, *(shape + "s" for shape in SHAPES), "a", "of", "photo"]
    words = [[*word[:-1], word[-1] + "</w>"] for word in words]
    found = []
    while pairs := [pair for word in words for pair in zip(word, word[1:])]:
        best = max(sorted(set(pairs)), key=pairs.count)
        found.append(best)
        for word in words:
            for i in range(len(word) - 1, 0, -1):
                if (word[i - 1 : i + 1]) == list(best):
                    word[i - 1 : i + 1] = ["".join(best)]
    return found


def tokenizer(merges):
    """As in tests/parity/make_owlv2.py: the vocabulary follows from the merges."""
    codes = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(c) for c in codes] + [chr(256 + i) for i in range(256 - len(codes))]
    vocabulary = letters + [c + "</w>" for c in letters] + ["".join(pair) for pair in merges]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: i for i, token in enumerate(vocabulary)}
    assert len(ids) == len(vocabulary)
    return CLIPTokenizer(vocab=ids, merges=merges, pad_token="!", model_max_length=CONTEXT)


def configuration(tokens):
    return Owlv2Config(
        vision_config=dict(
            image_size=SIDE,
            patch_size=PATCH,
            hidden_size=96,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=6,
        ),
        text_config=dict(
            vocab_size=tokens,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            pad_token_id=0,
            bos_token_id=tokens - 2,
            eos_token_id=tokens - 1,
        ),
        projection_dim=64,
    )


def corners(rng, shape, x, y, radius):
    """The outline of a shape that is not round."""
    turn = rng.uniform(-0.25, 0.25)
    count, inner = dict(square=(4, 1), triangle=(3, 1), star=(10, 0.45))[shape]
    start = dict(square=np.pi / 4, triangle=-np.pi / 2, star=-np.pi / 2)[shape] + turn
    at = [start + 2 * np.pi * i / count for i in range(count)]
    far = [radius * (inner if i % 2 else 1) for i in range(count)]
    return [(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(at, far)]


def clouds(rng, height, width):
    """Noise of every size, as strong as it is large, as photographs have it."""
    sum, strength = 0, rng.uniform(20, 70)
    for cells in (2, 4, 8, 16, 32, 64):
        part = rng.normal(0, 1, (cells, cells, 3)) * 0.35 + rng.normal(0, 1, (cells, cells, 1))
        part = [Image.fromarray(p.astype(np.float32)).resize((width, height), Image.BILINEAR) for p in part.transpose(2, 0, 1)]
        sum = sum + np.stack(part, -1) * strength * 1.4 / cells**0.8
    return rng.uniform(60, 200) + rng.uniform(-18, 18, 3) + sum


def background(rng, height, width):
    """A smooth change between two dull colours, waves and noise, or clouds."""
    if rng.random() < 0.4:
        return clouds(rng, height, width)
    grey = lambda: rng.uniform(30, 235) + rng.uniform(-18, 18, 3)
    first, second = grey(), grey() if rng.random() < 0.5 else grey() * 0 + grey()
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    along = (x * np.cos(angle) + y * np.sin(angle)) * 0.5 + 0.5
    wave = rng.uniform(0, 12) * np.sin(x * rng.uniform(5, 60) + y * rng.uniform(5, 60))
    noise = rng.normal(0, rng.uniform(0.1, 8), (height, width, 1))
    return first + (second - first) * along[..., None] + wave[..., None] + noise


def scene(rng, side=SIDE):
    """A picture of at most `side` x `side` with its shapes: boxes (left, top, right, bottom) and indices in NAMES."""
    height = width = side
    if rng.random() < 0.6:
        shorter = int(side * rng.uniform(0.5, 1))
        height, width = (shorter, side) if rng.random() < 0.7 else (side, shorter)
    scale = 2
    back = np.clip(background(rng, height, width), 0, 255).astype(np.uint8)
    picture = Image.fromarray(back).resize((width * scale, height * scale))
    draw = ImageDraw.Draw(picture)
    boxes, names = [], []
    # Sometimes all of a kind, so that there are several to find.
    few = rng.choice(len(NAMES), rng.integers(1, 3)) if rng.random() < 0.3 else np.arange(len(NAMES))
    for _ in range(rng.integers(1, 8)):
        index = int(rng.choice(few))
        colour, shape = NAMES[index].split(" ")
        radius = side * rng.uniform(0.09, 0.24)
        x, y = rng.uniform(radius * 0.8, width - radius * 0.8), rng.uniform(radius * 0.8, height - radius * 0.8)
        if shape == "circle":
            box = [x - radius, y - radius, x + radius, y + radius]
        else:
            outline = corners(rng, shape, x, y, radius)
            box = [*np.min(outline, 0), *np.max(outline, 0)]
        box = np.clip(box, 0, [width, height, width, height])
        overlap = lambda other: np.prod(np.maximum(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0))
        area = np.prod(box[2:] - box[:2])
        if any(overlap(b) > 0.1 * min(area, np.prod(b[2:] - b[:2])) for b in boxes):
            continue
        fill = np.array(COLOURS[colour]) * rng.uniform(0.85, 1.1) + rng.uniform(-14, 14, 3)
        fill = tuple(int(c) for c in np.clip(fill, 0, 255))
        if shape == "circle":
            draw.ellipse([v * scale for v in (x - radius, y - radius, x + radius, y + radius)], fill=fill)
        else:
            draw.polygon([(px * scale, py * scale) for px, py in outline], fill=fill)
        boxes.append(box)
        names.append(index)
    picture = np.asarray(picture.reduce(scale))
    return picture, np.array(boxes, np.float32).reshape(-1, 4), np.array(names, np.int64)


MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)


def targets(boxes, names):
    """For each of n patches: the box, the index in NAMES, whether a shape is its own (1), none is (0) or either is right (-1)."""
    n = SIDE // PATCH
    middle = (np.arange(n) + 0.5) * PATCH
    px, py = (m.reshape(-1) for m in np.meshgrid(middle, middle))
    box, name, state = np.zeros((n * n, 4), np.float32), np.zeros(n * n, np.int64), np.zeros(n * n, np.int64)
    for b, index in zip(boxes, names):
        (x, y), (w, h) = (b[:2] + b[2:]) / 2, b[2:] - b[:2]
        far = np.maximum(np.abs(px - x) / w, np.abs(py - y) / h)
        own = (far < 0.25) | (np.maximum(np.abs(px - x), np.abs(py - y)) <= PATCH / 2)
        # Whether these are its own makes no difference, as long as their boxes are right.
        near = (far < 0.4) & (state != 1)
        state[near], box[near] = -1, [x / SIDE, y / SIDE, w / SIDE, h / SIDE]
        state[own], name[own], box[own] = 1, index, [x / SIDE, y / SIDE, w / SIDE, h / SIDE]
    return box, name, state


def pool(rng, size):
    """Pictures drawn beforehand, `[size, 3, s, s]` of bytes, with their shapes. Drawing one takes as long as learning from it."""
    pixels, shapes = np.zeros((size, 3, SIDE, SIDE), np.uint8), []
    for padded in pixels:
        picture, boxes, names = scene(rng)
        padded[:, : picture.shape[0], : picture.shape[1]] = picture.transpose(2, 0, 1)
        shapes.append((boxes, names))
    return pixels, shapes


def batch(rng, size, pictures):
    """Some of the pool's pictures, turned and mirrored: pixels `[b, 3, s, s]`, and `targets` of b x n patches."""
    pixels, shapes = pictures
    some, all_targets = [], []
    for i in rng.integers(len(pixels), size=size):
        picture, (boxes, names) = pixels[i], shapes[i]
        boxes = boxes.copy()
        if rng.random() < 0.5:
            picture, boxes = picture.transpose(0, 2, 1), boxes[:, [1, 0, 3, 2]]
        # (The padding is then on any side.)
        if rng.random() < 0.5:
            picture, boxes = picture[:, :, ::-1], np.stack([SIDE - boxes[:, 2], boxes[:, 1], SIDE - boxes[:, 0], boxes[:, 3]], 1)
        some.append(picture)
        all_targets.append(targets(boxes, names))
    values = (torch.from_numpy(np.stack(some)).float() / 255 - MEAN) / STD
    return values, *(torch.from_numpy(np.stack(x)) for x in zip(*all_targets))


def begin(model):
    """The heads as in the paper's code: transformers draws them from a far too wide range, from which nothing is learnt."""
    for head in (model.class_head, model.box_head, model.objectness_head):
        for layer in head.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.reset_parameters()
    with torch.no_grad():
        # At first each head attends to one neighbour, as a convolution would, and learns from there ("Structured
        # Initialization for Attention in Vision Transformers", Zheng, Li and Lucey, 2024): to find that out by itself would
        # take longer than all the rest. The last dimensions of a token are for its column and row.
        vision, n = model.owlv2.vision_model, SIDE // PATCH
        own = vision.config.hidden_size - 2 * n
        vision.embeddings.patch_embedding.weight[own:] = 0
        vision.embeddings.class_embedding[own:] = 0
        places = torch.cat([torch.eye(n)[None].expand(n, -1, -1), torch.eye(n)[:, None].expand(-1, n, -1)], -1)
        vision.embeddings.position_embedding.weight[1:, own:] = 0.8 * places.reshape(n * n, 2 * n)
        for depth, layer in enumerate(vision.encoder.layers):
            attention, step = layer.self_attn, 1 + depth % 2
            attention.v_proj.weight.mul_(2.5)
            for head, (x, y) in enumerate([(0, -1), (0, 1), (-1, 0), (1, 0), (1, 1), (-1, -1)]):
                rows = slice(head * 2 * n, (head + 1) * 2 * n)
                query, key = torch.zeros(2, 2 * n, own + 2 * n)
                query[:, own:] = 1.6 * torch.eye(2 * n)
                # What is at place p + step is compared with p.
                for axis, offset in enumerate((x * step, y * step)):
                    for place in range(n):
                        if 0 <= place + offset < n:
                            key[axis * n + place, own + axis * n + place + offset] = 1.6
                attention.q_proj.weight[rows] = query + 0.02 * torch.randn_like(query)
                attention.k_proj.weight[rows] = key + 0.02 * torch.randn_like(key)
        # At first there is nothing anywhere, and each box is its patch.
        model.class_head.logit_scale.bias.fill_(10)
        model.class_head.logit_shift.bias.fill_(-0.5)
        model.objectness_head.dense2.bias.fill_(-2)
        model.box_head.dense2.weight.mul_(0.1)
        model.box_head.dense2.bias.zero_()


def edges(boxes):
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def texts(rng):
    """A text for each label, and some that are in no picture."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    plain = [TEMPLATES[rng.integers(len(TEMPLATES))].format(label) for label in LABELS]
    nonsense = ["".join(letters[i] for i in rng.integers(26, size=rng.integers(2, 9))) for _ in range(4)]
    words = [OTHERS[i] for i in rng.integers(len(OTHERS), size=6)]
    colour = [f"{list(COLOURS)[rng.integers(5)]} {OTHERS[rng.integers(len(OTHERS))]}" for _ in range(2)]
    return plain + nonsense + [f"a photo of a {word}" if rng.random() < 0.3 else word for word in words] + colour


def embed(model, words, texts):
    ids = words(texts, padding="longest", truncation=True, max_length=CONTEXT, return_tensors="pt")
    return model.owlv2.get_text_features(**ids).pooler_output


def meets(names):
    """Whether each of these names is what each of LABELS says."""
    shape = torch.tensor([SHAPES.index(name.split(" ")[1]) for name in NAMES])[names]
    whole = torch.nn.functional.one_hot(names, len(NAMES))
    return torch.cat([whole, torch.nn.functional.one_hot(shape, len(SHAPES))], -1).float()


def loss_of(model, words, rng, size, pictures):
    pixels, boxes, names, states = batch(rng, size, pictures)
    image_embeds, _ = model.image_embedder(pixels)
    features = image_embeds.flatten(1, 2)
    own = states == 1
    if not own.any():
        return None
    count = own.sum()

    boxed = states != 0
    found = model.box_predictor(features, image_embeds)[boxed]
    wanted = boxes[boxed]
    l1 = (found - wanted).abs().sum() / boxed.sum()
    giou = (1 - generalized_box_iou(edges(found), edges(wanted)).diagonal()).mean()

    queries = embed(model, words, texts(rng))
    _, embeds = model.class_predictor(features)
    chosen = torch.from_numpy(rng.choice(int(count), EXAMPLES))
    labels = torch.zeros(*states.shape, len(queries) + EXAMPLES)
    labels[..., : len(LABELS)] = meets(names)
    labels[..., len(queries) :] = names[..., None] == names[own][chosen]
    labels *= own[..., None]
    queries = torch.cat([queries, embeds[own][chosen]])
    logits, _ = model.class_predictor(features, queries.expand(size, -1, -1))
    weight = (states >= 0).float()
    plain = binary_cross_entropy_with_logits(logits, labels, reduction="none")
    # Mostly there is nothing: what is easy counts less (focal loss, gamma 1).
    hard = (logits.sigmoid() - labels).abs().detach()
    classes = (plain * hard * weight[..., None]).sum() / count

    objectness = model.objectness_predictor(features)
    objectness = binary_cross_entropy_with_logits(objectness, own.float(), weight) * 4
    parts = dict(classes=classes, l1=10 * l1, giou=4 * giou, objectness=objectness)
    return sum(parts.values()), {k: float(v.detach()) for k, v in parts.items()}


def train(model, words, minutes, size, peak, seed):
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01, betas=(0.9, 0.98))
    start, step, sums = time.process_time(), 0, {}
    pictures = pool(rng, POOL)
    print(f"{POOL} pictures after {time.process_time() - start:.0f} s", flush=True)
    while (part := (time.process_time() - start) / (60 * minutes)) < 1:
        rate = peak * min(1, (step + 1) / 200) * (1 - part)
        for group in optimizer.param_groups:
            group["lr"] = rate
        result = loss_of(model, words, rng, size, pictures)
        if result is None:
            continue
        loss, parts = result
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for name, value in parts.items():
            sums[name] = sums.get(name, 0) + value / 100
        step += 1
        if step % 100 == 0:
            print(f"{step} {part:.2f}", " ".join(f"{k} {v:.3f}" for k, v in sums.items()), flush=True)
            sums = {}


def choose(boxes, scores, threshold):
    """The boxes whose score is above the threshold, after NMS."""
    kept = torch.nonzero(scores > threshold).flatten()
    return boxes[kept[nms(boxes[kept], scores[kept], 0.5)]]


def count_hits(boxes, wanted):
    """The IoUs of the found boxes that are one of the wanted. Each wanted box counts once."""
    if not len(boxes) or not len(wanted):
        return []
    ious, hits = box_iou(boxes, wanted), []
    for row in ious:
        at = int(row.argmax())
        if row[at] >= 0.5:
            hits.append(float(row[at]))
            ious[:, at] = 0
    return hits


class Count:
    """Found boxes against those wanted, over many pictures."""

    def __init__(self):
        self.found, self.wanted, self.ious = 0, 0, []

    def add(self, boxes, wanted):
        self.found += len(boxes)
        self.wanted += len(wanted)
        self.ious += count_hits(boxes, wanted)

    def tell(self, how):
        precision, recall = len(self.ious) / max(self.found, 1), len(self.ious) / self.wanted
        iou = np.mean(self.ious or [0])
        print(f"{how}: precision {precision:.3f}, recall {recall:.3f}, mean IoU {iou:.3f}, {self.wanted} shapes")


@torch.no_grad()
def check(model, words, threshold, pictures=500, side=400):
    """Precision and recall by words and by example, on other pictures, which are larger than the network's."""
    model.eval()
    rng, processor = np.random.default_rng(1), Owlv2ImageProcessor()
    queries = embed(model, words, [*NAMES, *OTHERS])
    shapes = embed(model, words, list(SHAPES))
    by_words, by_shapes, by_example, elsewhere = Count(), Count(), Count(), 0
    for _ in range(pictures):
        picture, boxes, names = scene(rng, side)
        boxes, names = torch.from_numpy(boxes), torch.from_numpy(names)
        size = dict(height=SIDE, width=SIDE)
        pixels = processor(torch.from_numpy(picture.copy()).permute(2, 0, 1), size=size, return_tensors="pt")
        image_embeds, _ = model.image_embedder(pixels["pixel_values"])
        features = image_embeds.flatten(1, 2)
        predicted = edges(model.box_predictor(features, image_embeds)[0]) * max(picture.shape[:2])

        def best(queries):
            """The label that fits each patch best, as transformers' post-processing has it."""
            logits, _ = model.class_predictor(features, queries[None])
            return logits[0].sigmoid().max(-1)

        scores, labels = best(queries)
        elsewhere += int(((labels >= len(NAMES)) & (scores > threshold)).sum())
        for i in range(len(NAMES)):
            by_words.add(choose(predicted, scores * (labels == i), threshold), boxes[names == i])
        scores, labels = best(shapes)
        for i in range(len(SHAPES)):
            found = choose(predicted, scores * (labels == i), threshold)
            by_shapes.add(found, boxes[names % len(SHAPES) == i])
        # By example: the patch whose box is the nearest to the first shape's, as its class embedding.
        at = int(box_iou(predicted, boxes[:1])[:, 0].argmax())
        scores, _ = best(model.class_predictor(features)[1][0, at][None])
        by_example.add(choose(predicted, scores, threshold), boxes[names == names[0]])
    print(f"threshold {threshold}, {pictures} pictures")
    for how, count in dict(words=by_words, shapes=by_shapes, example=by_example).items():
        count.tell(how)
    print(f"words for what is not there: {elsewhere} patches")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", required=True)
    p.add_argument("--minutes", type=float, default=13)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--rate", type=float, default=1.2e-3)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--resume", action="store_true", help="goes on from the weights in --out")
    p.add_argument("--check", action="store_true")
    p.add_argument("--threshold", type=float, default=0.4)
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    path = lambda name: os.path.join(a.out, name)
    pairs = merges()
    words = tokenizer(pairs)
    config = configuration(len(words))
    model = Owlv2ForObjectDetection(config)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{parameters} parameters, {len(words)} tokens", flush=True)
    if not a.check:
        if a.resume:
            model.load_state_dict({name: t.float() for name, t in load_file(path("model.safetensors")).items()})
        else:
            begin(model)
        model.train()
        train(model, words, a.minutes, a.batch, a.rate, a.seed)
        config.save_pretrained(a.out)
        with open(path("merges.txt"), "w") as file:
            file.write("#version: 0.2\n" + "".join(f"{first} {second}\n" for first, second in pairs))
        tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
        metadata = dict(format="pt", config=json.dumps(json.load(open(path("config.json")))))
        save_file(tensors, path("model.safetensors"), metadata=metadata)
    model.load_state_dict({name: t.float() for name, t in load_file(path("model.safetensors")).items()})
    check(model, words, a.threshold)


if __name__ == "__main__":
    main()
