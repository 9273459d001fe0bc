"""python -m unittest, in this folder."""
import math
import unittest
from types import SimpleNamespace

import train


class Fallen(unittest.TestCase):
    def test_by_minutes(self):
        args = SimpleNamespace(until=None, minutes=60, decay_minutes=20, decay_steps=0)
        self.assertEqual([train.fallen(args, 7, m) for m in (0, 40, 50, 60)], [1, 1, 0.5, 0])

    def test_by_steps_however_long_they_take(self):
        args = SimpleNamespace(until=1000, minutes=math.inf, decay_minutes=0, decay_steps=200)
        self.assertEqual([train.fallen(args, s, 1e6) for s in (0, 800, 900, 1000)], [1, 1, 0.5, 0])
        args.minutes = 30  # of this run: another goes on
        self.assertEqual(train.fallen(args, 900, 29), 0.5)

    def test_without_a_fall(self):
        self.assertEqual(train.fallen(SimpleNamespace(until=None, minutes=60, decay_minutes=0, decay_steps=0), 5, 59), 1)
        self.assertEqual(train.fallen(SimpleNamespace(until=9, minutes=math.inf, decay_minutes=0, decay_steps=0), 8, 59), 1)


class Learns(unittest.TestCase):
    NAMES = [
        "image_encoder.trunk.conv_stem.weight",
        "image_encoder.trunk.blocks.2.0.conv_dw.weight",
        "image_encoder.neck.convs.0.conv.weight",
        "sam_mask_decoder.conv_s0.weight",
        "sam_mask_decoder.iou_token.weight",
        "no_mem_embed",
        "memory_attention.norm.weight",
        "obj_ptr_proj.layers.0.weight",
    ]

    def learning(self, **given):
        args = SimpleNamespace(**{"memory_alone": False, "freeze_encoder": False, "freeze_stages": None, **given})
        return [i for i, name in enumerate(self.NAMES) if train.learns(args, name)]

    def test_what_stands_still(self):
        self.assertEqual(self.learning(), [0, 1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.learning(freeze_stages=2), [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.learning(freeze_stages=3), [2, 3, 4, 5, 6, 7])
        self.assertEqual(self.learning(freeze_encoder=True), [4, 5, 6, 7])
        self.assertEqual(self.learning(memory_alone=True), [6, 7])


if __name__ == "__main__":
    unittest.main()
