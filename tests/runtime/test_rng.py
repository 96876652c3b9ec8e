"""Named random streams."""

import hashlib

import numpy as np
import pytest

from genbalance.runtime.rng import stream_seed


@pytest.mark.parametrize(
    ("seed", "name", "expected"), [(42, "vae/noise", 9043213291410893779), (0, "", 1151662994310453691)]
)
def test_a_stream_stays_what_it_is(seed, name, expected):
    """A change here changes every number of the project."""
    assert stream_seed(seed, name) == expected


def test_streams_differ_by_name_and_by_seed():
    seeds = [stream_seed(seed, name) for seed in range(50) for name in ("split", "gan/noise", "gan/order", "vae/noise")]
    assert len(set(seeds)) == len(seeds)


def test_seed_and_name_cannot_be_confused():
    assert stream_seed(1, "1/a") != stream_seed(11, "/a")
    assert stream_seed(1, "2/a") != stream_seed(12, "a")


def test_a_stream_seed_is_the_top_of_a_sha256_and_fits_63_bits():
    digest = hashlib.sha256(b"7/name").hexdigest()
    assert stream_seed(7, "name") == int(digest[:16], 16) // 2
    assert all(0 <= stream_seed(seed, "x") < 2**63 for seed in range(200))
    assert max(stream_seed(seed, "x") for seed in range(200)) > 2**62


def test_neighbouring_seeds_give_unrelated_draws():
    draws = [np.random.default_rng(stream_seed(seed, "x")).standard_normal(4000) for seed in (0, 1)]
    assert abs(np.corrcoef(draws)[0, 1]) < 0.08
