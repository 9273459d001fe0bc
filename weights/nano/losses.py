"""SAM 2's losses: focal and dice on the best of three masks, the predicted IoU's error, BCE on the object score.

What is seen is not the best of the three but the one of the highest score, so that one has a part of the loss too;
after a prompt that leaves no doubt all three have.

Focal and dice hardly feel an outline that is a little off, for its cells are few: so the cells along the outline have a
loss of their own.

The error is squared, as in SAM 1: its optimum is the expected IoU, by which to choose among three masks. SAM 2's L1
gives the median, which hardly tells masks apart that are either right or wholly wrong.
"""
import torch
import torch.nn.functional as F

FOCAL, DICE, EDGE, IOU, OBJECT = 4.0, 1.0, 0.3, 3.0, 0.5
BAND = 2  # how many cells of the masks, to either side of the outline, EDGE is about
CHOSEN = 0.5  # part of a single click's loss that is on the mask of the highest score
SURE = 0.6  # part of any other prompt's loss that is on the mean of the three
OTHERS = 0.03  # a little of the loss reaches the masks that were not best, so that none dies


@torch.no_grad()
def band(wanted):
    """1 for the cells (N,h,w) within BAND of the outline, else 0. The picture's border is no outline."""
    side = 2 * BAND + 1
    highest = F.max_pool2d(wanted[:, None], side, 1, BAND)[:, 0]
    lowest = -F.max_pool2d(-wanted[:, None], side, 1, BAND)[:, 0]
    return ((highest >= 0.5) & (lowest < 0.5)).float()


def mask_losses(logits, wanted, valid):
    """Focal, dice and edge loss of each mask, (N, M). `wanted` is the covered part of each cell, so it may be between 0 and 1."""
    along = (band(wanted) * valid)[:, None]
    wanted, valid = wanted[:, None], valid[:, None]
    area = valid.sum((-1, -2)).clamp(min=1)
    p = logits.sigmoid()
    bce = F.binary_cross_entropy_with_logits(logits, wanted.expand_as(logits), reduction="none")
    wrong = p * (1 - wanted) + (1 - p) * wanted
    # Lighter than SAM's 20 and without its class weights: else a network that knows nothing yet answers with empty masks.
    focal = (0.5 * wrong.square() * bce * valid).sum((-1, -2)) / area
    overlap = (p * wanted * valid).sum((-1, -2))
    total = ((p + wanted) * valid).sum((-1, -2))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    edge = (bce * along).sum((-1, -2)) / along.sum((-1, -2)).clamp(min=1)
    return focal, dice, edge


@torch.no_grad()
def true_ious(logits, wanted, valid):
    a = (logits > 0) & (valid > 0.5)[:, None]
    b = ((wanted >= 0.5) & (valid > 0.5))[:, None]
    return (a & b).sum((-1, -2)) / (a | b).sum((-1, -2)).clamp(min=1)


def total(logits, predicted_ious, objects, wanted, valid, present, sure=False):
    """The loss of one prompt round, and the figures worth printing. Mask 0 is the single mask, 1 to 3 the multimask.

    `sure`: the prompt can hardly mean anything else, as a box, a mask, a second click or a memory.
    """
    focal, dice, edge = mask_losses(logits, wanted, valid)
    each = FOCAL * focal + DICE * dice + EDGE * edge
    three, seen = each[:, 1:], predicted_ious[:, 1:].argmax(1, keepdim=True)
    best = three.min(1).values
    masks = torch.lerp(best, three.mean(1), SURE) if sure else torch.lerp(best, three.gather(1, seen)[:, 0], CHOSEN)
    masks = masks + each[:, 0] + OTHERS * three.sum(1)
    actual = true_ious(logits, wanted, valid)
    score = (predicted_ious - actual).abs().mean(1)
    count = present.sum().clamp(min=1)
    squared = (predicted_ious - actual).square().mean(1)
    loss = ((masks + IOU * squared) * present).sum() / count
    loss = loss + OBJECT * F.binary_cross_entropy_with_logits(objects[:, 0], present)
    with torch.no_grad():
        chosen = actual[:, 1:].gather(1, seen)[:, 0]
        figures = {k: (v * present).sum() / count for k, v in dict(single=actual[:, 0], best=actual[:, 1:].max(1).values, chosen=chosen, score=score).items()}
    return loss, figures
