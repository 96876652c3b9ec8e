"""Modes covered and their KL to uniform: closed forms, and what is counted of a model."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from genbalance.evaluation.features import BLOCK, Features
from genbalance.evaluation.modes import COUNT, mode_metrics, modes_covered, modes_kl


def both(labels):
    return modes_covered(labels), modes_kl(labels, 1000)


def test_all_modes_equally_often_are_1000_and_0():
    assert both(np.arange(26_000) % 1000) == (1000, pytest.approx(0, abs=1e-12))


def test_one_mode_is_1_and_log_1000():
    assert both(np.full(26_000, 7)) == (1, pytest.approx(math.log(1000)))


@pytest.mark.parametrize("k", [2, 99, 500])
def test_k_equal_modes_are_at_log_1000_over_k(k):
    assert both(np.arange(26 * k) % k) == (k, pytest.approx(math.log(1000 / k)))


def test_the_kl_is_from_the_model_to_uniform_as_scipy_computes_it():
    labels = np.random.default_rng(0).geometric(0.01, 5000) % 1000
    shares = np.bincount(labels, minlength=1000) / 5000
    assert modes_kl(labels, 1000) == pytest.approx(entropy(shares, np.full(1000, 1e-3)))


def test_order_and_names_of_the_modes_do_not_matter():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 300, 2000)
    assert both(rng.permutation(1000)[rng.permutation(labels)]) == pytest.approx(both(labels))


def test_independent_uniform_draws_are_at_the_stated_expectation():
    rng = np.random.default_rng(2)
    values = [modes_kl(rng.integers(0, 1000, COUNT), 1000) for _ in range(20)]
    assert np.mean(values) == pytest.approx(999 / (2 * COUNT), rel=0.05)


class Numbers:
    """A model whose image is a number, which `Reader` reads; it takes the numbers from ``labels`` in turn."""

    classes = latent_dim = 0

    def __init__(self, labels):
        self.labels, self.blocks = list(labels), []

    def draw(self, count, noise, digit):
        assert digit is None
        drawn, self.labels = self.labels[:count], self.labels[count:]
        return torch.tensor(drawn), None

    def images(self, z, condition):
        self.blocks.append(len(z))
        return z.numpy()


def read(labels):
    probabilities = np.zeros((len(labels), 1000), np.float32)
    probabilities[np.arange(len(labels)), labels] = 1
    return Features(np.zeros((len(labels), 1), np.float32), probabilities)


class Reader:
    def read(self, images):
        return read(images)


def measured(samples, further, real, count, seed=0):
    sampler = Numbers(further)
    return mode_metrics(sampler, Reader(), read(samples), read(real), torch.Generator(), seed, count), sampler.blocks


def test_samples_at_hand_count_first_and_the_rest_is_made_in_blocks():
    further = np.arange(100, 1000).repeat(3)
    metrics, blocks = measured(np.arange(100), further, np.arange(1000), 100 + 2 * BLOCK + 30)
    assert blocks == 3 * [BLOCK]
    counted = np.concatenate([np.arange(100), further[: 2 * BLOCK + 30]])
    assert [metrics["modes_covered"], metrics["modes_kl"]] == [modes_covered(counted), modes_kl(counted, 1000)]


@pytest.mark.parametrize("n", [40, 41, 60])
def test_no_more_are_counted_than_asked_for(n):
    metrics, blocks = measured(np.arange(n), [], np.arange(1000), 40)
    assert (metrics["modes_covered"], blocks) == (40, [])


def test_real_digits_are_put_together_anew():
    """Ten images hold all ten digits in each channel, so that the mode of each of 26,000 is one of 1,000."""
    metrics, _ = measured(np.arange(1000), [], 111 * np.arange(10), 1000)
    assert metrics["modes_covered_real"] > 500
    metrics, _ = measured(np.arange(1000).repeat(26), [], 111 * np.arange(10), COUNT)
    assert metrics["modes_covered_real"] == 1000
    assert metrics["modes_kl_real"] == pytest.approx(999 / (2 * COUNT), rel=0.2)
    metrics, _ = measured(np.arange(1000), [], np.full(5, 7), 1000)  # zeros and sevens alone
    assert metrics["modes_covered_real"] == 8


def test_the_seed_decides_which_real_digits_meet():
    one, same, other = (measured(np.arange(40), [], np.arange(1000), 40, seed)[0] for seed in (1, 1, 2))
    assert one == same != other
