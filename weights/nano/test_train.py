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


if __name__ == "__main__":
    unittest.main()
