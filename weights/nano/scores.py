"""Last lesson: the scores by which one of the three masks is chosen, on what people click on: single things of photographs.

    python scores.py --data DIR --checkpoint RUN/final.pt --out RUN/scored.pt --minutes 8

Everything but the IoU head stands still. In training a click may mean a part, a thing or a group, each as likely, so
the head learns to doubt; the protocol, and a visitor, mostly mean the thing.
"""
import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

import batches
import evaluate
import losses
import model as nano
import prompts
import scenes
import sources
from train import normalise

# The crowded, uniform sources are left out: their instances would outvote everything else.
WEIGHTS = {
    "openimages_animals": 0.22,
    "coco_full": 0.26,
    "coco_ccby": 0.18,
    "coco_person": 0.06,
    "taco_litter": 0.12,
    "clothing_cc0": 0.07,
    "trashnet_photos": 0.06,
    "facade": 0.03,
}
SHARP = 0.05  # of the predicted IoU


def examples(rng, src, size, count):
    """A photograph's picture, up to `count` of its instances (N,h,w) and a click on each."""
    while True:
        photo = scenes.any_photo(rng, src, WEIGHTS)
        scene = scenes.camera(rng, scenes.from_photo(rng, photo, size, 0.9))  # as whole as a visitor opens it
        masks = [scene.labels == next(iter(t)) for t in scene.targets if len(t) == 1]
        masks = [m for m in masks if m.mean() >= evaluate.SMALLEST]
        if masks:
            order = rng.permutation(len(masks))[:count]
            return scene, [masks[i] for i in order]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--pictures", type=int, default=4, help="a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--rank", type=float, default=0.0, help="part of the loss on the IoU that choosing by the scores gives")
    parser.add_argument("--threads", type=int, default=2)
    nano.option(parser)
    args = parser.parse_args()
    nano.use(args.config)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(11)
    src = sources.load(args.data, video=False)
    state = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    model = nano.build(args.size)
    model.load_state_dict(state["ema"])
    model.requires_grad_(False)
    head = model.sam_mask_decoder.iou_prediction_head
    head.requires_grad_(True)
    optimizer = torch.optim.AdamW(head.parameters(), lr=args.lr, weight_decay=0.02)
    low, step, begin, sums = args.size // batches.LOGIT_STRIDE, 0, time.time(), []
    mean = {k: v.clone() for k, v in head.state_dict().items()}
    while (left := 1 - (time.time() - begin) / (args.minutes * 60)) > 0:
        optimizer.param_groups[0]["lr"] = args.lr * min(1.0, left * 2)
        total, count = 0.0, 0
        for _ in range(args.pictures):
            scene, masks = examples(rng, src, args.size, 6)
            wanted = torch.from_numpy(np.stack([batches.shrink(m, low) for m in masks])).float() / 255
            valid = torch.from_numpy(batches.shrink(scene.labels >= 0, low) > 127).float()
            points = torch.tensor([prompts.click(rng, m) for m in masks], dtype=torch.float32)[:, None]
            with torch.no_grad():
                features = [f.expand(len(masks), -1, -1, -1) for f in nano.image_features(model, normalise(torch.from_numpy(scene.rgb[None])))]
            logits, ious, _ = nano.decode(model, features, points, torch.ones(len(masks), 1, dtype=torch.int32))
            actual = losses.true_ious(logits, wanted, valid.expand_as(wanted))
            total = total + (ious - actual).square().mean(1).sum()
            # What a soft choice among the three would give; sharp enough that it is nearly the choice itself.
            total = total - args.rank * ((ious[:, 1:] / SHARP).softmax(1) * actual[:, 1:]).sum()
            count += len(masks)
            chosen = actual[:, 1:].gather(1, ious[:, 1:].argmax(1, keepdim=True))
            sums.append((chosen.mean().item(), actual[:, 1:].max(1).values.mean().item(), (ious - actual).abs().mean().item()))
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        for k, v in head.state_dict().items():
            mean[k].lerp_(v, 1 - min(0.98, step / (step + 10)))
        if step % 20 == 0:
            chosen, best, score = np.mean(sums, 0)
            print(f"step {step} {time.time() - begin:.0f} s chosen {chosen:.3f} best {best:.3f} score {score:.3f}", flush=True)
            sums = []
    prefix = "sam_mask_decoder.iou_prediction_head."
    state["ema"].update({prefix + k: v for k, v in mean.items()})
    torch.save(state, args.out)


if __name__ == "__main__":
    main()
