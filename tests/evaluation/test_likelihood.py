"""The importance-weighted bound, against models whose log p(x) is known; and the progress that it prints."""

import io
import itertools
import math
import sys

import numpy as np
import pytest
import torch
from terminals import Terminal, screen
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from genbalance.evaluation import likelihood
from genbalance.evaluation.likelihood import importance_weighted_bound
from genbalance.losses.vae import Terms, distortion, log_ratio
from genbalance.models.vae import Vae
from genbalance.models.vae.posteriors import IndependentNormal
from genbalance.runtime.device import generator, initialised

CPU = torch.device("cpu")


def noise(seed=0):
    return generator(seed, "noise")


LIKELIHOODS = ["bernoulli", "gaussian", "gaussian_shared", "logistic_mixture"]


def pixels(n=6, size=2, channels=1):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1)).double()


def vae(likelihood, channels=1):
    return initialised(lambda: Vae("mlp", likelihood, [channels, 8, 8], 3, 32, -6.0), 0, "vae", CPU).eval()


class Standard:
    """p(z) = N(0, I)."""

    outputs, latents = 4, 2

    def log_prior(self, latents):
        return Normal(0, 1).log_prob(latents).sum(dim=-1)


class LinearGaussian(Standard):
    """x = W·z + b + σ·ε with orthogonal columns of W, for which p(z|x) is a diagonal normal; q(z|x) is off by
    ``error``."""

    def __init__(self, error=0.0):
        draws = torch.randn(4, 2, generator=torch.Generator().manual_seed(2)).double()
        self.w = torch.linalg.qr(draws).Q * torch.tensor([0.8, 0.3]).double()
        self.b, self.sigma, self.error = torch.full((4,), 0.5).double(), 0.2, error

    def encode(self, images, labels=None):
        variance = 1 / (1 + self.w.square().sum(dim=0) / self.sigma**2)
        mean = (images.flatten(1) - self.b) @ self.w / self.sigma**2 * variance
        return IndependentNormal(mean + self.error, variance.sqrt().expand_as(mean))

    def decode(self, latents, labels=None):
        return Normal((latents @ self.w.T + self.b).view(-1, 1, 2, 2), self.sigma)

    def log_evidence(self, images):
        covariance = self.w @ self.w.T + self.sigma**2 * torch.eye(4).double()
        return MultivariateNormal(self.b, covariance).log_prob(images.flatten(1)).numpy()


@pytest.mark.parametrize("rows", [4, 10, 500])
@pytest.mark.parametrize("draws", [1, 2, 5, 50, 1001])
def test_at_the_exact_posterior_the_bound_is_minus_log_p_whatever_is_drawn(draws, rows, monkeypatch):
    """Also for more draws than fit a block, and for several images a block: each meets its own draws."""
    monkeypatch.setattr(likelihood, "ROWS", rows)
    model, images = LinearGaussian(), pixels(7)
    bound = importance_weighted_bound(model, images, draws, noise())
    assert bound.dtype == np.float64
    assert bound == pytest.approx(-model.log_evidence(images), abs=1e-5)


def test_at_any_other_posterior_the_bound_lies_above_and_falls_with_the_draws():
    model, images = LinearGaussian(error=0.3), pixels(4)
    repeated = images.repeat_interleave(300, dim=0)
    exact = -model.log_evidence(images).mean()
    excess = [importance_weighted_bound(model, repeated, k, noise()).mean() - exact for k in (1, 5, 50)]
    kl = torch.distributions.kl_divergence(model.encode(images), LinearGaussian().encode(images)).sum(dim=1).mean()
    assert excess[0] == pytest.approx(kl.item(), rel=0.1)
    assert excess[0] > 1.5 * excess[1] > 3 * excess[2]
    assert excess[2] > 0
    many = importance_weighted_bound(model, images, 20_000, noise()).mean() - exact
    assert abs(many) < 0.05 * excess[0]


def one_by_one(model, images, epsilon):
    """The bound from ``epsilon`` [k, n, latents], an image and a draw at a time, each density spelt out."""
    bounds = []
    for i, image in enumerate(images):
        posterior = model.encode(image[None])
        terms = []
        for e in epsilon[:, i]:
            z = posterior.mean + posterior.stddev * e
            log_p = model.decode(z).log_prob(image[None]).sum() + Normal(0, 1).log_prob(z).sum()
            terms.append(float(log_p - posterior.log_prob(z).sum()))
        largest = max(terms)
        bounds.append(-largest - math.log(sum(math.exp(term - largest) for term in terms) / len(terms)))
    return bounds


def drawn(draws, images, latents, rows):
    """The noise in the order in which it is taken: by blocks of images, and in them by chunks of draws."""
    stream, at_once, columns = noise(), max(1, rows // draws), []
    for first in range(0, images, at_once):
        count = min(at_once, images - first)
        sizes = [min(rows, draws - start) for start in range(0, draws, rows)]
        columns.append(torch.cat([torch.randn(size, count, latents, generator=stream) for size in sizes]))
    return torch.cat(columns, dim=1)


@pytest.mark.parametrize(("draws", "rows"), [(1, 500), (8, 500), (8, 20), (8, 5)])
def test_it_is_what_one_image_and_one_draw_at_a_time_make_of_the_same_noise(draws, rows, monkeypatch):
    monkeypatch.setattr(likelihood, "ROWS", rows)
    model, images = LinearGaussian(error=0.2), pixels(5)
    expected = one_by_one(model, images, drawn(draws, 5, 2, rows))
    assert importance_weighted_bound(model, images, draws, noise()) == pytest.approx(expected, abs=1e-6)


def test_one_draw_gives_the_negative_elbo_of_that_draw():
    """Distortion and a one-draw estimate of the rate."""
    model, images = LinearGaussian(error=0.2), pixels(5)
    posterior = model.encode(images)
    z = posterior.mean + posterior.stddev * torch.randn(1, 5, 2, generator=noise())[0]
    distortion = -model.decode(z).log_prob(images).flatten(1).sum(dim=1)
    rate = (posterior.log_prob(z) - Normal(0, 1).log_prob(z)).sum(dim=1)
    expected = pytest.approx((distortion + rate).numpy(), abs=1e-6)
    assert importance_weighted_bound(model, images, 1, noise()) == expected


class Ink(Standard):
    """A Bernoulli decoder of two latents on 2 × 2 pixels; its encoder knows little."""

    def encode(self, images, labels=None):
        mean = (images.flatten(1) - 0.5) @ torch.tensor([[1.0, 0], [0, 1], [1, 1], [-1, 1]]).double() * 0.3
        return IndependentNormal(mean, torch.full_like(mean, 0.9))

    def decode(self, latents, labels=None):
        logits = latents @ torch.tensor([[2.0, 0, 1, -1], [0, 3, 1, 1]]).double() - 0.5
        return Bernoulli(logits=logits.view(-1, 1, 2, 2), validate_args=False)


def all_binary():
    """The sixteen images of four binary pixels."""
    return torch.tensor([[(i >> k) & 1 for k in range(4)] for i in range(16)]).double().view(16, 1, 2, 2)


def test_a_bernoulli_decoders_bound_is_the_sum_over_a_grid_of_latents():
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    weights = Normal(0, 1).log_prob(grid).sum(dim=1) + 2 * math.log(axis[1] - axis[0])
    model, images = Ink(), all_binary()
    per_image = [(model.decode(grid).log_prob(image).flatten(1).sum(dim=1) + weights) for image in images]
    exact = torch.stack([-terms.logsumexp(dim=0) for terms in per_image]).numpy()
    assert np.exp(-exact).sum() == pytest.approx(1, rel=1e-6)  # the sixteen are all there are
    bounds = np.array([importance_weighted_bound(model, images, 2000, noise(seed)) for seed in range(8)])
    error = bounds.std(axis=0, ddof=1).mean() / math.sqrt(8)
    assert error < 0.02
    assert (np.abs(bounds.mean(axis=0) - exact) < 6 * error).all()


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_the_size_of_a_block_changes_nothing_but_the_draws(kind, monkeypatch):
    model = vae(kind)
    with torch.no_grad():
        bias = model.decoder[1].bias
        if kind == "logistic_mixture":  # of a pixel five components' weights, then their means, then their scales
            bias[5 * 64 : 10 * 64], bias[10 * 64 :] = torch.linspace(-1, 1, 64).repeat(5), 2
        else:
            bias.copy_(torch.linspace(-3, 3, len(bias)))
    half = (torch.arange(64).view(1, 1, 8, 8) < 32).float()
    images = torch.cat([half, 1 - half, torch.zeros_like(half), pixels(1, 8).float().round()])
    bounds = {}
    for rows in (30, 500, 5000):
        monkeypatch.setattr(likelihood, "ROWS", rows)
        bounds[rows] = importance_weighted_bound(model, images, 1000, noise(rows))
    assert bounds[30] == pytest.approx(bounds[5000], abs=0.08)
    assert bounds[500] == pytest.approx(bounds[5000], abs=0.08)
    assert np.diff(np.sort(bounds[500])).min() > 0.1  # every image's bound is its own


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_it_is_the_sum_of_the_models_own_terms_in_colour(kind):
    """Of each image its own draws, with the distortion and the log ratio that training takes."""
    model, noise_of_both = vae(kind, 3), noise()
    images = (pixels(4, 8, 3).float() * 255).round() / 255 if kind == "logistic_mixture" else pixels(4, 8, 3).float()
    images = images.round() if kind == "bernoulli" else images
    found = importance_weighted_bound(model, images, 6, noise())
    with torch.inference_mode():
        posterior = model.encode(images)
        z = posterior.mean + posterior.stddev * torch.randn(6, 4, 3, generator=noise_of_both)
        terms = [
            distortion(images, model.decode(each)) + log_ratio(posterior, each, model.log_prior(each)) for each in z
        ]
    expected = Terms(torch.stack(terms), torch.zeros(6, 4))
    each = [Terms(expected.distortion[:, [i]], expected.rate[:, [i]]).loss(1.0).item() for i in range(4)]
    assert found == pytest.approx(each, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "kind", "rows"),
    [
        ([1, 28, 28], "bernoulli", 500),
        ([1, 64, 64], "bernoulli", 500),
        ([1, 28, 28], "gaussian", 500),
        ([3, 32, 32], "gaussian_shared", 500),
        ([3, 32, 32], "logistic_mixture", 40),
    ],
)
def test_as_many_images_and_draws_are_decoded_at_a_time_as_memory_has_room_for(shape, kind, rows, monkeypatch):
    """The block sizes decide which noise an image gets: those of grey images are part of their results."""
    model, seen = Vae("mlp", kind, shape, 3, 16, -6.0).eval(), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda z, labels: seen.append(len(z)) or decode(z, labels))
    importance_weighted_bound(model, torch.zeros(1, *shape), 501, noise())
    assert max(seen) == rows
    assert sum(seen) == 501


def test_the_generator_decides_the_draws():
    model, images = LinearGaussian(error=0.2), pixels(5)
    one, same, other = (importance_weighted_bound(model, images, 5, noise(seed)) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).all()


class Sure(Ink):
    """Logits of any size, and a posterior far from the prior."""

    def __init__(self, size):
        self.size = size

    def encode(self, images, labels=None):
        mean = torch.full((len(images), 2), self.size**0.5)
        return IndependentNormal(mean, torch.full_like(mean, 1e-3))

    def decode(self, latents, labels=None):
        signs = torch.tensor([1.0, -1, 1, -1]) * self.size
        return Bernoulli(logits=signs.expand(len(latents), 4).view(-1, 1, 2, 2))


@pytest.mark.parametrize("size", [1e2, 1e4, 1e8])
@pytest.mark.parametrize("draws", [1, 7, 1200])
def test_extreme_logits_give_finite_bounds(size, draws):
    bounds = importance_weighted_bound(Sure(size), all_binary().float(), draws, noise())
    assert np.isfinite(bounds).all()
    right, wrong = bounds[0b0101], bounds[0b1010]
    assert wrong - right == pytest.approx(4 * size, rel=0.01)


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_blank_images_have_finite_bounds(kind, channels, value):
    bounds = importance_weighted_bound(vae(kind, channels), torch.full((5, channels, 8, 8), value), 20, noise())
    assert bounds.shape == (5,)
    assert np.isfinite(bounds).all()


class Shifted(LinearGaussian):
    """z + 3 in place of z, under a prior with its mean there: the same p(x), and the same posterior moved."""

    def log_prior(self, latents):
        return super().log_prior(latents - 3)

    def encode(self, images, labels=None):
        found = super().encode(images)
        return IndependentNormal(found.mean + 3, found.stddev)

    def decode(self, latents, labels=None):
        return super().decode(latents - 3)


@pytest.mark.parametrize("error", [0.0, 0.2])
def test_the_models_own_prior_counts(error):
    images = pixels(5)
    moved, plain = (importance_weighted_bound(model(error), images, 7, noise()) for model in (Shifted, LinearGaussian))
    assert moved == pytest.approx(plain, abs=1e-5)


class Condition(LinearGaussian):
    """The image is that of its label's shift: x = W·z + b + label + σ·ε."""

    def encode(self, images, labels=None):
        return super().encode(images - labels.view(-1, 1, 1, 1))

    def decode(self, latents, labels=None):
        found = super().decode(latents)
        return Normal(found.mean + labels.view(-1, 1, 1, 1), found.stddev)


@pytest.mark.parametrize("rows", [4, 10, 500])
def test_each_image_meets_its_own_label_in_every_draw(rows, monkeypatch):
    monkeypatch.setattr(likelihood, "ROWS", rows)
    images, labels = pixels(5), torch.tensor([0.0, 3.0, -1.0, 7.0, 2.0]).double()
    bound = importance_weighted_bound(Condition(), images + labels.view(-1, 1, 1, 1), 9, noise(), labels)
    assert bound == pytest.approx(-LinearGaussian().log_evidence(images), abs=1e-5)


def clock(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    """A clock that goes on by so many seconds each time it is looked at."""
    ticks = itertools.count(0.0, step)
    monkeypatch.setattr("genbalance.evaluation.likelihood.time.monotonic", lambda: next(ticks))


@pytest.mark.parametrize("terminal", [True, False])
def test_every_block_comes_once_and_in_order(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    blocks = [[1, 2], [3, 4], [5]]
    assert list(likelihood.watched(blocks, "nll")) == blocks


def test_a_long_measurement_prints_once_a_minute_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock(monkeypatch, likelihood.SILENCE / 2)
    list(likelihood.watched([[0] * 500] * 5, "−log p(x)"))
    printed = capsys.readouterr()
    assert printed.out == ""
    # a block takes half a minute, 5 of them two and a half: printed after the second and the fourth, and not at the end
    assert printed.err.splitlines() == [
        "−log p(x): 1,000 of 2,500 images, 01:30 left",
        "−log p(x): 2,000 of 2,500 images, 00:30 left",
    ]


def test_a_short_measurement_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock(monkeypatch, likelihood.SILENCE / 10)
    list(likelihood.watched([[0]] * 9, "−log p(x)"))
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_counts_images(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    list(likelihood.watched([[0] * 30] * 3, "−log p(x)"))
    last = terminal.getvalue().split("\r")[-1]
    assert "−log p(x): 100%" in last
    assert "90/90" in last


def test_a_measurement_that_breaks_off_ends_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for _ in likelihood.watched([[0] * 30] * 3, "−log p(x)"):
        break
    assert terminal.getvalue().endswith("\n")


@pytest.mark.parametrize(("columns", "bar"), [(80, 1), (120, 30)])
def test_the_bar_does_not_wrap_and_has_room(columns: int, bar: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(columns) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal.stream)
        list(likelihood.watched([[0] * 2500] * 4, "−log p(x)"))
        monkeypatch.undo()
    assert max(map(len, terminal.drawn)) <= columns
    assert terminal.drawn[-1].count("█") >= bar
