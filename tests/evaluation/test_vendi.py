"""The effective number of different samples."""

import numpy as np
import pytest

from genbalance.evaluation.vendi import vendi_score


def features(n=40, d=6, seed=0):
    """Rectified, as a network's are."""
    return np.maximum(np.random.default_rng(seed).standard_normal((n, d)) + 0.3, 0)


def by_definition(x):
    """The exponential of the entropy of the eigenvalues of the n × n similarities over n."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / len(x))
    values = values[values > 1e-15]
    return np.exp(-(values * np.log(values)).sum())


@pytest.mark.parametrize(("n", "d"), [(40, 6), (6, 40), (25, 25), (1, 3)])
def test_it_is_the_exponential_entropy_of_the_similarities_eigenvalues(n, d):
    x = np.abs(features(n, d)) + 0.01
    assert vendi_score(x) == pytest.approx(by_definition(x), rel=1e-9)


@pytest.mark.parametrize("row", [[1.0, 0, 0], [0.2, 0.3, -4]])
def test_equal_samples_count_as_one(row):
    assert vendi_score(np.tile(row, (30, 1))) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("groups", [1, 2, 7])
def test_equal_groups_that_are_orthogonal_count_as_their_number(groups):
    assert vendi_score(np.repeat(np.eye(7)[:groups], 5, axis=0)) == pytest.approx(groups, rel=1e-9)


def test_orthogonal_samples_are_all_counted():
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    assert vendi_score(turn) == pytest.approx(12, rel=1e-9)


def test_a_rare_group_counts_less_than_a_common_one():
    rare, even = (np.repeat(np.eye(2), counts, axis=0) for counts in ((99, 1), (50, 50)))
    assert 1 < vendi_score(rare) < 1.1
    assert vendi_score(even) == pytest.approx(2)


def test_the_length_of_a_vector_and_the_axes_do_not_matter():
    x = features() + 0.01
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    scaled = x * np.geomspace(1e-6, 1e6, len(x))[:, None]
    for other in (scaled, x @ turn, x[::-1]):
        assert vendi_score(other) == pytest.approx(vendi_score(x), rel=1e-9)


def test_duplicates_of_all_samples_change_nothing():
    assert vendi_score(np.tile(features(), (3, 1))) == pytest.approx(vendi_score(features()), rel=1e-9)


def test_the_score_lies_between_one_and_the_smaller_of_samples_and_dimensions():
    for seed in range(10):
        for n, d in ((3, 9), (9, 3), (2, 2)):
            assert 1 - 1e-9 <= vendi_score(features(n, d, seed) + 0.01) <= min(n, d) + 1e-9


def test_narrower_samples_are_less_diverse():
    x = features(200)
    scores = [vendi_score(1 + spread * x) for spread in (0.0, 0.1, 1.0, 10.0)]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] > 1


def test_a_zero_vector_is_one_more_kind_of_sample():
    assert vendi_score(np.zeros((9, 4))) == pytest.approx(1)
    assert vendi_score(np.repeat([[0.0, 0], [1, 0]], 5, axis=0)) == pytest.approx(2)
    assert vendi_score(np.repeat([[0.0, 0], [1, 0], [0, 1]], 5, axis=0)) == pytest.approx(3)


def test_single_precision_is_measured_in_double_and_left_as_it_is():
    x = features().astype(np.float32)
    before = x.copy()
    assert vendi_score(x) == pytest.approx(vendi_score(x.astype(np.float64)), rel=1e-12)
    np.testing.assert_array_equal(x, before)
