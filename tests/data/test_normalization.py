"""Mean and deviation of pixels."""

import numpy as np
import pytest

from genbalance.data.normalization import measure
from genbalance.errors import UserError


def test_it_is_the_mean_and_deviation_of_all_pixels():
    images = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    mean, std = measure(images)
    assert mean == pytest.approx((images / 255).mean(), rel=1e-12)
    assert std == pytest.approx((images / 255).std(), rel=1e-12)


def test_the_order_of_the_images_changes_no_digit_of_it():
    images = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    assert measure(images) == measure(images[::-1])


def test_blank_images_are_refused():
    with pytest.raises(UserError, match="every pixel is 7"):
        measure(np.full((4, 8, 8), 7, np.uint8))
