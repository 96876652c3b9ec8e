"""A picture of what was prepared."""

import numpy as np
from numpy.typing import NDArray

from genbalance.data.prepared import Split


def per_class(split: Split, classes: int, columns: int) -> NDArray[np.uint8]:
    """A row for each class with its first ``columns`` images, black where it has fewer.

    Returns:
        uint8 [classes · height, columns · width].
    """
    height, width = split.images.shape[1:]
    grid = np.zeros((classes, columns, height, width), np.uint8)
    for label in range(classes):
        shown = split.images[split.labels == label][:columns]
        grid[label, : len(shown)] = shown
    return grid.transpose(0, 2, 1, 3).reshape(classes * height, columns * width)
