"""Active units."""

import numpy as np
import pytest

from genbalance.evaluation.latents import active_units


@pytest.mark.parametrize("active", [0, 1, 4, 6])
def test_latents_that_vary_over_the_images_are_counted(active):
    signs = np.tile([1.0, -1.0], 50)[:, None]
    deviations = np.where(np.arange(6) < active, 0.11, 0.09)  # variances 0.0121 and 0.0081 around the 0.01 of the paper
    assert active_units(signs * deviations) == active


def test_where_a_latent_lies_does_not_make_it_active():
    assert active_units(np.full((50, 4), 3.7, dtype=np.float32)) == 0
    varying = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    assert active_units(varying + 1000) == active_units(varying) == 4
