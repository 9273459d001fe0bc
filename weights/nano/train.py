"""Trains nano on prompted pictures and on clips, in turns. Resumable: run the same command again.

    python train.py --data DIR --out RUN --size 256 --batch 6 --minutes 60
    python train.py --data DIR --out RUN --size 512 --batch 4 --minutes 20 --decay-minutes 10
    python train.py --data DIR --out RUN --size 512 --batch 4 --until 6000 --decay-steps 2000 [--minutes 60]

The learning rate warms up once, stays constant, and falls to nothing: in the last --decay-minutes, or in the --decay-steps before
the step --until. RUN/final.pt is after the fall, the one to export.

By minutes, RUN/last.pt is always before the fall, so a later run goes on from there (RUN/falling.pt: on the way, should the
run be cut off). By steps, RUN/last.pt is the newest, also in the fall: a training that is stopped, or slowed down by
other work, ends as if it had not been. --minutes is then how long it runs this time.
"""
import argparse
import csv
import math
import os
import time
from pathlib import Path

import numpy as np
import torch

import batches
import corrections
import evaluate
import half
import losses
import memory
import model as nano
import optimizer
import pictures
import places
import scenes
import video

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
# How many rounds: the first prompt, then clicks.
ROUNDS = dict(
    click=[(1, 0.45), (2, 0.33), (3, 0.17), (5, 0.05)],
    box=[(1, 0.8), (2, 0.2)],
    mask=[(1, 0.85), (2, 0.15)],
)
# Part of the steps in which the decoder gets the picture as it looks behind the memory attention's last norm.
RECALLED = dict(click=0.25, box=0.25, mask=0.75)
FIGURES = ["click1_chosen", "click1_best", "click1_single", "click2_single", "click3_single", "box1_single", "box1_chosen", "mask1_single"]
CLIP_FIGURES = ["clip_loss", "clip_mask", "clip_click", "clip_box"]


def draw(rng, table):
    return rng.choice([v for v, _ in table], p=[p for _, p in table])


def normalise(rgb):
    return (rgb.permute(0, 3, 1, 2).float() / 255 - MEAN.to(rgb.device)) / STD.to(rgb.device)


def rounds(rng, model, features, batch, rows, kind, count):
    """The prompt rounds of some rows of the batch: click, box or rough mask, then corrections. Returns loss and figures."""
    per_picture = len(batch["click"]) // len(batch["rgb"])
    features = [f[rows // per_picture] for f in features]
    wanted = batch["wanted"][rows].float() / 255
    valid = batch["valid"][rows // per_picture].float()
    present = batch["present"][rows].float()
    mask_input = None
    if kind == "mask":  # with the empty point that goes with a mask, and with a memory
        points, labels = batch["click"].new_zeros(len(rows), 1, 2), -torch.ones(len(rows), 1, dtype=torch.int32, device=rows.device)
        mask_input = corrections.rough(wanted)
    else:
        points, labels = batches.points(batch, kind, rows)
    total, figures = 0.0, {}
    for r in range(count):
        logits, ious, objects = nano.decode(model, features, points, labels, mask_input)
        loss, f = losses.total(logits, ious, objects, wanted, valid, present, sure=kind != "click" or r > 0)
        total = total + loss
        figures[f"{kind}{r + 1}"] = f
        if r + 1 == count:
            break
        with torch.no_grad():
            # The mask a user would see: the best of three after one click, mostly the single mask later.
            best = 1 + ious[:, 1:].argmax(1)
            if r > 0 and rng.random() < 0.5:
                best = torch.zeros_like(best)
            seen = logits[torch.arange(len(rows), device=rows.device), best]
            more_points, more_labels = corrections.clicks(seen, wanted, valid)
            points, labels = torch.cat([points, more_points], 1), torch.cat([labels, more_labels], 1)
            # With and without the mask as a prompt: people use both.
            mask_input = seen[:, None].clamp(-32, 32) if rng.random() < 0.5 else None
    return total, figures


def moved(batch, device):
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def step_loss(rng, model, batch, box_part, mask_part):
    present = batch["present"].numpy() > 0
    batch = moved(batch, next(model.parameters()).device)
    with torch.set_grad_enabled(any(p.requires_grad for p in model.image_encoder.parameters())):
        features = nano.image_features(model, normalise(batch["rgb"]))
    recalled = nano.recalled(model, features)
    n = len(batch["click"])
    u = rng.random(n)
    is_box, is_mask = present & (u < box_part), present & (u >= box_part) & (u < box_part + mask_part)
    total, figures = 0.0, {}
    for kind, chosen in (("click", ~is_box & ~is_mask), ("box", is_box), ("mask", is_mask)):
        rows = torch.from_numpy(np.flatnonzero(chosen)).to(batch["rgb"].device)
        if len(rows):
            seen = recalled if rng.random() < RECALLED[kind] else features
            loss, f = rounds(rng, model, seen, batch, rows, kind, draw(rng, ROUNDS[kind]))
            total = total + loss * len(rows) / n
            figures.update(f)
    values = {f"{name}_{k}": v for name, f in figures.items() for k, v in f.items()}
    values["score"] = figures["click1"]["score"] if "click1" in figures else 0.0
    return total, values


class Log:
    """A progress line on the screen, a CSV file for the curves."""

    KEYS = ["loss"] + FIGURES + ["score"] + CLIP_FIGURES

    def __init__(self, path):
        self.path, self.sums = path, {}

    def add(self, values):
        for k in self.KEYS:
            if k in values:
                s = self.sums.setdefault(k, [0.0, 0])
                s[0] += values[k]
                s[1] += 1

    def write(self, step, size, lr, seconds):
        mean = {k: float(s) / n for k, (s, n) in self.sums.items()}
        new = not self.path.exists()
        with self.path.open("a") as f:
            out = csv.writer(f)
            if new:
                out.writerow(["step", "hours", "size", "lr"] + self.KEYS)
            out.writerow([step, f"{seconds / 3600:.4f}", size, f"{lr:.2e}"] + [f"{mean[k]:.4f}" if k in mean else "" for k in self.KEYS])
        print(f"step {step} {seconds / 3600:.2f} h size {size} lr {lr:.1e} " + " ".join(f"{k} {v:.3f}" for k, v in mean.items()), flush=True)
        self.sums = {}


class Threads:
    """One thread while others keep a core busy: two threads in step go at the pace of the slower one."""

    def __init__(self, most):
        self.most, self.before = most, self.read()

    def read(self):
        ticks = [int(v) for v in open("/proc/stat").readline().split()[1:8]]
        return time.time(), (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK"), time.process_time()

    def adapt(self):
        now = self.read()
        wall, busy, own = (a - b for a, b in zip(now, self.before))
        if wall > 2:
            torch.set_num_threads(1 if (busy - own) / wall > 0.5 else self.most)
            self.before = now


def save(path, model, ema, optimizers, step, seconds):
    """The optimizers' state goes by the parameters' names, so that a run may train other parts than the one before."""
    names = {p: k for k, p in model.named_parameters()}
    moments = {names[p]: state for o in optimizers for p, state in o.state.items()}
    state = dict(model=model.state_dict(), ema=ema, moments=moments, step=step, seconds=seconds)
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def restore(optimizers, model, moments):
    names = {p: k for k, p in model.named_parameters()}
    for o in optimizers:
        for group in o.param_groups:
            for p in group["params"]:
                kept = moments.get(names[p], {})
                if kept and ("momentum" in kept) == isinstance(o, optimizer.Muon):
                    o.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in kept.items()}


def fallen(args, step, minutes):
    """The part of the learning rate that is left at a step, and after so many minutes of this run."""
    if args.until is None:
        left, over = args.minutes - minutes, args.decay_minutes
    else:
        left, over = args.until - step, args.decay_steps
    return min(1.0, left / over) if over else 1.0


def learns(args, name):
    """Whether a parameter takes part in this run."""
    if args.memory_alone:
        return name.startswith(memory.PARTS)
    if args.freeze_encoder:
        return not name.startswith(("image_encoder.", "sam_mask_decoder.conv_s"))
    stages = [] if args.freeze_stages is None else ["conv_stem", *(f"blocks.{i}" for i in range(args.freeze_stages))]
    return not name.startswith(tuple(f"image_encoder.trunk.{part}." for part in stages))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=6, help="per picture")
    parser.add_argument("--box-part", type=float, default=0.35)
    parser.add_argument("--mask-part", type=float, default=0.15)
    parser.add_argument("--video-part", type=float, default=0.3, help="of the steps are on clips")
    parser.add_argument("--video-size", type=int, help="default: as --size")
    parser.add_argument("--as-opened", action="store_true", help="mostly whole photographs with nothing pasted on, for the last steps")
    parser.add_argument("--clips", type=int, default=2, help="in a step on clips")
    parser.add_argument("--minutes", type=float, default=math.inf, help="needed without --until")
    parser.add_argument("--decay-minutes", type=float, default=0.0)
    parser.add_argument("--until", type=int, metavar="STEP", help="the step, counted from the first run on, at which the rate has fallen to nothing")
    parser.add_argument("--decay-steps", type=int, default=0, help="with --until")
    parser.add_argument("--check-minutes", type=float, default=10.0, help="between validations, curves and overlays")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--trunk-rate", type=float, default=1.0, help="part of the rate for the image encoder's trunk, where it has learnt elsewhere")
    parser.add_argument("--warmup", type=int, default=80)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--adamw", action="store_true", help="AdamW for the matrices too")
    parser.add_argument("--begin-with", type=Path, help="a state_dict that has had the first lesson (places.py)")
    parser.add_argument("--begin-memory", type=int, metavar="STEPS", help="once the pictures go well: a lesson on masks of so many steps, and start values for the memory")
    parser.add_argument("--freeze-encoder", action="store_true", help="the memory learns on features that hold still")
    parser.add_argument("--memory-alone", action="store_true", help="what takes part in pictures stands still, so their masks stay as they are; needs --video-part 1")
    parser.add_argument("--freeze-stages", type=int, metavar="N", help="the second edition's stem and first N stages stand still: with 2, a step takes a quarter less")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that make pictures; a GPU keeps 15 busy")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    nano.option(parser)
    args = parser.parse_args()
    if args.until is None and (math.isinf(args.minutes) or args.decay_steps):
        parser.error("give --minutes, or --until, which --decay-steps needs")
    if args.until is not None and args.decay_minutes:
        parser.error("the rate falls by --decay-minutes or, with --until, by --decay-steps")
    if args.memory_alone and args.video_part < 1:
        parser.error("--memory-alone learns nothing from pictures: give --video-part 1")
    nano.use(args.config)
    video_size = args.video_size or args.size

    args.out.mkdir(parents=True, exist_ok=True)
    last = args.out / "last.pt"
    start = torch.load(last, map_location="cpu", weights_only=True) if last.exists() else None
    step, seconds = (start["step"], start["seconds"]) if start else (0, 0.0)
    cold = step if start and not start["moments"] else 0  # from where the rate warms up
    mix = scenes.OPENED if args.as_opened else scenes.LONG
    queue = batches.start(args.data, 1000 + step, args.workers, args.size, args.batch, args.prompts, mix, args.video_part, video_size, args.clips)
    torch.set_num_threads(args.threads)
    if args.device == "cpu":
        half.use()
    else:
        torch.set_float32_matmul_precision("high")  # TensorFloat32
    torch.manual_seed(step)
    rng = np.random.default_rng([7, step])

    model = nano.build(args.size)
    model.train()
    # So short a training has no use for dropout, which is nowhere else in the network.
    model.memory_attention.eval()
    # The same weights for clips of another size: a second model of which only the tables are its own.
    tracker = model if video_size == args.size else nano.build(video_size)
    tracker.train()
    tracker.memory_attention.eval()
    if start:
        model.load_state_dict(start["model"])
    elif args.begin_with:
        model.load_state_dict(torch.load(args.begin_with, weights_only=True))
    else:
        places.teach(model, [normalise(next_pictures(queue)["rgb"]) for _ in range(12)])
    if args.begin_memory is not None:
        begin_memory(rng, model, queue, args.begin_memory)
    for name, p in model.named_parameters():
        p.requires_grad_(learns(args, name))
    model.to(args.device)
    tracker.to(args.device)
    share(model, tracker)
    optimizers = optimizer.make(model, args.lr, args.weight_decay, muon=not args.adamw, slow={**memory.SLOW, "image_encoder.trunk.": args.trunk_rate})
    if start:
        kept = start["moments"]
        if args.begin_memory is not None:
            kept = {k: v for k, v in kept.items() if not k.startswith(memory.PARTS)}
        restore(optimizers, model, kept)
    ema = moved(start["ema"], args.device) if start else {k: v.clone() for k, v in model.state_dict().items()}
    if args.begin_memory is not None:
        ema.update({k: v.clone() for k, v in model.state_dict().items() if k.startswith(memory.PARTS + ("sam_",))})
    trainable = [(k, p) for k, p in model.named_parameters() if p.requires_grad]

    log = Log(args.out / "log.csv")
    begin = mark = checked = time.time()
    decaying, saved, threads = False, begin, Threads(args.threads)
    while (minutes := (time.time() - begin) / 60) < args.minutes and step < (args.until or math.inf):
        fall = fallen(args, step, minutes)
        if fall < 1 and not decaying:
            if args.until is None:
                save(last, model, ema, optimizers, step, seconds)
            decaying = True
        lr = args.lr * min(1.0, (step - cold + 1) / args.warmup) * max(fall, 0.02)
        for o in optimizers:
            for group in o.param_groups:
                group["lr"] = lr * group["scale"]
        threads.adapt()
        batch = queue.get()
        if "clip" in batch:
            loss, values = video.step_loss(rng, tracker, moved(batch, args.device), normalise)
            values["clip_loss"] = loss.detach()
        else:
            loss, values = step_loss(rng, model, batch, args.box_part, args.mask_part)
            values["loss"] = loss.detach()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in trainable], 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        # A shorter mean at the end, where the rate's fall does the averaging.
        keep = min(0.99 if decaying else 0.998, (1 + step) / (20 + step))
        with torch.no_grad():
            torch._foreach_lerp_([ema[k] for k, _ in trainable], [p.data for _, p in trainable], 1 - keep)
        log.add(values)
        if step % 25 == 0:
            seconds += time.time() - mark
            mark = time.time()
            log.write(step, args.size, lr, seconds)
        if time.time() - saved > 120:
            save(args.out / "falling.pt" if decaying and args.until is None else last, model, ema, optimizers, step, seconds)
            saved = time.time()
        if time.time() - checked > args.check_minutes * 60:
            check(args, ema, step, seconds)
            checked = time.time()
    seconds += time.time() - mark
    if args.until is not None or not decaying:
        save(last, model, ema, optimizers, step, seconds)
    if decaying if args.until is None else step >= args.until:
        save(args.out / "final.pt", model, ema, optimizers, step, seconds)
    check(args, ema, step, seconds)


def next_pictures(queue):
    while "clip" in (batch := queue.get()):
        pass
    return batch


def begin_memory(rng, model, queue, steps):
    fresh = nano.build(model.image_size).state_dict()
    model.load_state_dict({k: fresh[k] if k.startswith(memory.PARTS) else v for k, v in model.state_dict().items()})
    taken = [next_pictures(queue) for _ in range(8)]
    some = torch.cat([normalise(b["rgb"]) for b in taken[:3]])
    memory.begin_well(model, some)
    with torch.no_grad():
        encoded = [(nano.recalled(model, nano.image_features(model, normalise(b["rgb"]))), b) for b in taken]
    places.teach_masks(model, encoded, lambda f, b, rows, kind: rounds(rng, model, f, b, rows, kind, 1), steps)
    model.load_state_dict({k: fresh[k] if k.startswith(memory.PARTS) else v for k, v in model.state_dict().items()})
    memory.begin_well(model, some)


def share(model, tracker):
    """`tracker` gets the very parameters of `model`."""
    if tracker is model:
        return
    tracker.load_state_dict(model.state_dict())  # the buffers
    for name, p in model.named_parameters():
        where, _, leaf = name.rpartition(".")
        setattr(tracker.get_submodule(where), leaf, p)


def check(args, ema, step, seconds):
    """Validation on a part of the held-out photographs, curves and overlays as pictures; the curves alone where their masks stay as they are, nothing where they were left behind (pack.py)."""
    if args.memory_alone:
        pictures.memory_curves(args.out)
        return
    if not args.data.is_dir():
        return
    begin = time.time()
    model = nano.build(args.size, postprocessing=True).eval()
    model.load_state_dict(ema)
    predictor = evaluate.Predictor(model)
    photos = evaluate.held_out(args.data, ["openimages_animals", "coco_ccby"])[::3]
    results = {k: evaluate.report(k, v)["iou"] for k, v in evaluate.run(predictor, photos, ("click", "clicks3", "box")).items()}
    path = args.out / "val.csv"
    new = not path.exists()
    with path.open("a") as f:
        if new:
            f.write("step,hours,size,click,clicks3,box\n")
        f.write(f"{step},{seconds / 3600:.4f},{args.size}," + ",".join(f"{results[k]:.4f}" for k in ("click", "clicks3", "box")) + "\n")
    print("validation", {k: round(v, 4) for k, v in results.items()}, f"{time.time() - begin:.0f} s", flush=True)
    pictures.curves(args.out)
    pictures.overlays(predictor, evaluate.held_out(args.data, ["openimages_animals", "coco_ccby", "clothing_cc0", "trashnet_photos", "facade"])[::5], args.out / "overlays.jpg")


if __name__ == "__main__":
    main()
