"""Training steps on clips: every frame goes through the official tracking step, and the loss back through the memory.

The first frame's prompt is a mask, a click or a box; later frames get none, or now and then a correcting click. The
image encoder is left to the picture steps: its features are taken as they are, so that a clip costs a third.
"""
import torch

import batches
import corrections
import losses

PROMPTS = [("mask", 0.5), ("click", 0.25), ("box", 0.25)]
CORRECTION = 0.3  # part of the steps that have a correcting click on some frame
FORCED = 0.5  # part of the steps in which what is there is never taken for gone, so that masks are learnt first


class Heads:
    """Keeps what the mask decoder said, all four masks with their scores, as the official step returns fewer."""

    def __init__(self, model):
        self.decoder = model.sam_mask_decoder
        self.original = self.decoder.predict_masks
        self.present = None  # (N,): object scores are raised where this is 1

    def predict_masks(self, *args, **kwargs):
        masks, ious, tokens, objects = self.original(*args, **kwargs)
        self.said = masks, ious, objects
        if self.present is not None:
            objects = torch.where(self.present[:, None] > 0.5, torch.full_like(objects, 10.0), objects)
        return masks, ious, tokens, objects

    def __enter__(self):
        self.decoder.predict_masks = self.predict_masks
        return self

    def __exit__(self, *_):
        del self.decoder.predict_masks


def first_prompt(batch, kind):
    """(point_inputs, mask_inputs) of all things on the first frame."""
    if kind == "mask":
        return None, batch["mask"][:, None].float()
    points, labels = batches.points(batch, kind)
    return dict(point_coords=points, point_labels=labels), None


def step_loss(rng, model, batch, normalise):
    frames, count = batch["rgb"].shape[:2]
    with torch.no_grad():
        encoded = model.forward_image(normalise(batch["rgb"].reshape(frames * count, *batch["rgb"].shape[2:])))
    _, features, positions, sizes = model._prepare_backbone_features(encoded)
    clip, wanted = batch["clip"], batch["wanted"].float() / 255
    valid, present = batch["valid"].float(), batch["present"].float()
    kind = PROMPTS[rng.choice(len(PROMPTS), p=[p for _, p in PROMPTS])][0]
    corrected = int(rng.integers(frames)) if rng.random() < CORRECTION else -1
    if corrected == 0 and kind == "mask":
        corrected = frames // 2
    forced = rng.random() < FORCED
    outputs = dict(cond_frame_outputs={}, non_cond_frame_outputs={})
    total, rounds, later = 0.0, 0, []
    with Heads(model) as heads:
        for t in range(frames):
            rows = t * count + clip
            now = [f[:, rows] for f in features]
            heads.present = present[t] if forced else None
            points, mask = first_prompt(batch, kind) if t == 0 else (None, None)
            out, sam, high, embedding = model._track_step(
                t, t == 0, now, [p[:, rows] for p in positions], sizes, points, mask, outputs, frames, False, None
            )
            if mask is None:
                loss, figures = losses.total(*heads.said, wanted[t], valid[t][clip], present[t], sure=t > 0 or kind != "click")
                total, rounds = total + loss, rounds + 1
                if t:
                    later.append(figures["chosen"])
            if t == corrected:
                seen = sam[3].detach().clamp(-32, 32)
                more, labels = corrections.clicks(seen[:, 0], wanted[t], valid[t][clip])
                if points:
                    more = torch.cat([points["point_coords"], more], 1)
                    labels = torch.cat([points["point_labels"], labels], 1)
                points = dict(point_coords=more, point_labels=labels)
                sam = model._forward_sam_heads(embedding, points, seen, high, model._use_multimask(t == 0, points))
                loss, _ = losses.total(*heads.said, wanted[t], valid[t][clip], present[t], sure=True)
                total, rounds = total + loss, rounds + 1
            out["obj_ptr"] = sam[5]
            model._encode_memory_in_output(now, sizes, points, t + 1 < frames, sam[4], sam[6], out)
            # As the predictor does by default: only what was prompted first is a conditioning frame.
            outputs["cond_frame_outputs" if t == 0 else "non_cond_frame_outputs"][t] = out
    return total / rounds, {f"clip_{kind}": torch.stack(later).mean()}
