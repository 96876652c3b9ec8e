"""Rejection sampling, of a model and a classifier that are made up: an image holds its candidate's number."""

import numpy as np
import pytest
import torch

from genbalance.evaluation.features import Features
from genbalance.sampling.rejection import RejectionSampler

BLOCK, DIGIT = 8, 3
UNIFORM = np.random.default_rng(0).random(10_000)


class Numbers:
    """A model whose i-th image, of four pixels, is the number i, drawn under the condition i + 1."""

    classes, latent_dim = 0, 1

    def __init__(self):
        self.drawn = self.made = 0

    def draw(self, count, noise, digit):
        z = torch.arange(self.drawn, self.drawn + count)[:, None]
        self.drawn += count
        return z, z[:, 0] + 1

    def images(self, z, condition):
        assert torch.equal(condition, z[:, 0] + 1)
        self.made += len(z)
        return z.numpy().astype(np.uint32).view(np.uint8).reshape(-1, 2, 2)


class Reader:
    """Reads ``share`` of the candidates as 3 and the others as 5, with this probability."""

    def __init__(self, share, confidence):
        self.share, self.confidence = share, confidence

    def read(self, images):
        numbers = numbers_of(images)
        probabilities = np.zeros((len(images), 10), np.float32)
        probabilities[range(len(images)), np.where(UNIFORM[numbers] < self.share, 3, 5)] = self.confidence
        return Features(numbers[:, None].astype(np.float32), probabilities)


def numbers_of(images):
    return np.ascontiguousarray(images).reshape(-1, 4).view(np.uint32)[:, 0]


def rejection(share, tries, digit=DIGIT, confidence=0.95):
    return RejectionSampler(Numbers(), Reader(share, confidence), digit, torch.Generator(), BLOCK, tries)


@pytest.mark.parametrize("share", [0.02, 0.5, 1])
@pytest.mark.parametrize("tries", [1, BLOCK, BLOCK + 1, 500])
def test_all_candidates_read_as_the_digit_are_accepted_in_their_order_up_to_the_last_try(share, tries):
    made = rejection(share, tries)
    parts = list(made.accepted(0.9))
    expected = np.flatnonzero(UNIFORM[:tries] < share)
    assert [number for part in parts for number in part.number] == expected.tolist()
    assert (made.counts.tried, made.counts.read, made.counts.confident) == (tries, len(expected), len(expected))
    for part in parts:
        np.testing.assert_array_equal(numbers_of(part.images), part.number)
        assert part.z[:, 0].tolist() == part.number.tolist() == part.reading.features[:, 0].tolist()
        assert part.condition.tolist() == (part.number + 1).tolist()
        assert (part.reading.probabilities.argmax(axis=1) == DIGIT).all()


def test_candidates_that_are_read_without_confidence_are_rejected():
    made = rejection(1, 100, confidence=0.89)
    assert not list(made.accepted(0.9))
    assert (made.counts.tried, made.counts.read, made.counts.confident) == (100, 100, 0)
    assert sum(map(len, rejection(1, 100, confidence=0.89).accepted(0))) == 100


@pytest.mark.parametrize("digit", [DIGIT, None])
def test_without_a_bound_all_candidates_are_accepted(digit):
    assert [n for part in rejection(0.5, 21, digit).accepted(None) for n in part.number] == [*range(21)]


def test_no_image_is_made_before_it_is_needed():
    made = rejection(1, 1000)
    next(made.accepted(0.9))
    assert made.counts.tried == made.sampler.made == BLOCK
