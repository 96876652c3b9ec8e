"""Small shifts and rotations, measured by where the ink's centre goes; turns; what is learned of images without
classes."""

import math

import numpy as np
import pytest
import torch
from committed import PARAMS
from torch.nn.functional import affine_grid, grid_sample

from genbalance.data.prepared import Prepared, Split
from genbalance.models.classifier import turns
from genbalance.params import read_params
from genbalance.runtime.device import generator
from genbalance.training.classifier import flip_half, shift_and_rotate, train, turn

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


def test_images_are_turned_and_moved_as_by_torchs_own_grid():
    """Of the same draws, with a matrix an image."""
    images = torch.rand(7, 2, 20, 31, generator=torch.Generator().manual_seed(4))
    draws = torch.rand(7, 3, generator=noise()) * 2 - 1
    angle = draws[:, 0] * math.radians(40)
    matrices = torch.zeros(7, 2, 3)
    matrices[:, 0, 0] = matrices[:, 1, 1] = angle.cos()
    matrices[:, 0, 1], matrices[:, 1, 0] = -angle.sin() * 20 / 31, angle.sin() * 31 / 20
    matrices[:, :, 2] = draws[:, 1:] * torch.tensor([2 * 3 / 31, 2 * 3 / 20])
    grid = affine_grid(matrices, [7, 2, 20, 31], align_corners=False)
    expected = grid_sample(images, grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(shift_and_rotate(images, 3.0, 40.0, noise()), expected, rtol=0, atol=1e-5)


def test_what_comes_in_from_outside_repeats_the_border():
    images = torch.full((20, 1, SIZE, SIZE), -0.42)  # standardized black is not 0
    torch.testing.assert_close(shift_and_rotate(images, 8.0, 45.0, noise()), images)


def test_no_pixel_leaves_the_images_range():
    images = torch.rand(50, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    moved = shift_and_rotate(images, 2.0, 10.0, noise())
    assert moved.shape == images.shape
    assert moved.min() >= images.min() - 1e-6
    assert moved.max() <= images.max() + 1e-6


def test_a_shift_of_a_rectangle_is_in_pixels_along_both_axes():
    x_draw, y_draw = (torch.rand(1, 3, generator=noise())[0, 1:] * 2 - 1).tolist()
    image = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(2)).repeat_interleave(4, 3)
    for axis, draw in ((2, y_draw), (3, x_draw)):
        stripes = image.mean(dim=5 - axis, keepdim=True).expand_as(image)  # the other axis shows nothing
        moved = shift_and_rotate(stripes, 2 / abs(draw), 0.0, noise())
        expected = stripes.roll(-2 if draw > 0 else 2, dims=axis)
        inside = (..., slice(3, -3), slice(3, -3))
        torch.testing.assert_close(moved[inside], expected[inside], rtol=0, atol=1e-3)


def test_a_rectangle_is_rotated_without_shear():
    at_x, at_y = torch.arange(40.0) - 19.5, torch.arange(20.0) - 9.5
    blot = torch.exp(-(at_y[:, None] ** 2 + (at_x[None] - 7) ** 2) / 6).expand(200, 1, 20, 40)
    turned_by = shift_and_rotate(blot, 0.0, 30.0, noise())[:, 0]
    mass = turned_by / turned_by.sum(dim=(1, 2), keepdim=True)
    middle = torch.stack([(mass.sum(dim=1) * at_x).sum(dim=1), (mass.sum(dim=2) * at_y).sum(dim=1)], dim=1)
    torch.testing.assert_close(middle.norm(dim=1), torch.full((200,), 7.0), rtol=0, atol=0.05)


@pytest.mark.parametrize("sides", [(6, 6), (6, 9)])
def test_each_turn_is_as_likely_and_named_by_its_place(sides):
    degrees = turns([3, *sides])
    assert degrees == ((0, 90, 180, 270) if sides[0] == sides[1] else (0, 180))
    image = torch.rand(1, 3, *sides, generator=torch.Generator().manual_seed(1))
    found, places = turn(image.expand(4000, -1, -1, -1), degrees, noise())
    for place, by in enumerate(degrees):
        assert (places == place).double().mean() == pytest.approx(1 / len(degrees), abs=0.03)
        expected = image.rot90(by // 90, (2, 3))
        assert torch.equal(found[places == place], expected.expand((places == place).sum(), -1, -1, -1))


def test_half_of_the_images_are_mirrored_left_to_right():
    image = torch.rand(1, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    found = flip_half(image.expand(2000, -1, -1, -1), noise())
    mirrored = (found == image.flip(3)).flatten(1).all(dim=1)
    assert torch.equal(found[~mirrored], image.expand((~mirrored).sum(), -1, -1, -1))
    assert mirrored.double().mean() == pytest.approx(0.5, abs=0.05)


class Run:
    key, run_id = "", "run"

    def log(self, values, step=None):
        pass

    def flush(self):
        pass


def sky(n, seed, classes, channels=3, side=8):
    """Images that are bright above and dark below, in classes by the colour of a pixel column."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 60, (n, side, side, channels))
    images[:, : side // 2] += 150
    labels = np.arange(n) % max(1, classes)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label, label % channels] = 255 - image[:, 2 * label, label % channels]
    images = images if channels == 3 else images[..., 0]
    return Split(images.astype(np.uint8), labels)


def trained(classes, tmp_path, monkeypatch, names=(), side=8, channels=3, **config):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    splits = (sky(n, seed, classes, channels, side) for seed, n in enumerate((120, 24, 40)))
    digits = Prepared(*splits, "made", "Skies", classes, 0.4, 0.3, names)
    given = {"epochs": 6, "batch_size": 24, "width": 4, "shift": 1.0, "flip": True} | config
    params = read_params(PARAMS)
    compute = params.compute.model_copy(update={"device": "cpu"})
    update = {"classifier": params.classifier.model_copy(update=given), "compute": compute}
    return train(params.model_copy(update=update), digits, torch.device("cpu"), Run())


@pytest.mark.parametrize("classes", [0, 1])
def test_without_two_classes_it_learns_to_recognise_rotations(classes, tmp_path, monkeypatch):
    found = trained(classes, tmp_path, monkeypatch)
    assert found.arguments == {"shape": [3, 8, 8], "classes": 4, "width": 4, "rotations": True}
    assert found.metrics["test_accuracy"] > 0.9 > 0.25
    assert "per_class_accuracy" not in found.metrics
    confusion = found.tables["confusion"]
    assert confusion["actual"].tolist() == [by for by in (0, 90, 180, 270) for _ in range(40)]
    assert (confusion["actual"] == confusion["predicted"]).mean() == pytest.approx(found.metrics["test_accuracy"])


def test_classes_are_called_by_their_names(tmp_path, monkeypatch):
    found = trained(3, tmp_path, monkeypatch, ("red", "green", "blue"))
    assert found.arguments == {"shape": [3, 8, 8], "classes": 3, "width": 4}
    assert [*found.metrics["per_class_accuracy"]] == ["red", "green", "blue"]
    assert set(found.tables["confusion"]["actual"]) == {0, 1, 2}
