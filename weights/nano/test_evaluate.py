"""python -m unittest, in this folder."""
import unittest

import numpy as np
import torch

import evaluate
import model as nano


def square(size, first, last):
    """A mask (size,size) of the rows and columns from `first` up to `last`."""
    mask = np.zeros((size, size), bool)
    mask[first:last, first:last] = True
    return mask


class Boundary(unittest.TestCase):
    def test_is_two_hundredths_of_the_diagonal(self):
        # 0.02 * hypot(250, 250) is 7.07.
        rim = evaluate.boundary(square(250, 50, 150))
        np.testing.assert_array_equal(np.flatnonzero(rim[100]), [*range(50, 57), *range(143, 150)])

    def test_the_border_is_an_outline(self):
        rim = evaluate.boundary(np.ones((250, 250), bool))
        np.testing.assert_array_equal(np.flatnonzero(rim[100]), [*range(7), *range(243, 250)])

    def test_agreement_of_a_mask_with_a_smaller_one(self):
        found, wanted, everything = square(250, 50, 150), square(250, 54, 146), np.ones((250, 250), bool)
        a = evaluate.agreement(found, wanted, everything)
        self.assertAlmostEqual(a.iou, 92**2 / 100**2)
        # Rims of 7: they share the 3 inside the smaller one's outline.
        self.assertAlmostEqual(a.boundary_iou, (92**2 - 86**2) / (100**2 - 78**2))

    def test_agreement_leaves_out_what_is_ignored(self):
        found, wanted, valid = square(250, 50, 150), square(250, 50, 150), np.ones((250, 250), bool)
        found[:, 120:], valid[:, 120:] = False, False
        self.assertEqual(evaluate.agreement(found, wanted, valid).iou, 1)


class Report(unittest.TestCase):
    def test_figures(self):
        r = evaluate.report("click", {"a": [evaluate.Agreement(0.75, 0.5), evaluate.Agreement(0.25, 0.1)], "b": [evaluate.Agreement(0.5, 0.0)]})
        self.assertEqual((r["n"], r["iou"], r["boundary_iou"], r["good"]), (3, 0.5, 0.2, 0.3333))
        self.assertEqual(r["sources"][0], dict(source="a", n=2, iou=0.5, boundary_iou=0.3, good=0.5))


class Halves(unittest.TestCase):
    def test_share_nothing_and_leave_nothing_out(self):
        names = {"c", "a", "e", "b", "d"}
        self.assertEqual(evaluate.of_half(names), ["a", "b", "c", "d", "e"])
        self.assertEqual(evaluate.of_half(names, "choose"), ["a", "c", "e"])
        self.assertEqual(evaluate.of_half(names, "report"), ["b", "d"])


class Values(unittest.TestCase):
    def test_of_8_bits_are_whole_numbers_times_their_scales(self):
        stored = {
            "a.weight": torch.tensor([[127, -127], [1, 0]], dtype=torch.int8),
            "a.weight.scale": torch.tensor([[0.5], [2.0]], dtype=torch.float16),
            "a.bias": torch.tensor([0.25, 4.0], dtype=torch.float16),
        }
        found = nano.values(stored)
        self.assertEqual({k: v.tolist() for k, v in found.items()}, {"a.weight": [[63.5, -63.5], [2.0, 0.0]], "a.bias": [0.25, 4.0]})
        self.assertEqual({v.dtype for v in found.values()}, {torch.float32})


if __name__ == "__main__":
    unittest.main()
