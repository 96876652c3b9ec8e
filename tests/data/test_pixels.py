"""Pixels: the maps to the networks' ranges, mean and standard deviation."""

import tracemalloc

import numpy as np
import pytest
import torch

from genbalance.data import arrays
from genbalance.data.pixels import SIGNED, UNIT, measure, standardized
from genbalance.runtime.errors import UserError

LEVELS = np.arange(256, dtype=np.uint8)
RANGES = {
    "unit": UNIT,
    "signed": SIGNED,
    "standardized": standardized(0.1307, 0.3081),
    "narrow": standardized(0.9, 0.01),
}


@pytest.fixture(params=[LEVELS, torch.from_numpy(LEVELS)], ids=["numpy", "torch"])
def levels(request):
    return request.param


@pytest.mark.parametrize("pixels", RANGES.values(), ids=RANGES)
def test_there_and_back_is_the_identity_on_all_256_values(pixels, levels):
    back = pixels.to_uint8(pixels.encode(levels))
    assert type(back) is type(levels)
    assert back.dtype == levels.dtype
    np.testing.assert_array_equal(back, LEVELS)
    np.testing.assert_allclose(pixels.decode(pixels.encode(levels)), LEVELS / 255, atol=1e-6)


@pytest.mark.parametrize("pixels", RANGES.values(), ids=RANGES)
def test_the_networks_get_float32_of_the_same_bytes_from_both_libraries(pixels):
    of_numpy, of_torch = pixels.encode(LEVELS), pixels.encode(torch.from_numpy(LEVELS))
    assert of_numpy.dtype == np.float32
    assert of_torch.dtype == torch.float32
    np.testing.assert_array_equal(of_numpy, of_torch.numpy())


def test_the_ends_of_the_ranges_are_exact(levels):
    assert [float(UNIT.encode(levels)[i]) for i in (0, -1)] == [0, 1]
    assert [float(SIGNED.encode(levels)[i]) for i in (0, -1)] == [-1, 1]


def test_what_lies_beyond_is_clipped(levels):
    beyond = SIGNED.encode(levels) * 3
    assert float(SIGNED.decode(beyond).min()) == 0
    assert float(SIGNED.decode(beyond).max()) == 1
    assert [int(SIGNED.to_uint8(beyond)[i]) for i in (0, -1)] == [0, 255]


def test_a_pixel_is_rounded_to_the_nearest_value():
    np.testing.assert_array_equal(UNIT.to_uint8(np.array([0.49, 0.51, 254.4]) / 255), [0, 1, 254])


def test_standardized_pixels_have_mean_zero_and_deviation_one():
    images = np.random.default_rng(0).integers(0, 200, (50, 8, 8), dtype=np.uint8)
    x = standardized((images / 255).mean(), (images / 255).std()).encode(images).astype(np.float64)
    assert x.mean() == pytest.approx(0, abs=1e-6)
    assert x.std() == pytest.approx(1, abs=1e-6)


def test_it_is_the_mean_and_deviation_of_all_pixels():
    images = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    mean, std = measure(images)
    assert mean == pytest.approx((images / 255).mean(), rel=1e-12)
    assert std == pytest.approx((images / 255).std(), rel=1e-12)


def test_the_order_of_the_images_changes_no_digit_of_it():
    images = np.random.default_rng(0).integers(0, 256, (40, 9, 9), dtype=np.uint8)
    assert measure(images) == measure(images[::-1])


def test_memory_is_bounded_by_bytes(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (900, 64, 64), dtype=np.uint8)
    whole = measure(images)
    monkeypatch.setattr(arrays, "BLOCK", 2**16)
    tracemalloc.start()
    try:
        assert measure(images) == whole
        assert tracemalloc.get_traced_memory()[1] < images.nbytes / 2
    finally:
        tracemalloc.stop()


def test_blank_images_are_refused():
    with pytest.raises(UserError, match="every pixel is 7"):
        measure(np.full((4, 8, 8), 7, np.uint8))
