"""The two sides of the game: what is minimised with which penalty, and what is looked at."""

import pytest
import torch

from genbalance.acceleration import lowered
from genbalance.adversarial import LOOKS, Digits, Game
from genbalance.compute import generator, initialised
from genbalance.models.gan import Gan
from genbalance.objectives import gan as objective
from genbalance.params import read_params

CPU = torch.device("cpu")
KNOBS = read_params().gan
BATCH = torch.arange(6)


def images(n=12, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def game(conditions=0, spectral=False, **changes):
    plain = {"r1": 0.0, "loss": "non_saturating", "batch_size": 1}
    gan = initialised(lambda: Gan("mlp", 8, 4, 4, conditions, 0, spectral), 0, "gan", CPU).eval()
    known = torch.arange(12) % conditions if conditions else None
    knobs = KNOBS.model_copy(update=plain | changes)
    held_out = Digits(images(12, 2), known)
    streams = (generator(0, name) for name in ("noise", "penalty", "chance"))
    return Game(gan.generator, gan.discriminator, Digits(images(), known), held_out, knobs, *streams)


def test_without_penalties_d_minimises_l_d_of_real_against_generated_images():
    played = game()
    scalars = played.loss_d(BATCH)
    fake = played.g(torch.randn(6, 4, generator=generator(0, "noise")))
    expected = objective.LOSSES["non_saturating"].d(played.d(images()[:6]), played.d(fake))
    torch.testing.assert_close(scalars["loss_d"], expected)
    assert scalars["objective_d"] is scalars["loss_d"]


def test_the_generator_minimises_l_g_of_fresh_images():
    played = game()
    first, second = played.loss_g(BATCH)["loss_g"], played.loss_g(BATCH)["loss_g"]
    stream = generator(0, "noise")
    for found in (first, second):
        fake = played.g(torch.randn(6, 4, generator=stream))
        torch.testing.assert_close(found, objective.LOSSES["non_saturating"].g(played.d(fake)))
    assert first != second


@pytest.mark.parametrize("every", [1, 3])
def test_r1_comes_every_so_many_steps_with_so_many_times_its_weight(every):
    played = game(r1=0.5, r1_every=every)
    for step in range(7):
        scalars = played.loss_d(BATCH)
        assert ("r1" in scalars) == (step % every == 0)
        penalty = scalars.get("r1", torch.tensor(0.0))
        torch.testing.assert_close(scalars["objective_d"], scalars["loss_d"] + 0.5 * every * penalty)
    real = images()[:6].requires_grad_()
    torch.testing.assert_close(game(r1=0.5).loss_d(BATCH)["r1"], objective.r1_penalty(played.d(real), real))


def test_penalties_leave_the_training_images_without_gradients():
    played = game(r1=0.5, r1_every=1)
    played.loss_d(BATCH)["objective_d"].backward()
    assert not played._train.images.requires_grad


def test_wasserstein_has_its_own_penalty_in_the_place_of_r1():
    assert "r1" not in game(loss="wasserstein", r1=0.5, r1_every=1).loss_d(BATCH)


def test_wasserstein_minimises_the_critics_difference_and_its_gradient_penalty():
    scalars = game(loss="wasserstein", gradient_penalty=7.0).loss_d(BATCH)
    expected = scalars["loss_d"] + 7 * scalars["gradient_penalty"]
    torch.testing.assert_close(scalars["objective_d"], expected)
    assert scalars["gradient_penalty"] > 0


@pytest.mark.parametrize("loss", ["non_saturating", "hinge", "wasserstein"])
@pytest.mark.parametrize("conditions", [0, 3])
@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
def test_every_choice_gives_each_network_finite_gradients(loss, conditions, spectral, bf16):
    played = game(conditions, spectral, loss=loss, r1=0.1, r1_every=1)
    lowered(played.loss_d, bf16, CPU)(BATCH)["objective_d"].backward()
    for name, p in played.d.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
    lowered(played.loss_g, bf16, CPU)(BATCH)["loss_g"].backward()
    for name, p in played.g.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().max() > 0, name


def test_held_out_images_are_looked_at_now_and_then_and_never_trained_on():
    played = game()
    seen = ["d_ranking_held_out" in played.loss_d(BATCH) for _ in range(2 * LOOKS + 1)]
    assert seen == [step % LOOKS == 0 for step in range(2 * LOOKS + 1)]


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_every_epoch_has_a_look_at_held_out_images(steps):
    played = game(batch_size=12 // steps)
    for _ in range(5):
        assert any("d_ranking_held_out" in played.loss_d(BATCH) for _ in range(steps))


@pytest.mark.parametrize(("bias", "right"), [(9.0, 1.0), (-9.0, 0.0)])
def test_accuracies_say_on_which_side_d_lies_and_the_ranking_does_not_heed_the_threshold(bias, right):
    played, rankings = game(), []
    for shift in (0.0, bias):
        with torch.no_grad():
            played.d.head.bias.fill_(shift)
        played._d_steps, played._noise, played._chance = 0, generator(0, "noise"), generator(0, "chance")
        scalars = played.loss_d(BATCH)
        rankings.append(scalars["d_ranking_held_out"].item())
    assert scalars["d_accuracy_real"] == scalars["d_accuracy_held_out"] == right
    assert scalars["d_accuracy_generated"] == 1 - right
    assert rankings[0] == rankings[1]


def test_conditions_of_the_batch_go_to_both_networks():
    played = game(conditions=3)
    told = []
    for network in (played.g, played.d):
        network.register_forward_pre_hook(lambda _, given, told=told: told.append(given[1].tolist()))
    played.loss_d(torch.tensor([0, 4, 2]))
    assert told[:3] == [[0, 1, 2]] * 3
