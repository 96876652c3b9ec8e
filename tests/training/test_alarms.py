"""Alarms: each is raised by what it is about, once, and by nothing else."""

import numpy as np
import pytest

from genbalance.training.alarms import KNOWN, PATIENCE, raised, total_variance

GOOD = {"d_ranking_held_out": 0.75, "sample_variance": 0.95, "val_rate": 18.0, "loss": 1.0}
BAD = {"discriminator_won": 0.999, "mode_collapse": 0.05, "posterior_collapse": 0.01}


def rows(*changes):
    return [{"epoch": epoch} | GOOD | change for epoch, change in enumerate(changes, start=1)]


def test_a_good_training_raises_none():
    assert raised(rows(*[{}] * 10), 10, ()) == {}
    assert raised([], 10, ()) == {}


@pytest.mark.parametrize("alarm", KNOWN, ids=lambda alarm: alarm.name)
def test_each_is_raised_after_so_many_epochs_in_a_row_with_the_epoch_the_value_and_advice(alarm):
    wrong = {alarm.column: BAD[alarm.name]}
    assert raised(rows({}, *[wrong] * (PATIENCE - 1)), 3, ()) == {}
    assert raised(rows({}, wrong, {}, *[wrong] * (PATIENCE - 1)), 3, ()) == {}
    found = raised(rows({}, *[wrong] * PATIENCE), 3, ())
    assert list(found) == [alarm.name]
    assert found[alarm.name].startswith(f"epoch {1 + PATIENCE}: ")
    assert found[alarm.name].endswith(f"; try {alarm.advice}")
    assert raised(rows({}, *[wrong] * PATIENCE), 3, found) == {}


def test_the_first_third_of_the_epochs_raises_none():
    wrong = {"val_rate": 0.0}
    assert raised(rows(*[wrong] * (10 + PATIENCE - 1)), 30, ()) == {}
    assert list(raised(rows(*[wrong] * (10 + PATIENCE)), 30, ())) == ["posterior_collapse"]


def test_a_training_without_the_column_raises_none():
    assert raised([{"epoch": epoch, "loss": 1.0} for epoch in range(1, 9)], 8, ()) == {}


def test_the_total_variance_is_that_of_numpy_and_0_where_all_images_are_equal():
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3)).astype(np.uint8)
    assert total_variance(images) == pytest.approx((images / 255).var(axis=0).sum(), rel=1e-12)
    assert total_variance(images[:1].repeat(7, axis=0)) == 0
    assert total_variance(images[::-1]) == total_variance(images)
