"""The kernel distance, against its definition and references."""

import math

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from genbalance.evaluation.kid import kernel_distance


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def rng(seed=0):
    return np.random.default_rng(seed)


def features(n, d, seed):
    """Rectified and correlated, as a network's are."""
    return np.maximum(normal(n, d, seed) @ normal(d, d, 99) / math.sqrt(d) + 0.2, 0)


class Every:
    """A generator that takes every k-th."""

    def __init__(self, k):
        self.k = k

    def choice(self, n, size, replace):
        assert not replace
        return np.arange(0, n, self.k)[:size]


def test_single_precision_input_is_measured_in_double():
    a, b = features(300, 16, 1).astype(np.float32), features(300, 16, 2).astype(np.float32)
    single, double = (kernel_distance(x, y, 3, 40, rng()) for x, y in ((a, b), (a.astype(float), b.astype(float))))
    assert single.mean == pytest.approx(double.mean, rel=1e-9)


DEGENERATE = {
    "zero": np.zeros((20, 6)),
    "equal": np.full((20, 6), 0.3, np.float32),
    "two points": np.repeat([[0.0] * 6, [1.0] * 6], 10, axis=0),
    "fewer than dimensions": features(12, 40, 3)[:, :6].repeat(4, axis=1),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_sets_have_finite_distances(name):
    x = DEGENERATE[name]
    real = features(len(x), x.shape[1], 5)
    for a, b in ((x, real), (real, x), (x, x)):
        distance = kernel_distance(a, b, 4, 500, rng())
        values = (distance.mean, distance.std, distance.standard_error)
        assert np.isfinite(values).all()


def test_a_kernel_distance_over_everything_is_the_double_sum_of_its_definition():
    """Twice the vectors, so that a subset of half of them is all there is to draw from equal copies."""
    x, y = features(6, 4, 1), features(6, 4, 2)
    pairs = [(i, j) for i in range(6) for j in range(6)]

    def kernel(p, q):
        return (float(p @ q) / 4 + 1) ** 3

    within = sum(kernel(z[i], z[j]) for z in (x, y) for i, j in pairs if i != j) / 30
    expected = within - 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / 36
    # far copies are never drawn: the generator is made to take the first half
    distance = kernel_distance(np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0), 1, 6, Every(2))
    assert distance.mean == pytest.approx(expected, rel=1e-10)
    assert distance.std == distance.standard_error == 0


def test_it_is_what_torchmetrics_makes_of_the_same_subset():
    x, y = features(40, 8, 1), features(40, 8, 2) + 0.1
    distance = kernel_distance(np.repeat(x, 2, axis=0), np.repeat(y, 2, axis=0), 1, 40, Every(2))
    assert distance.mean == pytest.approx(poly_mmd(torch.from_numpy(x), torch.from_numpy(y)).item(), rel=1e-8)


def test_it_is_what_torch_fidelity_makes_of_the_same_subsets():
    """Its generator is NumPy's older one, whose ``choice`` is called alike."""
    x, y = features(90, 8, 1), features(70, 8, 2) + 0.1
    ours = kernel_distance(x, y, 7, 30, np.random.RandomState(2020))
    theirs = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=7, kid_subset_size=30, rng_seed=2020, verbose=False
    )
    assert ours.mean == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9)
    assert ours.std == pytest.approx(theirs[KEY_METRIC_KID_STD], rel=1e-9)


def test_the_kernel_distance_of_one_distribution_is_zero_in_expectation():
    """Fresh draws each time: a mean over subsets of one draw would not be independent."""
    values = [kernel_distance(normal(40, 6, s), normal(40, 6, 10_000 + s), 1, 20, rng(s)).mean for s in range(1500)]
    error = np.std(values) / math.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error
    assert min(values) < 0  # unbiased, so now and then below zero
    biased = np.mean([2 * ((normal(20, 6, s) ** 2).sum(axis=1) / 6 + 1).mean() ** 3 / 20 for s in range(50)])
    assert biased > 10 * error  # what the diagonal would have added is far more than the tolerance


def test_the_kernel_distance_grows_with_a_shift():
    a, b = normal(400, 8, 1), normal(400, 8, 2)
    values = [kernel_distance(a, b + shift, 10, 100, rng()).mean for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)
    assert values[1] > 0.01


def test_the_generator_decides_the_subsets():
    a, b = features(100, 8, 1), features(100, 8, 2)
    one, same, other = (kernel_distance(a, b, 5, 20, rng(seed)) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_a_subset_holds_at_most_half_of_the_smaller_side():
    a, b = features(40, 8, 1), features(30, 8, 2)
    sizes = []

    class Spy(Every):
        def choice(self, n, size, replace):
            sizes.append(size)
            return super().choice(n, size, replace)

    kernel_distance(a, b, 2, 500, Spy(1))
    assert sizes == [15] * 4
    sizes.clear()
    kernel_distance(a, b, 1, 9, Spy(1))
    assert sizes == [9] * 2


def test_the_spread_is_the_deviation_over_the_subsets():
    a, b = features(200, 8, 1), features(200, 8, 2)
    stream = rng(3)
    values = [kernel_distance(a, b, 1, 20, stream).mean for _ in range(6)]
    distance = kernel_distance(a, b, 6, 20, rng(3))
    assert distance.mean == pytest.approx(np.mean(values))
    assert distance.std == pytest.approx(np.std(values))
    assert distance.standard_error == pytest.approx(np.std(values) * math.sqrt(0.1 / 0.9))


def fresh(shift, n, size):
    """Kernel distances of fresh draws of n vectors."""
    return [kernel_distance(normal(n, 8, s), normal(n, 8, 5000 + s) + shift, 40, size, rng(s)) for s in range(100)]


@pytest.mark.parametrize(("shift", "n", "size"), [(0.5, 200, 100), (0.5, 200, 50), (1.0, 300, 50)])
def test_the_standard_error_is_the_spread_that_fresh_draws_show(shift, n, size):
    distances = fresh(shift, n, size)
    spread = np.std([distance.mean for distance in distances])
    assert np.mean([distance.standard_error for distance in distances]) == pytest.approx(spread, rel=0.3)


def test_where_nothing_differs_the_standard_error_errs_on_the_large_side():
    """There a kernel distance spreads as 1/n and not as 1/√n, which subsets of n/4 images cannot know."""
    distances = fresh(0.0, 200, 50)
    spread = np.std([distance.mean for distance in distances])
    assert spread < np.mean([distance.standard_error for distance in distances]) < 3 * spread
