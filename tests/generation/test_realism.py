"""The realism score of single images."""

import numpy as np
import pytest

from genbalance.errors import UserError
from genbalance.generation.realism import LARGEST, K, Realism


@pytest.fixture
def real():
    return np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)


def test_it_is_equation_3_of_the_paper(real):
    drawn = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
    apart = np.linalg.norm(real[:, None].astype(float) - real[None], axis=-1)
    radii = np.sort(apart, axis=1)[:, K]
    small = radii <= np.median(radii)
    expected = (radii[small] / np.linalg.norm(drawn[:, None].astype(float) - real[small][None], axis=-1)).max(axis=1)
    np.testing.assert_allclose(Realism.of(real).score(drawn), expected, rtol=1e-9)


def test_inside_a_ball_it_is_above_one_and_falls_with_the_distance(real):
    ball = Realism.of(real)
    direction = np.zeros((1, 6), np.float32)
    direction[0, 0] = 1
    at = [float(ball.score(ball.centers[:1] + step * ball.radii[0] * direction)[0]) for step in (0.1, 0.5)]
    far = [float(ball.score(real.mean(axis=0) + step * direction)[0]) for step in (10, 100, 1000)]
    assert at[0] > at[1] > 1
    assert 1 > far[0] > far[1] > far[2] > 0


def test_a_copy_has_a_finite_score_and_the_largest(real):
    ball = Realism.of(real)
    assert (ball.score(ball.centers) == LARGEST).all()
    assert (Realism.of(np.repeat(real[:1], 9, axis=0)).score(real[:1]) == LARGEST).all()


def test_lonely_real_images_vouch_for_nobody(real):
    lonely = np.concatenate([real, np.full((1, 6), 50, np.float32)])
    assert Realism.of(lonely).score(np.full((1, 6), 49, np.float32))[0] < 0.1


def test_it_does_not_depend_on_units(real):
    drawn = real[:9] + np.float32(0.3)
    np.testing.assert_allclose(Realism.of(real).score(drawn), Realism.of(4 * real).score(4 * drawn), rtol=1e-6)


def test_fewer_than_four_real_images_are_refused(real):
    assert Realism.of(real[:4]).score(real[5:7]).shape == (2,)
    with pytest.raises(UserError):
        Realism.of(real[:3])
