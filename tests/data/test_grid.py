"""The picture of what was prepared."""

import numpy as np

from genbalance.data.grid import per_class
from genbalance.data.prepared import Split


def test_each_row_shows_the_first_images_of_its_class_and_black_after_them():
    labels = np.array([1, 0, 1, 1])
    images = np.arange(1, 5, dtype=np.uint8)[:, None, None] * np.ones((4, 8, 9), np.uint8)
    grid = per_class(Split(images, labels), classes=2, columns=2)
    assert grid.shape == (16, 18)
    np.testing.assert_array_equal(grid[::8, ::9], [[2, 0], [1, 3]])
    np.testing.assert_array_equal(grid, np.kron([[2, 0], [1, 3]], np.ones((8, 9))))
