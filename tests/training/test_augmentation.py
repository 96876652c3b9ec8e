"""What D sees: each policy changes real and generated images alike, and gradients pass through."""

from typing import get_args

import pytest
import torch

from genbalance.params import GanConfig
from genbalance.training.augmentation import POLICIES, augmented, cut_out, recolour, translate

CHANGES = sorted(set(POLICIES) - {"none"})
SHAPES = [(1, 28, 28), (3, 16, 24)]


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, seed=1):
    return torch.rand(*shape, generator=stream(seed), dtype=torch.float64) * 2 - 1


def test_params_allow_the_policies_that_there_are():
    assert set(get_args(GanConfig.model_fields["augment"].annotation)) == set(POLICIES)


def test_none_is_the_same_tensor_and_draws_nothing():
    chance, given = stream(), images(4, 1, 8, 8)
    before = chance.get_state()
    assert augmented(given, "none", chance) is given
    assert torch.equal(chance.get_state(), before)


@pytest.mark.parametrize("policy", CHANGES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_stream_alone_decides_and_what_is_given_stays(policy, shape):
    given = images(6, *shape)
    kept = given.clone()
    first, again, other = (augmented(given, policy, stream(seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == given.shape
    assert torch.equal(given, kept)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shift_moves_all_pixels_together_and_loses_none_that_stay_in_the_picture(shape):
    _, height, width = shape
    down, right = round(height / 8), round(width / 8)
    given = torch.full((200, *shape), -1.0)
    inner = given[:, :, down:-down, right:-right]
    inner.copy_(torch.rand(inner.shape, generator=stream(2)))
    moved, seen = translate(given, stream(3)), set()
    assert torch.equal(moved.flatten(2).sort().values, given.flatten(2).sort().values)
    for before, after in zip(given, moved, strict=True):
        y, x = ((after[0] > -1).any(dim).nonzero()[0].item() for dim in (1, 0))
        seen.add((y - down, x - right))
        assert torch.equal(after, before.roll((y - down, x - right), (1, 2)))
    assert {y for y, _ in seen} == set(range(-down, down + 1))
    assert {x for _, x in seen} == set(range(-right, right + 1))


def test_what_a_shift_uncovers_is_black():
    moved = translate(torch.full((50, 1, 16, 16), 0.7), stream())
    assert moved.unique().tolist() == pytest.approx([-1, 0.7])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cut_is_one_rectangle_of_half_the_sides_or_of_what_lies_inside(shape):
    _, height, width = shape
    cut = (cut_out(torch.ones(300, *shape), stream()) == 0).float()
    assert torch.equal(cut, cut[:, :1].expand_as(cut))  # the same in all colours
    rows, columns = cut[:, 0].amax(dim=2), cut[:, 0].amax(dim=1)
    assert torch.equal(cut[:, 0], rows[:, :, None] * columns[:, None])
    for edges, side in ((rows, height), (columns, width)):
        lengths = edges.sum(dim=1)
        assert lengths.max() == side // 2
        assert side // 4 <= lengths.min() < side // 2
        assert (edges.diff(dim=1, prepend=torch.zeros(300, 1)) > 0).sum(dim=1).le(1).all()
        assert edges.amax(dim=0).min() == 1  # no pixel is always seen


def test_colours_keep_what_their_changes_leave():
    """Brightness moves all pixels alike and the others are about a mean: the mean image stays within ±½, differences
    of pixels are scaled by one factor in grey, and a grey colour image stays grey."""
    given = images(400, 1, 6, 6)
    found = recolour(given, stream())
    shift = (found - given).mean(dim=(1, 2, 3))
    assert -0.5 <= shift.min() < -0.45
    assert 0.45 < shift.max() <= 0.5
    factor = found.std(dim=(1, 2, 3)) / given.std(dim=(1, 2, 3))
    assert 0.5 <= factor.min() < 0.55
    assert 1.45 < factor.max() <= 1.5
    middle = found.mean(dim=(1, 2, 3), keepdim=True)
    about = factor[:, None, None, None] * (given - given.mean(dim=(1, 2, 3), keepdim=True))
    torch.testing.assert_close(found - middle, about)
    grey = recolour(given.expand(-1, 3, -1, -1), stream())
    torch.testing.assert_close(grey, found.expand(-1, 3, -1, -1))
    coloured = images(400, 3, 6, 6)
    spread = (recolour(coloured, stream()).std(dim=1) / coloured.std(dim=1)).mean(dim=(1, 2))
    assert spread.min() < 0.1
    assert spread.max() > 2


@pytest.mark.parametrize("policy", CHANGES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 4)])
def test_gradients_are_those_of_finite_differences(policy, shape):
    given = images(2, *shape).requires_grad_()
    weights = images(2, *shape, seed=9)

    def of(pixels):
        return (augmented(pixels, policy, stream(4)) * weights).square().sum()

    torch.autograd.gradcheck(of, given)
    torch.autograd.gradgradcheck(of, given)  # for penalties and for steps ahead


@pytest.mark.parametrize("policy", CHANGES)
def test_real_and_generated_images_are_changed_with_the_same_distribution(policy):
    """Whatever is asked, in whichever order: the mean of many changes of one image is the same, of either."""
    image, chance = images(1, 1, 8, 8).expand(20_000, -1, -1, -1), stream()
    real, generated = (augmented(image, policy, chance) for _ in range(2))
    assert not torch.equal(real, generated)
    error = (real.var(dim=0) / 10_000).sqrt()
    assert ((real - generated).mean(dim=0).abs() <= 5 * error).all()
    torch.testing.assert_close(real.var(dim=0), generated.var(dim=0), rtol=0.1, atol=0.02)


@pytest.mark.parametrize("policy", POLICIES)
def test_bf16_images_are_changed_too(policy):
    found = augmented(images(3, 1, 8, 8).bfloat16(), policy, stream())
    assert found.isfinite().all()
