"""Codes, with encoders whose q(z|x) is known."""

import numpy as np
import pytest
import torch
from factors import grid, random_codes, standardized

from genbalance.evaluation import features
from genbalance.evaluation.codes import (
    against_prior,
    code_map,
    disentanglement,
    posterior_draws,
    posterior_means,
    posterior_normals,
)
from genbalance.models.vae.posteriors import IndependentNormal

CPU = torch.device("cpu")


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n):
    return torch.rand(n, 1, 2, 2, generator=noise(1))


def encode(x, labels=None):
    """Means are the pixels, moved by the label; every deviation is 0.1."""
    mean = x.flatten(1) if labels is None else x.flatten(1) + labels[:, None]
    return IndependentNormal(mean, torch.full_like(mean, 0.1))


@pytest.mark.parametrize("labels", [None, torch.arange(7.0)])
def test_means_are_the_encoders_in_the_images_order(labels, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 3)
    expected = encode(images(7), labels).mean
    np.testing.assert_array_equal(posterior_means(encode, images(7), labels), expected.numpy())


@pytest.mark.parametrize("labels", [None, torch.arange(7.0)])
def test_normals_are_the_encoders_in_the_images_order(labels, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 3)
    means, deviations = posterior_normals(encode, images(7), labels)
    np.testing.assert_array_equal(means, encode(images(7), labels).mean.numpy())
    np.testing.assert_array_equal(deviations, np.full((7, 4), 0.1, np.float32))


def test_draws_have_the_posteriors_mean_and_deviation():
    draws = posterior_draws(encode, torch.full((4000, 1, 2, 2), 0.3), None, 4, noise())
    assert draws.mean(axis=0) == pytest.approx([0.3] * 4, abs=0.01)
    assert draws.std(axis=0) == pytest.approx([0.1] * 4, rel=0.05)


def test_the_stream_decides_the_draws():
    one, same, other = (posterior_draws(encode, images(5), None, 4, noise(seed)) for seed in (0, 0, 1))
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


KEYS = ["mig", "sap", "dci_disentanglement", "dci_completeness", "dci_informativeness", "factor_vae_score"]


def told_apart(codes, factors):
    rows = np.random.default_rng(0).permutation(len(factors))
    train, test = np.array_split(rows, 2)
    rng = np.random.default_rng(1)
    return disentanglement(codes[train], factors[train], codes[test], factors[test], rng)


def test_codes_that_are_the_factors_are_told_apart_and_noise_is_not():
    factors = grid()
    best, worst = told_apart(standardized(factors), factors), told_apart(random_codes(len(factors), 4), factors)
    assert list(best) == list(worst) == KEYS
    assert [best[key] for key in KEYS] == pytest.approx([1, np.mean([1 / 2, 2 / 3, 3 / 4, 4 / 5]), 1, 1, 1, 1], abs=0.1)
    assert all(worst[key] < best[key] / 2 for key in KEYS)


def test_what_an_inactive_latent_says_does_not_count():
    """Its mean may hold a factor whole: z is drawn around it with the spread of the prior."""
    factors = grid()
    codes = standardized(factors)
    whispers = np.concatenate([codes, 0.09 * codes], axis=1)
    assert told_apart(whispers, factors) == told_apart(np.concatenate([codes, 0 * codes], axis=1), factors)
    assert told_apart(np.concatenate([codes, 0.11 * codes], axis=1), factors)["mig"] == pytest.approx(0, abs=1e-6)
    assert [told_apart(0.09 * codes, factors)[key] for key in KEYS if key != "dci_informativeness"] == [0] * 5


def test_a_factor_that_does_not_vary_is_left_out():
    factors = grid()
    codes = standardized(factors)
    more = np.insert(factors, 1, 7, axis=1)
    assert told_apart(codes, more) == told_apart(codes, factors)
    with pytest.raises(ValueError, match="none of 2 factors varies over 480 training and 480 test rows"):
        told_apart(codes, np.ones((len(codes), 2), np.int64))


@pytest.mark.parametrize("constant", ["train", "test"])
def test_a_factor_that_does_not_vary_in_one_of_the_two_splits_is_left_out(constant):
    factors = grid()
    codes = standardized(factors)
    train, test = np.array_split(np.random.default_rng(0).permutation(len(factors)), 2)
    more = np.insert(factors, 1, np.arange(len(factors)) % 2, axis=1)
    more[train if constant == "train" else test, 1] = 1
    found, expected = (
        disentanglement(codes[train], some[train], codes[test], some[test], np.random.default_rng(1))
        for some in (more, factors)
    )
    assert found == expected


def test_codes_of_one_class_lie_on_their_principal_components():
    rng = np.random.default_rng(0)
    spread = np.array([0.1, 5.0, 0.1, 2.0])
    train, codes = rng.normal(size=(300, 4)) * spread + 3, rng.normal(size=(20, 4)) * spread + 3
    table = code_map(train, np.zeros(300, np.int64), codes, np.zeros(20, np.int64))
    assert [*table.columns] == ["x", "y", "class"]
    for axis, latent in (("x", 1), ("y", 3)):
        assert abs(np.corrcoef(table[axis], codes[:, latent])[0, 1]) > 0.99
        assert table[axis].std() == pytest.approx(codes[:, latent].std(ddof=1), rel=0.05)


def test_one_latent_has_one_component_and_the_other_axis_is_zero():
    codes = np.random.default_rng(0).normal(size=(30, 1))
    table = code_map(codes, np.zeros(30, np.int64), codes, np.zeros(30, np.int64))
    assert table["y"].tolist() == [0] * 30
    assert table["x"].abs().to_numpy() == pytest.approx(np.abs(codes[:, 0] - codes.mean()))
