"""python -m unittest, in this folder."""
import unittest

import torch

import losses


def square(size, first, last):
    """A mask (1,size,size) of the rows and columns from `first` up to `last`."""
    mask = torch.zeros(1, size, size)
    mask[:, first:last, first:last] = 1
    return mask


class Band(unittest.TestCase):
    def test_is_as_wide_to_either_side(self):
        along = losses.band(square(32, 8, 24))[0]
        self.assertEqual(along[16].nonzero()[:, 0].tolist(), [6, 7, 8, 9, 22, 23, 24, 25])

    def test_borders_are_no_outlines(self):
        self.assertEqual(losses.band(torch.ones(1, 16, 16)).sum(), 0)
        self.assertEqual(losses.band(torch.zeros(1, 16, 16)).sum(), 0)


class MaskLosses(unittest.TestCase):
    def losses(self, mask, wanted, valid=None):
        """Of a sure answer: focal, dice, edge."""
        return [v.item() for v in losses.mask_losses((mask * 20 - 10)[:, None], wanted, torch.ones_like(wanted) if valid is None else valid)]

    def test_the_right_mask_costs_nothing(self):
        wanted = square(32, 8, 24)
        for loss in self.losses(wanted, wanted):
            self.assertLess(loss, 1e-3)

    def test_the_edge_loss_is_about_the_outline_alone(self):
        wanted, holed = square(32, 8, 24), square(32, 8, 24) - square(32, 14, 18)
        focal, dice, edge = self.losses(holed, wanted)
        self.assertLess(edge, 1e-3)
        self.assertGreater(min(focal, dice), 0.01)
        # One cell too large: one of the band's four rows is wrong, at 10 of cross entropy.
        edge = self.losses(square(32, 7, 25), wanted)[2]
        self.assertAlmostEqual(edge, 10 * (18**2 - 16**2) / (20**2 - 12**2), places=3)

    def test_what_is_ignored_counts_for_nothing(self):
        wanted, valid = square(32, 8, 24), torch.ones(1, 32, 32)
        valid[:, :, 16:] = 0
        mask = wanted.clone()
        mask[:, :, 16:] = 1 - mask[:, :, 16:]
        for loss in self.losses(mask, wanted, valid):
            self.assertLess(loss, 1e-3)


if __name__ == "__main__":
    unittest.main()
