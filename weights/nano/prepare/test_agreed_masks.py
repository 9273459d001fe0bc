"""python -m unittest, in this folder."""
import unittest

import numpy as np

import agreed_masks


def square(first, last):
    mask = np.zeros((100, 100), bool)
    mask[first:last, first:last] = True
    return mask


class Agreed(unittest.TestCase):
    def test_alike(self):
        alike, sure, doubt = agreed_masks.agreed(np.stack([square(20, 60), square(21, 60), square(20, 61)]))
        self.assertTrue(alike)
        np.testing.assert_array_equal(sure, square(21, 60))
        np.testing.assert_array_equal(doubt, square(20, 61) & ~square(21, 60))

    def test_one_that_differs_is_enough_to_drop_it(self):
        self.assertFalse(agreed_masks.agreed(np.stack([square(20, 60), square(20, 60), square(20, 50)]))[0])

    def test_nothing_is_no_thing(self):
        self.assertFalse(agreed_masks.agreed(np.zeros((3, 100, 100), bool))[0])

    def test_the_first_of_those_that_are_alike(self):
        a, b, c = square(20, 60), square(22, 60), square(70, 90)
        kept = agreed_masks.without_repeats([a, b, c])
        self.assertEqual(len(kept), 2)
        self.assertIs(kept[0], a)
        self.assertIs(kept[1], c)


if __name__ == "__main__":
    unittest.main()
