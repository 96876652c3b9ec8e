"""The loop: batches, phases, steps."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from genbalance.losses import gan
from genbalance.runtime.device import generator, initialised
from genbalance.runtime.errors import UserError
from genbalance.training.loop import (
    CHECK_EVERY,
    Phase,
    batches,
    check_batch_size,
    check_classes,
    check_turns,
    inverse_shares,
    linear_fall,
    nan_guard,
    steps,
)

CPU = torch.device("cpu")


def order(seed=0):
    return generator(seed, "order")


@pytest.mark.parametrize(("count", "size"), [(10, 3), (12, 4), (7, 7), (5, 1), (100, 64)])
def test_a_pass_visits_no_image_twice_and_leaves_out_less_than_a_batch(count, size):
    passes = list(batches(count, size, order()))
    assert [len(batch) for batch in passes] == [size] * (count // size)
    visited = torch.cat(passes)
    assert len(visited.unique()) == len(visited)
    assert visited.min() >= 0
    assert visited.max() < count
    assert count - len(visited) < size


def test_the_order_is_the_generators_and_goes_on_from_pass_to_pass():
    one, two = order(), order()
    first = [torch.cat(list(batches(50, 5, stream))) for stream in (one, two)]
    second = [torch.cat(list(batches(50, 5, stream))) for stream in (one, two)]
    assert torch.equal(*first)
    assert torch.equal(*second)
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[0], torch.cat(list(batches(50, 5, order(1)))))


def test_over_many_passes_each_image_is_left_out_as_often_as_another():
    stream, visits = order(), torch.zeros(10)
    for _ in range(2000):
        for batch in batches(10, 4, stream):
            visits[batch] += 1
    assert (visits / 2000 - 0.8).abs().max() < 0.05


UNEVEN = np.repeat([0, 3, 1, 7], [3, 40, 200, 757])[np.random.default_rng(0).permutation(1000)]
"""Labels of a thousand images of four classes."""


def test_rebalanced_batches_draw_classes_and_the_images_of_a_class_equally_often():
    passes = [torch.cat([*batches(1000, 32, stream, UNEVEN)]) for stream in [order()] for _ in range(40)]
    drawn = torch.cat(passes).numpy()
    assert {len(each) for each in passes} == {1000 // 32 * 32}  # as many as without
    of_class = np.array([(UNEVEN[drawn] == label).sum() for label in (0, 1, 3, 7)])
    assert chisquare(of_class).pvalue > 0.001
    for label in (0, 1):
        times = np.bincount(drawn, minlength=1000)[label == UNEVEN]
        assert chisquare(times).pvalue > 0.001


def test_rebalanced_batches_are_the_generators_and_differ_from_pass_to_pass():
    one, two = order(), order()
    first, second = ([torch.cat([*batches(1000, 50, stream, UNEVEN)]) for stream in (one, two)] for _ in range(2))
    assert torch.equal(*first)
    assert torch.equal(*second)
    assert not torch.equal(first[0], second[0])


def test_without_labels_batches_are_the_bytes_that_they_were():
    drawn = torch.cat([*batches(1000, 10, order())])
    assert torch.equal(drawn, torch.randperm(1000, generator=order()))


def test_inverse_shares_let_each_class_weigh_the_same():
    weights = inverse_shares(UNEVEN)
    assert np.bincount(UNEVEN, weights)[[0, 1, 3, 7]] == pytest.approx([250] * 4)
    assert inverse_shares(np.arange(6) % 3).tolist() == [1] * 6


@pytest.fixture
def pair():
    """G and D of one linear layer each, as two phases."""
    g = initialised(lambda: nn.Linear(3, 4), 0, "g", CPU)
    d = initialised(lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), 0, "d", CPU)
    real, latents = torch.randn(32, 4, generator=order(2)), torch.randn(32, 3, generator=order(3))

    losses = gan.LOSSES["non_saturating"]

    def loss_d(batch):
        on_real, on_generated = d(real[batch]), d(g(latents[batch]))
        return {
            "loss_d": gan.LOSSES["non_saturating"].d(on_real, on_generated),
            "accuracy": (on_real > 0).float().mean(),
        }

    def loss_g(batch):
        return {"loss_g": losses.g(None, d(g(latents[batch])))}

    return (
        Phase("d", d, torch.optim.SGD(d.parameters(), 0.1), "loss_d", loss_d),
        Phase("g", g, torch.optim.SGD(g.parameters(), 0.1), "loss_g", loss_g),
    )


def vector(module):
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


@pytest.mark.parametrize("stepping", [0, 1], ids=["d", "g"])
def test_a_step_moves_its_own_network_and_leaves_weights_and_gradients_of_the_other(pair, stepping):
    own, other = pair[stepping], pair[1 - stepping]
    for p in other.module.parameters():
        p.grad = torch.full_like(p, 7.0)
    before = [vector(phase.module) for phase in (own, other)]
    own.step(torch.arange(8))
    assert not torch.equal(vector(own.module), before[0])
    assert torch.equal(vector(other.module), before[1])
    assert all((p.grad == 7).all() for p in other.module.parameters())


@pytest.mark.parametrize("stepping", [0, 1], ids=["d", "g"])
def test_a_step_descends_its_objective_and_yields_the_norm_of_its_gradient(pair, stepping):
    phase, batch = pair[stepping], torch.arange(8)
    loss = phase.loss(batch)[phase.objective]
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(phase.module.parameters()))])
    before = vector(phase.module)
    scalars = phase.step(batch)
    torch.testing.assert_close(scalars[f"grad_norm_{phase.name}"], gradient.norm())
    torch.testing.assert_close(scalars[phase.objective], loss.detach())  # of the weights before the update
    torch.testing.assert_close(vector(phase.module), before - 0.1 * gradient)
    assert phase.loss(batch)[phase.objective] < loss


def test_gradients_do_not_pile_up_from_step_to_step():
    module = nn.Linear(2, 1, bias=False)
    x = torch.tensor([[3.0, 4.0]])
    phase = Phase("it", module, torch.optim.SGD(module.parameters(), 0.1), "loss", lambda _: {"loss": module(x).sum()})
    norms = [phase.step(torch.arange(1))["grad_norm_it"].item() for _ in range(3)]
    assert norms == pytest.approx([5.0, 5.0, 5.0])


def test_steps_updates_every_phase_on_every_batch_in_turn_and_yields_all_scalars(pair):
    d, g = pair
    seen = []

    def spied(phase):
        def loss(batch):
            seen.append((phase.name, batch.tolist()))
            return phase.loss(batch)

        return Phase(phase.name, phase.module, phase.optimizer, phase.objective, loss)

    indices = [torch.arange(4), torch.arange(4, 8), torch.arange(8, 12)]
    results = list(steps([spied(d), spied(g)], iter(indices)))
    assert seen == [(name, batch.tolist()) for batch in indices for name in ("d", "g")]
    assert [set(scalars) for scalars in results] == [
        {"loss_d", "accuracy", "grad_norm_d", "loss_g", "grad_norm_g"} for _ in indices
    ]
    assert all(value.dim() == 0 and not value.requires_grad for scalars in results for value in scalars.values())


def test_the_generator_answers_to_the_discriminator_that_was_just_updated(pair):
    d, g = pair
    before = g.loss(torch.arange(8))["loss_g"]
    (scalars,) = steps([d, g], [torch.arange(8)])
    assert scalars["loss_g"] != before.detach()


def test_a_batch_larger_than_the_training_split_is_refused():
    check_batch_size("gan.batch_size", 64, 64)
    with pytest.raises(UserError) as caught:
        check_batch_size("gan.batch_size", 65, 64)
    text = str(caught.value)
    assert "gan.batch_size: found 65" in text
    assert "at most 64" in text
    assert "\n" not in text


def test_a_phase_without_a_turn_in_each_epoch_is_refused():
    check_turns("gan.d_steps", 5, 5)
    with pytest.raises(UserError, match=r"^gan\.d_steps: found 6, but an epoch has 5 steps; allowed: at most 5$"):
        check_turns("gan.d_steps", 6, 5)


def test_a_phase_takes_its_turn_every_so_many_steps(pair):
    d, g = pair
    seldom = Phase(g.name, g.module, g.optimizer, g.objective, g.loss, every=3)
    told = list(steps([d, seldom], [torch.arange(4)] * 7))
    assert ["loss_g" in scalars for scalars in told] == [False, False, True, False, False, True, False]
    assert all("loss_d" in scalars for scalars in told)


def test_the_step_size_stays_and_then_falls_in_a_line_to_zero():
    factors = [linear_fall(10, 0.4)(done) for done in range(11)]
    assert factors == pytest.approx([1] * 7 + [0.75, 0.5, 0.25, 0])
    assert [linear_fall(4, 1.0)(done) for done in range(5)] == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert [linear_fall(10, 0.0)(done) for done in (0, 5, 10)] == [1, 1, 1]


class OnGpu:
    """A scalar that says it lies on a GPU, where each check of it waits."""

    is_cuda = True

    def __init__(self, value, checks):
        self.value, self.checks = value, checks

    def __float__(self):
        return self.value


def take(steps, taken):
    taken += steps


def scalars(count, bad_at=None, value=math.nan):
    for number in range(1, count + 1):
        yield {"loss_d": torch.tensor(0.5), "loss_g": torch.tensor(value if number == bad_at else 0.25 * number)}


def test_finite_steps_go_through_as_they_are():
    given = list(scalars(50))
    taken = list(nan_guard(iter(given), 1, "nothing"))
    assert all(one is other for one, other in zip(taken, given, strict=True))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("bad_at", [1, 7, 30])
def test_the_bad_step_is_named_with_its_terms_and_the_advice_and_never_yielded(value, bad_at):
    taken = []
    with pytest.raises(UserError) as caught:
        take(nan_guard(scalars(30, bad_at, value), 4, "a smaller gan.learning_rate"), taken)
    assert len(taken) == bad_at - 1
    assert str(caught.value) == (
        f"epoch 4, step {bad_at}: loss_g is {value} (loss_d 0.5): the training has diverged; "
        "try a smaller gan.learning_rate"
    )


@pytest.mark.parametrize(("bad_at", "raised_after"), [(3, 19), (20, 19), (21, 39), (45, 45)])
def test_on_a_gpu_it_checks_seldom_and_still_names_the_first_bad_step(bad_at, raised_after, monkeypatch):
    checks = []

    def stack(values):
        checks.append(len(values))
        return torch.tensor([value.value for value in values])

    monkeypatch.setattr(torch, "stack", stack)
    given = [{"loss": OnGpu(math.inf if number >= bad_at else 1.0, checks)} for number in range(1, 46)]
    taken = []
    with pytest.raises(UserError, match=f"epoch 1, step {bad_at}: loss is inf"):
        take(nan_guard(given, 1, "less"), taken)
    assert len(taken) == raised_after
    assert all(count <= CHECK_EVERY for count in checks)
    assert len(checks) == -(-(raised_after + 1) // CHECK_EVERY)


def test_a_conditional_model_needs_two_classes():
    check_classes("gan.conditional", True, 2)
    check_classes("gan.conditional", False, 0)
    with pytest.raises(
        UserError, match=r"^gan.conditional: found true, but the images have no labels; allowed: false$"
    ):
        check_classes("gan.conditional", True, 0)
    with pytest.raises(UserError, match="but the images have one class"):
        check_classes("vae.conditional", True, 1)
