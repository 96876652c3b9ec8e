"""A generator's nearest answer to a given image."""

import pytest
import torch
from torch import nn

from genbalance.evaluation import inversion
from genbalance.evaluation.inversion import invert, nearest_rows, reconstruct
from genbalance.runtime.device import initialised

CPU = torch.device("cpu")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Linear:
    """Images W·z + b: the least squares are known."""

    def __init__(self):
        self.w, self.b = normal(6, 3, seed=1), normal(6, seed=2)

    def __call__(self, latents):
        return (latents @ self.w.T + self.b).view(-1, 1, 2, 3)

    def solve(self, images):
        return torch.linalg.lstsq(self.w, (images.flatten(1) - self.b).T).solution.T


@pytest.fixture
def network():
    """A generator that is not linear."""

    def build():
        layers = nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8))
        for layer in layers[:3:2]:
            nn.init.normal_(layer.weight, std=2 * layer.in_features**-0.5)
        return nn.Sequential(*layers)

    return initialised(build, 0, "net", CPU).eval()


def errors(generator, latents, targets):
    with torch.no_grad():
        return (generator(latents) - targets).square().flatten(1).mean(dim=1)


def test_a_linear_generator_is_inverted_to_the_least_squares():
    linear, targets = Linear(), normal(20, 1, 2, 3, seed=3)
    found = invert(linear, targets, normal(20, 3, seed=4), 500)
    torch.testing.assert_close(found, linear.solve(targets), rtol=1e-3, atol=1e-3)
    least = errors(linear, linear.solve(targets), targets)
    assert least.min() > 0.01  # no image can be drawn exactly
    torch.testing.assert_close(errors(linear, found, targets), least, rtol=1e-5, atol=1e-6)


def test_the_best_start_is_left_where_it_is():
    linear, targets = Linear(), normal(5, 1, 2, 3, seed=3)
    best = linear.solve(targets)
    torch.testing.assert_close(invert(linear, targets, best, 100), best, rtol=1e-3, atol=1e-3)


def test_images_that_the_generator_can_draw_are_found(network):
    with torch.no_grad():
        targets, drawn = network(normal(30, 4, seed=1)), network(normal(200, 4, seed=2))
    start = normal(200, 4, seed=2)[nearest_rows(targets, drawn)]
    before = errors(network, start, targets)
    after = errors(network, invert(network, targets, start, 400), targets)
    assert before.min() > 1e-4
    assert after.max() < 1e-7  # a step that did not shrink would now and then jump out of where it has been


def test_more_steps_come_nearer(network):
    with torch.no_grad():
        targets = network(normal(30, 4, seed=1))
    start = normal(30, 4, seed=2)
    mean_errors = [errors(network, invert(network, targets, start, steps), targets).mean() for steps in (1, 10, 100)]
    assert errors(network, start, targets).mean() > mean_errors[0] > mean_errors[1] > mean_errors[2]


def test_what_stands_beside_an_image_does_not_change_its_result(network):
    targets, start = normal(6, 1, 8, 8, seed=3).tanh(), normal(6, 4, seed=4)
    together = invert(network, targets, start, 20)
    for i in range(6):
        alone = invert(network, targets[i : i + 1], start[i : i + 1], 20)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-3, atol=1e-4)


def test_more_images_than_a_block_holds_are_all_inverted_in_order(network, monkeypatch):
    targets, start = normal(7, 1, 8, 8, seed=3).tanh(), normal(7, 4, seed=4)
    whole = invert(network, targets, start, 20)
    monkeypatch.setattr(inversion, "BLOCK", 3)
    torch.testing.assert_close(invert(network, targets, start, 20), whole, rtol=1e-3, atol=1e-4)


def test_neither_the_start_nor_the_generator_is_changed(network):
    start = normal(3, 4, seed=4)
    before = start.clone()
    found = invert(network, normal(3, 1, 8, 8), start, 5)
    assert torch.equal(start, before)
    assert not found.requires_grad
    assert (found != start).all()
    assert all(p.grad is None for p in network.parameters())


def test_it_gives_the_same_bytes_each_time(network):
    one, two = (invert(network, normal(3, 1, 8, 8), normal(3, 4, seed=4), 10) for _ in range(2))
    assert torch.equal(one, two)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_blank_targets_and_a_generator_that_ignores_its_latents_give_finite_latents(network, value):
    blank, start = torch.full((3, 1, 8, 8), value), normal(3, 4)
    assert invert(network, blank, start, 10).isfinite().all()
    constant = invert(lambda z: 0 * z.sum(dim=1).view(-1, 1, 1, 1) + blank * 0.5, blank, start, 10)
    torch.testing.assert_close(constant, start)


def test_the_search_starts_from_the_latents_of_the_nearest_drawn_image():
    drawn = normal(50, 1, 3, 3, seed=1)
    picked = torch.tensor([7, 0, 49, 7])
    near = drawn[picked] + 0.01 * normal(4, 1, 3, 3, seed=3)
    assert torch.equal(nearest_rows(near, drawn), torch.as_tensor(picked))


def test_the_nearest_is_nearest_in_squared_error():
    targets, drawn = normal(20, 1, 3, 3, seed=1), normal(30, 1, 3, 3, seed=2)
    expected = (targets[:, None] - drawn[None]).square().flatten(2).sum(dim=2).argmin(dim=1)
    assert torch.equal(nearest_rows(targets, drawn), torch.as_tensor(expected))


def test_what_was_drawn_in_inference_mode_can_be_started_from(network):
    with torch.inference_mode():
        latents = normal(20, 4, seed=2)
        drawn = network(latents)
    start = latents[nearest_rows(normal(3, 1, 8, 8), drawn)]
    assert invert(network, normal(3, 1, 8, 8), start, 2).isfinite().all()


def test_a_reconstruction_is_what_the_generator_draws_at_the_end_of_the_search(network):
    with torch.no_grad():
        z = normal(50, 4, seed=2)
        drawn = network(z)
    targets = normal(3, 1, 8, 8, seed=3).tanh()
    found = invert(network, targets, z[nearest_rows(targets, drawn)], 20)
    with torch.no_grad():
        expected = network(found)
    torch.testing.assert_close(reconstruct(network, targets, drawn, z, None, 20), expected)


def test_a_reconstruction_keeps_the_condition_of_its_nearest_sample():
    seen = []

    def generator(z, conditions):
        seen.append(conditions)
        return (z + conditions[:, None]).view(-1, 1, 1, 2)

    z, conditions = normal(6, 2), torch.arange(6) * 10
    drawn = generator(z, conditions)
    picked = torch.tensor([4, 0, 5])
    reconstruct(generator, drawn[picked], drawn, z, conditions, 2)
    assert all(torch.equal(kept, conditions[picked]) for kept in seen[1:])
