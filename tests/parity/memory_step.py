"""What a frame of video costs the official code: tiny at full size with a full bank, on random weights and memories.

    python memory_step.py [--threads 2] [--rounds 3]

Prints processor time, time by the clock and how much memory each part needed for a while, as tests/tiny_memory.rs
does for this project. Linux only.
"""
import argparse
import resource
import time

import torch
from sam2.build_sam import build_sam2_video_predictor


def processor():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))


def measured(name, work):
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    resident, used, started = memory("VmRSS"), processor(), time.time()
    work()
    extra = (memory("VmHWM") - resident) // 1024
    print(f"{name}: processor {processor() - used:.2f} s, clock {time.time() - started:.2f} s, extra memory {extra} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = build_sam2_video_predictor("configs/sam2.1/sam2.1_hiera_t.yaml", device="cpu", mode="eval")
    frame, position = torch.randn(4096, 1, 256), torch.randn(4096, 1, 256)
    # Seven frames, and 16 object pointers of four tokens each.
    bank = torch.randn(7 * 4096 + 64, 1, 64)
    positions = torch.randn_like(bank)
    embedding, mask = torch.randn(1, 256, 64, 64), torch.randn(1, 1, 1024, 1024)
    with torch.inference_mode():
        for _ in range(args.rounds):
            measured(
                "memory attention",
                lambda: model.memory_attention(curr=[frame], curr_pos=[position], memory=bank, memory_pos=positions, num_obj_ptr_tokens=64),
            )
            measured("memory encoder", lambda: model.memory_encoder(embedding, mask, skip_mask_sigmoid=True))


if __name__ == "__main__":
    main()
