"""Small shifts and rotations, measured by where the ink's centre goes."""

import math

import pytest
import torch

from genbalance.runtime.device import generator
from genbalance.training.classifier import shift_and_rotate

SIZE = 24
MIDDLE = (SIZE - 1) / 2


def noise(seed=0):
    return generator(seed, "augmentation")


def blobs(n, x=MIDDLE, y=MIDDLE, width=1.5):
    at = torch.arange(SIZE).double()
    image = torch.exp(-((at[:, None] - y) ** 2 + (at[None] - x) ** 2) / (2 * width**2))
    return image.expand(n, 1, SIZE, SIZE).float()


def centres(images):
    at = torch.arange(SIZE).float() - MIDDLE
    mass = images[:, 0] / images[:, 0].sum(dim=(1, 2), keepdim=True)
    return torch.stack([(mass.sum(dim=1) * at).sum(dim=1), (mass.sum(dim=2) * at).sum(dim=1)], dim=1)


def test_no_shift_and_no_rotation_is_the_identity():
    images = torch.rand(5, 1, 17, 17, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(shift_and_rotate(images, 0.0, 0.0, noise()), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_whole_pixel_shift_moves_the_content_by_that_much(axis):
    """Stripes along the other axis: the shift is chosen such that the generator's draw makes two pixels of it."""
    x_draw, y_draw = (torch.rand(1, 3, generator=noise())[0, 1:] * 2 - 1).tolist()
    stripes = torch.rand(SIZE, generator=torch.Generator().manual_seed(2))
    image = (stripes[:, None] if axis == 2 else stripes[None]).expand(1, 1, SIZE, SIZE)
    draw = y_draw if axis == 2 else x_draw
    moved = shift_and_rotate(image, 2 / abs(draw), 0.0, noise())
    expected = image.roll(-2 if draw > 0 else 2, dims=axis)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(moved[inside], expected[inside], rtol=0, atol=1e-4)


def test_shifts_fill_the_allowed_square_evenly_and_stay_inside():
    moved = centres(shift_and_rotate(blobs(2000), 3.0, 0.0, noise()))
    assert moved.abs().max() < 3.02
    assert (moved.abs().max(dim=0).values > 2.95).all()
    assert (moved.mean(dim=0).abs() < 5 * 3 / math.sqrt(3 * 2000)).all()
    assert moved.std(dim=0) == pytest.approx([3 / math.sqrt(3)] * 2, rel=0.06)
    assert abs(torch.corrcoef(moved.T)[0, 1]) < 0.1


def test_rotations_fill_the_allowed_angles_and_keep_the_distance_from_the_middle():
    turned = centres(shift_and_rotate(blobs(2000, x=MIDDLE + 6), 0.0, 30.0, noise()))
    angles = torch.rad2deg(torch.atan2(turned[:, 1], turned[:, 0]))
    assert angles.abs().max() < 30.5
    assert angles.max() > 29
    assert angles.min() < -29
    torch.testing.assert_close(turned.norm(dim=1), torch.full((2000,), 6.0), rtol=0, atol=0.05)


def test_each_image_goes_its_own_way():
    moved = centres(shift_and_rotate(blobs(50), 3.0, 0.0, noise()))
    assert len(moved.round(decimals=3).unique(dim=0)) == 50


def test_the_noise_decides():
    one, same, other = (shift_and_rotate(blobs(4), 3.0, 10.0, noise(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_what_comes_in_from_outside_repeats_the_border():
    images = torch.full((20, 1, SIZE, SIZE), -0.42)  # standardized black is not 0
    torch.testing.assert_close(shift_and_rotate(images, 8.0, 45.0, noise()), images)


def test_no_pixel_leaves_the_images_range():
    images = torch.rand(50, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    moved = shift_and_rotate(images, 2.0, 10.0, noise())
    assert moved.shape == images.shape
    assert moved.min() >= images.min() - 1e-6
    assert moved.max() <= images.max() + 1e-6
