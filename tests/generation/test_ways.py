"""Ways through a latent space."""

import math

import pytest
import torch

from genbalance.generation.ways import interpolation, slerp, traversal, traversals

SHARES = torch.linspace(0, 1, 9)


def ends(latents=40, seed=0):
    return torch.randn(2, latents, generator=torch.Generator().manual_seed(seed))


def test_a_way_starts_and_ends_at_its_ends():
    first, second = ends()
    way = slerp(first, second, SHARES)
    assert way.dtype == torch.float32
    torch.testing.assert_close(way[0], first)
    torch.testing.assert_close(way[-1], second)


def test_on_a_sphere_it_stays_there_and_goes_at_a_steady_pace():
    first, second = torch.nn.functional.normalize(ends(), dim=1)
    way = slerp(first, second, SHARES)
    torch.testing.assert_close(way.norm(dim=1), torch.ones(9))
    turns = (way[:-1] * way[1:]).sum(dim=1).arccos()
    torch.testing.assert_close(turns, torch.full((8,), math.acos(float(first @ second)) / 8), atol=1e-4, rtol=0)


def test_the_middle_of_normal_noise_keeps_its_length_which_that_of_a_line_does_not():
    first, second = ends(latents=1000)
    half = torch.tensor([0.5])
    assert float(slerp(first, second, half).norm()) == pytest.approx(math.sqrt(1000), rel=0.05)
    assert float(torch.lerp(first, second, half).norm()) == pytest.approx(math.sqrt(500), rel=0.05)


def test_the_way_back_is_the_way_there():
    first, second = ends()
    torch.testing.assert_close(slerp(second, first, SHARES), slerp(first, second, SHARES).flip(0))


@pytest.mark.parametrize("factor", [1.0, -1.0, 3.0])
def test_where_there_is_no_one_great_circle_the_line_is_taken(factor):
    first, _ = ends()
    way = slerp(first, factor * first, SHARES)
    torch.testing.assert_close(way, torch.lerp(first, factor * first, SHARES[:, None]), atol=1e-5, rtol=1e-5)


def test_an_end_in_the_middle_of_everything_is_reached_too():
    first, _ = ends()
    way = slerp(first, torch.zeros(40), SHARES)
    assert way.isfinite().all()
    torch.testing.assert_close(way[-1], torch.zeros(40), atol=1e-6, rtol=0)


def test_a_traversal_changes_one_latent_alone():
    start, _ = ends(latents=5)
    values = torch.linspace(-3, 3, 4)
    way = traversal(start, 2, values)
    assert torch.equal(way[:, 2], values)
    assert torch.equal(way[:, [0, 1, 3, 4]], start[[0, 1, 3, 4]].expand(4, 4))


class Paper:
    """A model that paints its first two latents as levels of grey, and what it is told as a third one."""

    classes, latents = 3, 5

    def images(self, z, told):
        third = torch.zeros(len(z)) if told is None else told.float()
        levels = torch.stack([100 + 20 * z[:, 0], 100 + 5 * z[:, 1], third], dim=1)
        return levels.round().to(torch.uint8).numpy()[:, :, None].repeat(2, axis=2)

    def between(self, z, ends, shares):
        return self.images(z, None if ends is None else torch.lerp(ends[0].float(), ends[1].float(), shares))


@pytest.mark.parametrize("told", [None, torch.tensor([10, 90])])
def test_an_interpolation_begins_and_ends_with_the_images_of_its_ends(told):
    pair = ends(latents=5)
    way = interpolation(Paper(), pair, told, 9)
    assert way.shape == (9, 3, 2)
    assert (way[[0, -1]] == Paper().images(pair, told)).all()
    if told is not None:
        assert way[:, 2, 0].tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]


@pytest.mark.parametrize("told", [None, torch.tensor([7])])
def test_the_latents_that_change_the_picture_most_come_first(told):
    start, values = torch.zeros(5), torch.tensor([-3.0, 0.0, 3.0])
    ways = traversals(Paper(), start, told, values, [4, 1, 0])
    assert [*ways] == [0, 1, 4]
    assert ways[0][:, 0, 0].tolist() == [40, 100, 160]
    assert ways[1][:, 1, 0].tolist() == [85, 100, 115]
    assert (ways[4] == ways[4][0]).all()
    assert (ways[0][:, 2] == (0 if told is None else 7)).all()
