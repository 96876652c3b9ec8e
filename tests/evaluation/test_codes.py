"""Codes, with encoders whose q(z|x) is known."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from genbalance.evaluation import features
from genbalance.evaluation.codes import against_prior, code_map, posterior_draws, posterior_means

CPU = torch.device("cpu")


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n):
    return torch.rand(n, 1, 2, 2, generator=noise(1))


def encode(x, labels=None):
    """Means are the pixels, moved by the label; every deviation is 0.1."""
    mean = x.flatten(1) if labels is None else x.flatten(1) + labels[:, None]
    return Normal(mean, torch.full_like(mean, 0.1))


@pytest.mark.parametrize("labels", [None, torch.arange(7.0)])
def test_means_are_the_encoders_in_the_images_order(labels, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 3)
    expected = encode(images(7), labels).mean
    np.testing.assert_array_equal(posterior_means(encode, images(7), labels), expected.numpy())


def test_draws_have_the_posteriors_mean_and_deviation():
    draws = posterior_draws(encode, torch.full((4000, 1, 2, 2), 0.3), None, noise())
    assert draws.mean(axis=0) == pytest.approx([0.3] * 4, abs=0.01)
    assert draws.std(axis=0) == pytest.approx([0.1] * 4, rel=0.05)


def test_the_stream_decides_the_draws():
    one, same, other = (posterior_draws(encode, images(5), None, noise(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_codes_of_the_prior_are_at_the_floor_and_others_far_above():
    prior = np.random.default_rng(0).standard_normal((400, 4)).astype(np.float32)
    at, far = (against_prior(codes, lambda z: z, noise(), CPU) for codes in (prior, 0.1 * prior + 2))
    assert at["prior_discrepancy_floor"] == far["prior_discrepancy_floor"]
    assert abs(at["prior_discrepancy"]) < 0.05 < far["prior_discrepancy"]


def test_codes_are_compared_with_the_models_own_prior():
    """A prior that moves its noise by 2."""
    moved = 2 + np.random.default_rng(0).standard_normal((400, 4)).astype(np.float32)
    found = against_prior(moved, lambda z: z + 2, noise(), CPU)
    assert abs(found["prior_discrepancy"]) < 0.05


def test_the_map_has_a_row_for_each_code_with_its_class():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    codes = (5 * np.eye(3)[labels] + rng.standard_normal((90, 3))).astype(np.float32)
    table = code_map(codes, labels, codes[:10], labels[:10])
    assert list(table.columns) == ["x", "y", "class"]
    assert table["class"].tolist() == labels[:10].tolist()
