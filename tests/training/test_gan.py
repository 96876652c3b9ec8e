"""What D and G minimise, with which penalties, and what is measured meanwhile."""

import pytest
import torch

from genbalance.losses import gan as losses
from genbalance.models.gan import Gan
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised, lowered
from genbalance.training.gan import HELD_OUT_EVERY, ConditionedImages, GanObjective

CPU = torch.device("cpu")
CONFIG = read_params().gan
BATCH = torch.arange(6)


def images(n=12, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def objective_of(conditions=0, spectral=False, **changes):
    plain = {"r1": 0.0, "loss": "non_saturating", "batch_size": 1}
    gan = initialised(lambda: Gan("mlp", [1, 8, 8], 4, 4, conditions, 0, spectral), 0, "gan", CPU).eval()
    known = torch.arange(12) % conditions if conditions else None
    config = CONFIG.model_copy(update=plain | changes)
    held_out = ConditionedImages(images(12, 2), known)
    streams = (generator(0, name) for name in ("noise", "penalty", "chance"))
    return GanObjective(gan, ConditionedImages(images(), known), held_out, config, *streams)


def test_without_penalties_d_minimises_l_d_of_real_against_generated_images():
    objective = objective_of()
    scalars = objective.loss_d(BATCH)
    fake = objective.g(torch.randn(6, 4, generator=generator(0, "noise")))
    expected = losses.LOSSES["non_saturating"].d(objective.d(images()[:6]), objective.d(fake))
    torch.testing.assert_close(scalars["loss_d"], expected)
    assert scalars["objective_d"] is scalars["loss_d"]


def test_the_generator_minimises_l_g_of_fresh_images():
    objective = objective_of()
    first, second = objective.loss_g(BATCH)["loss_g"], objective.loss_g(BATCH)["loss_g"]
    stream = generator(0, "noise")
    for found in (first, second):
        fake = objective.g(torch.randn(6, 4, generator=stream))
        torch.testing.assert_close(found, losses.LOSSES["non_saturating"].g(objective.d(fake)))
    assert first != second


@pytest.mark.parametrize("every", [1, 3])
def test_r1_comes_every_so_many_steps_with_so_many_times_its_weight(every):
    objective = objective_of(r1=0.5, r1_every=every)
    for step in range(7):
        scalars = objective.loss_d(BATCH)
        assert ("r1" in scalars) == (step % every == 0)
        penalty = scalars.get("r1", torch.tensor(0.0))
        torch.testing.assert_close(scalars["objective_d"], scalars["loss_d"] + 0.5 * every * penalty)
    real = images()[:6].requires_grad_()
    torch.testing.assert_close(objective_of(r1=0.5).loss_d(BATCH)["r1"], losses.r1_penalty(objective.d(real), real))


def test_penalties_leave_the_training_images_without_gradients():
    objective = objective_of(r1=0.5, r1_every=1)
    objective.loss_d(BATCH)["objective_d"].backward()
    assert not objective._train.images.requires_grad


def test_wasserstein_has_its_own_penalty_in_the_place_of_r1():
    assert "r1" not in objective_of(loss="wasserstein", r1=0.5, r1_every=1).loss_d(BATCH)


def test_wasserstein_minimises_the_critics_difference_and_its_gradient_penalty():
    scalars = objective_of(loss="wasserstein", gradient_penalty=7.0).loss_d(BATCH)
    expected = scalars["loss_d"] + 7 * scalars["gradient_penalty"]
    torch.testing.assert_close(scalars["objective_d"], expected)
    assert scalars["gradient_penalty"] > 0


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "wasserstein"])
@pytest.mark.parametrize("conditions", [0, 3])
@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
def test_every_choice_gives_each_network_finite_gradients(loss, conditions, spectral, bf16):
    objective = objective_of(conditions, spectral, loss=loss, r1=0.1, r1_every=1)
    lowered(objective.loss_d, bf16, CPU)(BATCH)["objective_d"].backward()
    for name, p in objective.d.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
    lowered(objective.loss_g, bf16, CPU)(BATCH)["loss_g"].backward()
    for name, p in objective.g.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().max() > 0, name


def test_held_out_images_are_measured_every_so_many_steps():
    objective = objective_of()
    seen = ["d_ranking_held_out" in objective.loss_d(BATCH) for _ in range(2 * HELD_OUT_EVERY + 1)]
    assert seen == [step % HELD_OUT_EVERY == 0 for step in range(2 * HELD_OUT_EVERY + 1)]


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_every_epoch_measures_held_out_images(steps):
    objective = objective_of(batch_size=12 // steps)
    for _ in range(5):
        assert any("d_ranking_held_out" in objective.loss_d(BATCH) for _ in range(steps))


@pytest.mark.parametrize(("bias", "right"), [(9.0, 1.0), (-9.0, 0.0)])
def test_accuracies_say_on_which_side_d_lies_and_the_ranking_does_not_heed_the_threshold(bias, right):
    objective, rankings = objective_of(), []
    for shift in (0.0, bias):
        with torch.no_grad():
            objective.d.head.bias.fill_(shift)
        objective._d_steps, objective._noise, objective._choice = 0, generator(0, "noise"), generator(0, "chance")
        scalars = objective.loss_d(BATCH)
        rankings.append(scalars["d_ranking_held_out"].item())
    assert scalars["d_accuracy_real"] == scalars["d_accuracy_held_out"] == right
    assert scalars["d_accuracy_generated"] == 1 - right
    assert rankings[0] == rankings[1]


def test_conditions_of_the_batch_go_to_both_networks():
    objective = objective_of(conditions=3)
    conditions_seen = []
    for network in (objective.g, objective.d):
        network.register_forward_pre_hook(lambda _, given: conditions_seen.append(given[1].tolist()))
    objective.loss_d(torch.tensor([0, 4, 2]))
    assert conditions_seen[:3] == [[0, 1, 2]] * 3
