"""What D and G minimise, with which penalties, and what is measured meanwhile."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from killed_run import Killed, Run
from torch.optim import SGD, Adam

from genbalance.data.prepared import Prepared, Split
from genbalance.losses import gan as losses
from genbalance.models.gan import Gan
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised, lowered
from genbalance.runtime.errors import UserError
from genbalance.training import gan as training
from genbalance.training.balance import FACTOR
from genbalance.training.gan import HELD_OUT_EVERY, ConditionedImages, GanObjective, build_optimizer, train

CPU = torch.device("cpu")
PARAMS = read_params()
CONFIG = PARAMS.gan
BATCH = torch.arange(6)


def images(n=12, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def objective_of(conditions=0, spectral=False, arch="mlp", **changes):
    plain = {"r1": 0.0, "loss": "non_saturating", "batch_size": 1}
    gan = initialised(lambda: Gan(arch, [1, 8, 8], 4, 4, conditions, 0, spectral), 0, "gan", CPU).eval()
    known = torch.arange(12) % conditions if conditions else None
    config = CONFIG.model_copy(update=plain | changes)
    held_out = ConditionedImages(images(12, 2), known)
    streams = (generator(0, name) for name in ("noise", "penalty", "chance", "augment"))
    optimizer = build_optimizer(config, gan.discriminator, config.learning_rate)
    return GanObjective(gan, ConditionedImages(images(), known), held_out, config, optimizer, *streams)


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
        torch.testing.assert_close(found, losses.LOSSES["non_saturating"].g(None, objective.d(fake)))
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
    torch.testing.assert_close(objective_of(r1=0.5).loss_d(BATCH)["r1"], losses.slope_penalty(objective.d(real), real))


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


@pytest.mark.parametrize("every", [1, 3])
def test_r2_is_r1_of_generated_images(every):
    objective = objective_of(r1=0.5, r2=0.25, r1_every=every)
    for step in range(7):
        scalars = objective.loss_d(BATCH)
        assert ("r1" in scalars) == ("r2" in scalars) == (step % every == 0)
        expected = scalars["loss_d"]
        if "r2" in scalars:
            expected = expected + every * (0.5 * scalars["r1"] + 0.25 * scalars["r2"])
        torch.testing.assert_close(scalars["objective_d"], expected)
    objective = objective_of(r1=0.0, r2=0.25)
    scalars = objective.loss_d(BATCH)
    assert "r1" not in scalars
    fake = objective.g(torch.randn(6, 4, generator=generator(0, "noise"))).detach().requires_grad_()
    torch.testing.assert_close(scalars["r2"], losses.slope_penalty(objective.d(fake), fake))


def test_with_their_images_exchanged_r1_and_r2_are_exchanged():
    """Where G makes the training images, and those are what it made before."""
    objective, exchanged = (objective_of(r1=0.5, r2=0.25) for _ in range(2))
    fake = objective.g(torch.randn(6, 4, generator=generator(0, "noise"))).detach()
    exchanged._train = ConditionedImages(fake, None)
    exchanged._generate = lambda *_: images()[:6]
    one, other = objective.loss_d(BATCH), exchanged.loss_d(BATCH)
    torch.testing.assert_close((one["r1"], one["r2"]), (other["r2"], other["r1"]))


def test_r2_sends_no_gradient_to_the_generator_and_none_comes_with_wasserstein():
    objective = objective_of(r2=0.5, r1_every=1)
    objective.loss_d(BATCH)["objective_d"].backward()
    assert all(p.grad is None for p in objective.g.parameters())
    assert "r2" not in objective_of(loss="wasserstein", r2=0.5, r1_every=1).loss_d(BATCH)


def test_the_relativistic_generator_loss_is_that_of_pairs_of_the_batch():
    objective = objective_of(loss="relativistic")
    found = objective.loss_g(BATCH)["loss_g"]
    fake = objective.g(torch.randn(6, 4, generator=generator(0, "noise")))
    expected = losses.LOSSES["relativistic"].g(objective.d(images()[:6]), objective.d(fake))
    torch.testing.assert_close(found, expected)


def test_d_is_asked_about_real_images_in_the_generators_step_where_the_loss_needs_it_alone():
    for loss, calls in (("non_saturating", 1), ("hinge", 1), ("wasserstein", 1), ("relativistic", 2)):
        objective, counted = objective_of(loss=loss), []
        objective.d.register_forward_hook(lambda *_, counted=counted: counted.append(1))
        objective.loss_g(BATCH)
        assert len(counted) == calls


@pytest.mark.parametrize("side", ["d", "g"])
def test_d_sees_all_images_augmented_in_either_step(side):
    """Of images that are one grey each, real, held out or generated, a cut shows."""
    objective, seen = objective_of(augment="cutout", loss="relativistic"), []
    flat = torch.full((12, 1, 8, 8), 0.5)
    objective._train = objective._held_out = ConditionedImages(flat, None)
    objective._generate = lambda conditions, count: -flat[:count]
    objective.d.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    getattr(objective, f"loss_{side}")(BATCH)
    assert [given.sum().sign().item() for given in seen] == ([1, -1, 1] if side == "d" else [1, -1])
    for given in seen:
        assert ((given == 0).flatten(1).sum(dim=1) > 0).all()
    assert len({str((given == 0).tolist()) for given in seen}) == len(seen)  # each drawn for itself


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.01), ("sgd", 1.0)])
def test_the_generators_loss_ahead_is_that_after_real_steps_of_d_on_the_same_batch(optimizer, rate):
    objective = objective_of(unrolled_steps=3, optimizer=optimizer, learning_rate=rate)
    d = deepcopy(objective.d)
    fake = objective.g(torch.randn(6, 4, generator=generator(0, "noise"))).detach()
    made = build_optimizer(objective._config, d, rate)
    for _ in range(3):
        made.zero_grad()
        losses.LOSSES["non_saturating"].d(d(images()[:6]), d(fake)).backward()
        made.step()
    expected = losses.LOSSES["non_saturating"].g(None, d(fake))
    torch.testing.assert_close(objective.loss_g(BATCH)["loss_g"], expected)
    assert (expected - objective_of().loss_g(BATCH)["loss_g"]).abs() > 1e-3


def test_without_steps_ahead_the_loss_is_the_plain_one_to_the_bit():
    objective = objective_of(unrolled_steps=0)
    fake = objective.g(torch.randn(6, 4, generator=generator(0, "noise")))
    expected = losses.LOSSES["non_saturating"].g(None, objective.d(fake))
    assert torch.equal(objective.loss_g(BATCH)["loss_g"], expected)


def test_the_optimizer_is_adam_with_its_moments_or_plain_sgd():
    adam, sgd = (objective_of(optimizer=name, adam_beta1=0.3)._d_optimizer for name in ("adam", "sgd"))
    assert isinstance(adam, Adam)
    assert adam.defaults["betas"] == (0.3, CONFIG.adam_beta2)
    assert isinstance(sgd, SGD)
    assert sgd.defaults["momentum"] == sgd.defaults["weight_decay"] == 0


@pytest.mark.parametrize("loss", losses.LOSSES)
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("bf16", [False, True])
def test_all_choices_together_give_each_network_finite_gradients(loss, steps, bf16):
    changes = {"r1": 0.1, "r2": 0.1, "r1_every": 1, "unrolled_steps": steps, "augment": "color_translation_cutout"}
    objective = objective_of(3, loss=loss, **changes)
    for side, network, objective_name in (("d", objective.d, "objective_d"), ("g", objective.g, "loss_g")):
        lowered(getattr(objective, f"loss_{side}"), bf16, CPU)(BATCH)[objective_name].backward()
        for name, p in network.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
            # one bias of all logits moves no difference of them, nor what lies between both margins of hinge
            assert p.grad.abs().max() > 0 or name == "head.bias", name


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


@pytest.mark.parametrize("arch", ["style", "dense"])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("spectral", [False, True])
def test_the_larger_architectures_train_with_every_weight(arch, bf16, spectral):
    objective = objective_of(3, spectral, arch, r1=0.1, r1_every=1)
    for network, loss, name in (
        (objective.d, objective.loss_d, "objective_d"),
        (objective.g, objective.loss_g, "loss_g"),
    ):
        network.train()
        lowered(loss, bf16, CPU)(BATCH)[name].backward()
        for key, p in network.named_parameters():
            assert p.grad.isfinite().all(), key
            assert p.grad.abs().max() > 0 or key == "embedding.weight", key


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


def trained(run, lambda_=0.5, **changes):
    """On 48 images in batches of 4: 12 steps an epoch, in the first and the ninth of which D is measured."""
    splits = [
        Split(np.random.default_rng(seed).integers(0, 256, (count, 8, 8)).astype(np.uint8), np.zeros(count, np.int64))
        for seed, count in enumerate((48, 16, 16))
    ]
    small = {"epochs": 4, "batch_size": 4, "latents": 4, "width": 4, "clusters": 0, "balance": "accuracy"}
    torch.manual_seed(0)  # of what draws without being named, as a stage has it
    checkpoint = PARAMS.checkpoint.model_copy(update={"seconds": 0.0})
    update = {"lambda_": lambda_, "gan": CONFIG.model_copy(update=small | changes), "checkpoint": checkpoint}
    return train(PARAMS.model_copy(update=update), Prepared(*splits, "made", "Noise", 1, 0.5, 0.5), CPU, run)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("d_steps", [1, 2])
def test_a_training_that_adapts_lambda_resumes_to_the_same_bytes(d_steps, capsys):
    whole = trained(Run(), d_steps=d_steps)
    with pytest.raises(Killed):
        trained(Run("a" * 64, killed_in=3), d_steps=d_steps)
    resumed = trained(Run("a" * 64), d_steps=d_steps)
    assert "train_gan: resuming after epoch 2" in capsys.readouterr().err
    assert resumed.curves.to_csv() == whole.curves.to_csv()
    assert resumed.metrics == whole.metrics
    for name, weight in whole.weights.items():
        assert torch.equal(resumed.weights[name], weight), name
    assert whole.metrics["lambda_reached"] == pytest.approx(whole.curves["lambda"].iloc[-1], rel=1e-5)
    last = whole.curves.iloc[-1]
    assert last["loss_total"] == pytest.approx(last["loss_d"] + last["lambda"] * last["loss_g"], rel=1e-4)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("accuracy", "power", "lr_decay"), [(1.0, 1, 0.0), (1.0, 1, 1.0), (0.6, 0, 1.0), (0.0, -1, 1.0)]
)
def test_lambda_is_the_ratio_of_step_sizes_throughout(accuracy, power, lr_decay, monkeypatch):
    """Whatever D is measured at, and while both fall to 0."""
    measured, sizes, made = GanObjective._held_out_scalars, [], []
    monkeypatch.setattr(
        GanObjective,
        "_held_out_scalars",
        lambda *given: measured(*given) | {"d_accuracy_held_out": torch.tensor(accuracy, dtype=torch.float64)},
    )
    monkeypatch.setattr(training, "build_optimizer", lambda *given: made.append(build_optimizer(*given)) or made[-1])
    loss_g = GanObjective.loss_g

    def watched(objective, batch):
        sizes.append([optimizer.param_groups[0]["lr"] for optimizer in made])
        return loss_g(objective, batch)

    monkeypatch.setattr(GanObjective, "loss_g", watched)
    found = trained(Run(), epochs=2, lr_decay=lr_decay, target_accuracy=0.6)
    ratios = [lr_g / lr_d for lr_d, lr_g in sizes]
    measurements = [0] + [1] * 8 + [2] * 8 + [3] * 7  # before each step of G: those of steps 0, 8 and 16 of D
    assert ratios == pytest.approx([0.5 * FACTOR ** (power * n) for n in measurements])
    assert (sizes[-1][0] < sizes[0][0]) == (lr_decay > 0)
    assert found.metrics["lambda_reached"] == pytest.approx(0.5 * FACTOR ** (3 * power))


@pytest.mark.usefixtures("repository")
def test_lambda_grows_no_further_than_to_a_step_size_of_one():
    found = trained(Run(), lambda_=4.9, learning_rate=0.2, epochs=1, target_accuracy=0.01, optimizer="sgd")
    assert found.metrics["lambda_reached"] <= 5


@pytest.mark.usefixtures("repository")
def test_a_fixed_lambda_has_no_curve():
    found = trained(Run(), balance="fixed", epochs=1)
    assert "lambda" not in found.curves
    assert "lambda_reached" not in found.metrics


@pytest.mark.usefixtures("repository")
def test_a_generator_that_stands_still_loses_and_says_so(capsys):
    found = trained(Run(), lambda_=0.001, balance="fixed", epochs=8)
    assert {*found.metrics["alarms"]} == {"discriminator_won", "mode_collapse"}
    assert found.curves["sample_variance"].max() < 0.2
    lines = capsys.readouterr().err.splitlines()
    for sentence in found.metrics["alarms"].values():
        assert lines.count(f"train_gan: warning: {sentence}") == 1


@pytest.mark.usefixtures("repository")
def test_alarms_are_the_same_after_a_kill():
    whole = trained(Run(), lambda_=0.001, balance="fixed", epochs=8).metrics
    with pytest.raises(Killed):
        trained(Run("b" * 64, killed_in=7), lambda_=0.001, balance="fixed", epochs=8)
    assert trained(Run("b" * 64), lambda_=0.001, balance="fixed", epochs=8).metrics == whole


def uneven(count, seed):
    """Nine dark images of class 0 to one bright of class 1."""
    labels = (np.arange(count) % 10 == 0).astype(np.int64)
    levels = np.random.default_rng(seed).integers(0, 60, (count, 8, 8))
    return Split((levels + 180 * labels[:, None, None]).astype(np.uint8), labels)


@pytest.mark.parametrize(("rebalance", "shares"), [(False, [0.1, 0.9]), (True, [0.5, 0.5])])
def test_clusters_of_rebalanced_classes_are_drawn_equally_often(rebalance, shares):
    dataset = Prepared(*(uneven(100, seed) for seed in range(3)), "made", "Levels", 2, 0.5, 0.5)
    config = CONFIG.model_copy(update={"arch": "mlp", "latents": 4, "clusters": 2, "rebalance": rebalance})
    gan = training.build_gan(config, dataset, 0, CPU)[0]
    assert sorted(gan.conditions.shares[0].tolist()) == pytest.approx(shares)


def test_data_without_classes_cannot_be_rebalanced():
    with pytest.raises(UserError, match="rebalance: found true, but the images have one class; allowed: false"):
        trained(None, rebalance=True, balance="fixed")


@pytest.mark.usefixtures("repository")
def test_a_rebalanced_training_resumes_to_the_same_bytes(monkeypatch):
    def run(**how):
        splits = [uneven(count, seed) for seed, count in enumerate((48, 16, 16))]
        small = {"epochs": 3, "batch_size": 4, "latents": 4, "width": 4, "clusters": 2, "rebalance": True}
        torch.manual_seed(0)
        checkpoint = PARAMS.checkpoint.model_copy(update={"seconds": 0.0})
        params = PARAMS.model_copy(update={"gan": CONFIG.model_copy(update=small), "checkpoint": checkpoint})
        return train(params, Prepared(*splits, "made", "Levels", 2, 0.5, 0.5), CPU, Run(**how))

    whole = run()
    with pytest.raises(Killed):
        run(key="b" * 64, killed_in=3)
    resumed = run(key="b" * 64)
    assert resumed.curves.to_csv() == whole.curves.to_csv()
    assert all(torch.equal(resumed.weights[name], weight) for name, weight in whole.weights.items())
