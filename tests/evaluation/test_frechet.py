"""The Fréchet distance, against closed forms and references."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

from genbalance.evaluation.frechet import frechet, frechet_distance, frechet_infinity, frechet_weighted, moments


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def rng(seed=0):
    return np.random.default_rng(seed)


def exact(n, mean, cov, seed=0):
    """Vectors whose sample mean and sample covariance (n − 1) are these and not only near them."""
    x = normal(n, len(mean), seed)
    x -= x.mean(axis=0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return white @ np.linalg.cholesky(cov).T + mean


def features(n, d, seed):
    """Rectified and correlated, as a network's are."""
    return np.maximum(normal(n, d, seed) @ normal(d, d, 99) / math.sqrt(d) + 0.2, 0)


def test_a_set_is_at_no_distance_from_itself():
    a = features(300, 16, 1)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10 * np.trace(np.cov(a, rowvar=False)))


def test_the_distance_is_symmetric():
    a, b = features(300, 16, 1), features(200, 16, 2) * 1.3
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-10)


def test_the_order_of_the_images_does_not_matter():
    a, b = features(300, 16, 1), features(300, 16, 2)
    assert frechet_distance(a, b[::-1]) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_a_shift_counts_as_its_squared_length():
    a, shift = features(300, 16, 1), np.linspace(-1, 2, 16)
    assert frechet_distance(a, a + shift) == pytest.approx(np.square(shift).sum(), rel=1e-9)


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_a_scale_counts_as_the_squared_difference_of_deviations(scale):
    cov = np.diag([4.0, 1.0, 0.25])
    a = exact(500, np.zeros(3), cov)
    assert frechet_distance(a, scale * a) == pytest.approx((1 - scale) ** 2 * np.trace(cov), rel=1e-9)


def test_gaussians_with_one_set_of_axes_have_a_closed_form():
    turn = np.linalg.qr(normal(3, 3, 5))[0]
    one, two = np.array([4.0, 1.0, 0.25]), np.array([1.0, 9.0, 0.04])
    means = np.array([0.0, 1.0, 2.0]), np.array([0.5, -1.0, 2.0])
    a = exact(400, means[0], turn @ np.diag(one) @ turn.T, 1)
    b = exact(300, means[1], turn @ np.diag(two) @ turn.T, 2)
    expected = np.square(means[0] - means[1]).sum() + np.square(np.sqrt(one) - np.sqrt(two)).sum()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def pair(name):
    match name:
        case "correlated":
            return features(500, 24, 1), features(500, 24, 2) * 1.2 + 0.1
        case "unequal counts":
            return features(500, 24, 1), features(90, 24, 2)
        case _:
            return features(900, 64, 1), np.concatenate([features(450, 64, 2), features(450, 64, 3) * 0.1])


@pytest.mark.parametrize("name", ["correlated", "unequal counts", "two modes"])
def test_it_is_what_sqrtm_and_torchmetrics_make_of_the_same_moments(name):
    a, b = pair(name)
    means = [x.mean(axis=0) for x in (a, b)]
    covs = [np.cov(x, rowvar=False) for x in (a, b)]
    root = scipy.linalg.sqrtm(covs[0] @ covs[1]).real
    by_scipy = np.square(means[0] - means[1]).sum() + np.trace(covs[0] + covs[1] - 2 * root)
    same = [torch.from_numpy(x) for x in (means[0], covs[0], means[1], covs[1])]
    assert frechet_distance(a, b) == pytest.approx(by_scipy, rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(_compute_fid(*same).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["correlated", "unequal counts", "two modes"])
def test_it_is_what_torch_fidelity_makes_of_the_same_features(name):
    a, b = pair(name)
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_moments_are_the_mean_and_the_covariance_with_n_minus_one():
    a = features(50, 7, 1)
    np.testing.assert_allclose(moments(a).mean, a.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments(a).covariance, np.cov(a, rowvar=False), rtol=1e-10, atol=1e-14)


def test_moments_with_counts_are_the_moments_of_the_repeated_rows():
    a = features(60, 7, 1).astype(np.float32)
    counts = rng(4).multinomial(60, np.full(60, 1 / 60))
    assert (counts == 0).any()
    counted, repeated = moments(a, counts), moments(np.repeat(a, counts, axis=0))
    np.testing.assert_allclose(counted.mean, repeated.mean, rtol=1e-10)
    np.testing.assert_allclose(counted.covariance, repeated.covariance, rtol=1e-9, atol=1e-14)
    once = moments(a, np.ones(60, np.int64))
    np.testing.assert_array_equal(once.covariance, moments(a).covariance)


@pytest.mark.parametrize(("n", "m", "features"), [(40, 30, 5), (12, 9, 20), (12, 60, 20), (2, 2, 3)])
def test_a_weighted_distance_is_that_of_the_repeated_rows_with_fewer_and_with_more_of_them_than_features(
    n, m, features
):
    rng = np.random.default_rng(n + m)
    a, b = (rng.normal(shift, 1 + shift, (size, features)).astype(np.float32) for shift, size in ((0, n), (1, m)))
    for _ in range(5):
        counts = [rng.multinomial(size, np.full(size, 1 / size)) for size in (n, m)]
        rows = [np.repeat(x, held, axis=0) for x, held in zip((a, b), counts, strict=True)]
        assert frechet_weighted(a, b, *counts) == pytest.approx(frechet_distance(*rows), rel=1e-6, abs=1e-9)


def test_moments_leave_the_features_as_they_are():
    a = features(20, 4, 1)
    before = a.copy()
    moments(a, np.arange(20))
    np.testing.assert_array_equal(a, before)


def test_the_distance_of_moments_is_the_distance_of_the_features():
    a, b = features(80, 8, 1), features(60, 8, 2)
    assert frechet(moments(a), moments(b)) == frechet_distance(a, b)


def test_turning_both_sets_changes_nothing():
    a, b = features(300, 16, 1), features(300, 16, 2) * 1.3
    turn = np.linalg.qr(normal(16, 16, 7))[0]
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_scaling_both_sets_scales_the_distance_by_the_square():
    a, b = features(300, 16, 1), features(300, 16, 2) * 1.3
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * frechet_distance(a, b), rel=1e-9)


def test_a_collapsed_set_is_at_a_finite_distance_with_a_closed_form():
    a, point = features(300, 16, 1), np.full((300, 16), 0.7)
    expected = np.square(a.mean(axis=0) - 0.7).sum() + np.trace(np.cov(a, rowvar=False))
    assert frechet_distance(a, point) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(point, a) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(point, point) == 0


def test_fewer_vectors_than_dimensions_give_a_finite_distance():
    a, b = features(20, 64, 1), features(12, 64, 2)
    for x, y in ((a, b), (b, a), (a, a), (a[:2], b[:2])):
        assert 0 <= frechet_distance(x, y) < np.inf
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_one_feature_is_enough():
    a = np.tile([[1.0], [-1.0]], (50, 1)) * math.sqrt(0.99)  # variance 1 with n − 1
    assert frechet_distance(a, 3 * a + 1) == pytest.approx(1 + 4, rel=1e-9)


def test_more_noise_is_further_away():
    a, noise = features(500, 16, 1), normal(500, 16, 8)
    distances = [frechet_distance(a, a + level * noise) for level in (0, 0.25, 0.5, 1, 2)]
    assert distances == sorted(distances)
    assert distances[1] > 0.001


def test_missing_modes_are_further_away():
    a = np.concatenate([features(300, 8, seed) + 3 * np.eye(8)[seed] for seed in range(4)])
    kept = [a[: 300 * modes] for modes in (4, 3, 2, 1)]
    distances = [frechet_distance(a, b) for b in kept]
    assert distances == sorted(distances)


def test_the_bias_falls_with_the_number_of_vectors():
    floors = [
        np.mean([frechet_distance(normal(n, 16, s), normal(n, 16, 100 + s)) for s in range(5)]) for n in (50, 200, 800)
    ]
    assert floors[0] / floors[1] == pytest.approx(4, rel=0.3)
    assert floors[1] / floors[2] == pytest.approx(4, rel=0.3)


def test_single_precision_input_is_measured_in_double():
    a, b = features(300, 16, 1).astype(np.float32), features(300, 16, 2).astype(np.float32)
    far = frechet_distance(a + 1000, b + 1000)
    assert far == pytest.approx(frechet_distance((a + 1000).astype(float), (b + 1000).astype(float)), rel=1e-9)


def both(shift=0.0, n=200, d=8, repeats=40):
    """Plain and extrapolated distances of two sets of n normal vectors, over repeated draws."""
    plain, extrapolated = [], []
    for s in range(repeats):
        a, b = normal(n, d, s), normal(n, d, 1000 + s) + shift / math.sqrt(d)
        plain.append(frechet_distance(a, b))
        extrapolated.append(frechet_infinity(a, b, rng(s)))
    return np.array(plain), np.array(extrapolated)


def test_extrapolation_takes_the_bias_away_where_the_distributions_are_equal():
    plain, extrapolated = both()
    assert plain.min() > 0.15
    assert abs(extrapolated.mean()) < 0.15 * plain.mean()
    assert extrapolated.min() < 0  # an estimate without bias falls below zero now and then


def test_extrapolation_finds_the_distance_of_shifted_normals_where_the_plain_distance_lies_above():
    plain, extrapolated = both(shift=1.0)
    assert plain.mean() > 1.2
    assert extrapolated.mean() == pytest.approx(1, abs=0.1)


def test_extrapolation_of_a_large_difference_is_near_the_plain_distance():
    a, b = normal(300, 6, 1), 3 * normal(300, 6, 2) + 2
    assert frechet_infinity(a, b, rng()) == pytest.approx(4 * 6 + 4 * 6, rel=0.1)


def test_the_generator_decides_the_extrapolation():
    a, b = features(60, 8, 1), features(60, 8, 2)
    one, same, other = (frechet_infinity(a, b, rng(seed)) for seed in (0, 0, 1))
    assert one == same != other


def test_extrapolation_is_without_bias_where_any_run_of_the_samples_is_spread_evenly():
    """Eight clusters, which come in turn on one side and at random on the other."""
    clusters, found = 6 * np.eye(8), []
    for s in range(40):
        in_turn, at_random = np.arange(400) % 8, rng(s).integers(8, size=400)
        a, b = clusters[in_turn] + 0.5 * normal(400, 8, s), clusters[at_random] + 0.5 * normal(400, 8, 1000 + s)
        found.append(frechet_infinity(a, b, rng(s)))
    # of subsets at random of the first side the mean is −0.16, 4.5 standard errors below zero
    assert abs(np.mean(found)) < 3 * np.std(found) / math.sqrt(len(found))


def test_extrapolation_looks_at_subsets_from_half_to_all_of_both_sides_without_repeats(monkeypatch):
    found = []
    monkeypatch.setattr("genbalance.evaluation.frechet.frechet_distance", lambda a, b: found.append((a, b)) or 1.0)
    rows = np.arange(60.0)[:, None]
    frechet_infinity(rows, rows, rng())
    sizes = [len(a) for a, _ in found]
    assert (min(sizes), max(sizes)) == (30, 60)
    assert sizes == [len(b) for _, b in found]  # both sides shrink
    assert all(len(np.unique(side)) == len(side) for pair in found for side in pair)
    assert all(set(np.diff(a[:, 0]).tolist()) <= {1.0, -59.0} for a, _ in found)


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
        values = (frechet_distance(a, b), frechet_infinity(a, b, rng()))
        assert np.isfinite(values).all()
