"""G's loss through further steps of D: its gradient, what it leaves alone, and the modes that it keeps."""

import math
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from genbalance.losses.gan import LOSSES
from genbalance.models.gan import Discriminator
from genbalance.runtime.device import initialised
from genbalance.training.unrolling import look_ahead

CPU = torch.device("cpu")
LOSS = LOSSES["non_saturating"]
OPTIMIZERS = {
    "adam": lambda network: Adam(network.parameters(), 0.01, (0.5, 0.9)),
    "adam without a first moment": lambda network: Adam(network.parameters(), 0.01, (0.0, 0.99), fused=True),
    "sgd": lambda network: SGD(network.parameters(), 0.3),
}
ARCHS = [(arch, spectral) for arch in ("mlp", "dcgan", "style", "dense") for spectral in (False, True)]


def perceptron(inputs, width, outputs):
    return nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))


@pytest.fixture
def pair():
    """Tiny smooth G: 2 → 2 and D: 2 → 1 in float64, points and latents."""
    g, d = (initialised(lambda n=n: perceptron(2, 5, n), 0, "net", CPU).double() for n in (2, 1))
    noise = torch.Generator().manual_seed(2)
    real, latents = (torch.randn(7, 2, generator=noise, dtype=torch.float64) for _ in range(2))
    return g, d, real, latents


def loss_d(d, real, generated):
    return LOSS.d(d(real).flatten(), d(generated).flatten())


def step(network, optimizer, real, generated):
    """A real step of D."""
    optimizer.zero_grad()
    loss_d(network, real, generated).backward()
    optimizer.step()


def after_real_steps(d, optimizer, steps, real, generated):
    """A copy of D after so many steps of a copy of its optimizer."""
    copied = deepcopy((d, optimizer))
    for _ in range(steps):
        step(*copied, real, generated)
    return copied[0]


@pytest.fixture(params=OPTIMIZERS.values(), ids=OPTIMIZERS)
def optimizer(request, pair):
    """D's, which has made steps before."""
    _, d, real, latents = pair
    made = request.param(d)
    for _ in range(3):
        step(d, made, real, latents)
    return made


@pytest.mark.parametrize("steps", [1, 3])
def test_the_weights_ahead_are_those_of_as_many_real_steps(pair, optimizer, steps):
    g, d, real, latents = pair
    generated = g(latents).detach()
    ahead = look_ahead(d, optimizer, lambda d: loss_d(d, real, generated), steps)
    expected = after_real_steps(d, optimizer, steps, real, generated)
    torch.testing.assert_close(ahead(real), expected(real), rtol=1e-12, atol=1e-13)
    assert (ahead(real) - d(real)).abs().max() > 1e-3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_that_has_made_no_step_starts_from_no_moments(pair, name):
    _, d, real, latents = pair
    optimizer = OPTIMIZERS[name](d)
    ahead = look_ahead(d, optimizer, lambda d: loss_d(d, real, latents), 2)
    assert not optimizer.state
    torch.testing.assert_close(ahead(real), after_real_steps(d, optimizer, 2, real, latents)(real), rtol=1e-12, atol=0)


def test_the_rate_is_the_schedules_present_one(pair, optimizer):
    _, d, real, latents = pair
    optimizer.param_groups[0]["lr"] = 0.0
    ahead = look_ahead(d, optimizer, lambda d: loss_d(d, real, latents), 2)
    torch.testing.assert_close(ahead(real), d(real), rtol=0, atol=0)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_generators_gradient_through_ds_steps_is_that_of_finite_differences(pair, optimizer, steps):
    """Every weight of G, against losses after real steps of the optimizer."""
    g, d, real, latents = pair
    generated = g(latents)
    ahead = look_ahead(d, optimizer, lambda d: loss_d(d, real, generated), steps)
    loss = LOSS.g(None, ahead(generated).flatten())
    found = nn.utils.parameters_to_vector(torch.autograd.grad(loss, list(g.parameters())))

    def loss_by_real_steps(weights):
        nn.utils.vector_to_parameters(weights, (moved := deepcopy(g)).parameters())
        generated = moved(latents).detach()
        return LOSS.g(None, after_real_steps(d, optimizer, steps, real, generated)(generated).flatten()).item()

    weights = nn.utils.parameters_to_vector(g.parameters()).detach()
    moves = 1e-6 * torch.eye(len(weights), dtype=torch.float64)
    expected = [(loss_by_real_steps(weights + move) - loss_by_real_steps(weights - move)) / 2e-6 for move in moves]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=1e-8)


def test_the_steps_add_to_the_gradient_of_the_plain_loss(pair, optimizer):
    g, d, real, latents = pair
    found = []
    for through in (True, False):
        generated = g(latents)
        seen = generated if through else generated.detach()
        ahead = look_ahead(d, optimizer, lambda d, seen=seen: loss_d(d, real, seen), 2)
        loss = LOSS.g(None, ahead(generated).flatten())
        found.append(torch.cat([p.flatten() for p in torch.autograd.grad(loss, list(g.parameters()))]))
    assert (found[0] - found[1]).norm() > 0.01 * found[1].norm()


def test_no_steps_are_the_network_as_it_is(pair, optimizer):
    _, d, real, _ = pair
    assert torch.equal(look_ahead(d, optimizer, lambda d: pytest.fail("no loss is needed"), 0)(real), d(real))


def test_weights_that_never_had_a_gradient_stay_and_give_finite_ones(pair):
    """Adam divides by the root of 0 there."""
    g, d, real, latents = pair
    with torch.no_grad():
        d[2].weight.zero_()  # so that nothing comes back to the first layer, and first moments of it are 0
    g, d, real, latents = g.float(), d.float(), real.float(), latents.float()
    optimizer = Adam(d.parameters(), 0.01, (0.0, 0.99))
    generated = g(latents)
    ahead = look_ahead(d, optimizer, lambda d: loss_d(d, real, generated), 3)
    for gradient in torch.autograd.grad(LOSS.g(None, ahead(generated).flatten()), list(g.parameters())):
        assert gradient.isfinite().all()


def test_other_optimizers_are_refused(pair):
    _, d, *_ = pair
    with pytest.raises(TypeError, match="RMSprop"):
        look_ahead(d, torch.optim.RMSprop(d.parameters()), lambda d: None, 1)


def state_of(network, optimizer):
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [t.clone() for t in [*network.parameters(), *network.buffers(), *moments]]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("arch", "spectral"), ARCHS)
def test_every_architecture_looks_ahead_and_stays_as_it_is(arch, spectral, fused, bf16):
    """In training mode, where dropout draws and spectral normalisation updates its vectors."""
    d = initialised(lambda: Discriminator(arch, [1, 8, 8], 4, 3, spectral), 0, "d", CPU)
    optimizer = Adam(d.parameters(), 2e-3, (0.0, 0.99), fused=fused)
    noise, conditions = torch.Generator().manual_seed(3), torch.arange(6) % 3
    real = torch.rand(6, 1, 8, 8, generator=noise) * 2 - 1
    generated = torch.rand(6, 1, 8, 8, generator=noise).requires_grad_()
    for _ in range(2):
        optimizer.zero_grad()
        LOSS.d(d(real, conditions), d(generated.detach(), conditions)).backward()
        optimizer.step()
    before, given = state_of(d, optimizer), [p.grad.clone() for p in d.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        ahead = look_ahead(d, optimizer, lambda d: LOSS.d(d(real, conditions), d(generated, conditions)), 2)
        loss = LOSS.g(None, ahead(generated, conditions))
    loss.backward()
    assert generated.grad.isfinite().all()
    assert generated.grad.abs().max() > 0
    assert all(map(torch.equal, state_of(d, optimizer), before))
    assert all(torch.equal(p.grad, g) for p, g in zip(d.parameters(), given, strict=True))


@pytest.mark.parametrize(("arch", "spectral"), ARCHS)
def test_every_architectures_steps_ahead_are_real_ones_and_its_gradient_that_of_finite_differences(arch, spectral):
    d = initialised(lambda: Discriminator(arch, [1, 8, 8], 4, 0, spectral), 0, "d", CPU).double().eval()
    noise = torch.Generator().manual_seed(3)
    real, generated, direction = (torch.rand(4, 1, 8, 8, generator=noise, dtype=torch.float64) for _ in range(3))
    optimizer = Adam(d.parameters(), 1e-3, (0.5, 0.99))
    for _ in range(4):
        step(d, optimizer, real, generated)

    def ahead_of(images):
        return look_ahead(d, optimizer, lambda d: loss_d(d, real, images), 2)

    ahead, expected = ahead_of(generated), after_real_steps(d, optimizer, 2, real, generated)
    torch.testing.assert_close(ahead(generated), expected(generated), rtol=1e-10, atol=1e-12)

    along = torch.zeros((), dtype=torch.float64, requires_grad=True)
    moved = generated + along * direction
    (slope,) = torch.autograd.grad(LOSS.g(None, ahead_of(moved)(moved)), along)
    sides = [LOSS.g(None, ahead_of(generated + h * direction)(generated + h * direction)) for h in (1e-7, -1e-7)]
    assert slope.item() == pytest.approx(((sides[0] - sides[1]) / 2e-7).item(), rel=1e-3)


def modes_on_the_ring(steps_ahead):
    """Modes of eight Gaussians on a ring that have at least 2% of the samples within 0.5 of their means: the mean of
    three measurements late in 200 steps in which G's are ten times D's (Metz et al. 2017, section 3.1)."""
    chance = torch.Generator().manual_seed(3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        g, d = (
            nn.Sequential(nn.Linear(n, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, m))
            for n, m in ((16, 2), (2, 1))
        )
    angles = torch.arange(8) * math.pi / 4
    means = 2 * torch.stack([angles.cos(), angles.sin()], dim=1)
    of_d, of_g = (Adam(network.parameters(), rate, (0.5, 0.999)) for network, rate in ((d, 1e-3), (g, 1e-2)))
    found = []
    for number in range(1, 201):
        real = means[torch.randint(8, (64,), generator=chance)] + 0.02 * torch.randn(64, 2, generator=chance)
        step(d, of_d, real, g(torch.randn(64, 16, generator=chance)).detach())
        generated = g(torch.randn(64, 16, generator=chance))
        ahead = look_ahead(d, of_d, lambda d: loss_d(d, real, generated), steps_ahead)  # noqa: B023
        of_g.zero_grad()
        LOSS.g(None, ahead(generated).flatten()).backward()
        of_g.step()
        if number in (100, 150, 200):
            with torch.no_grad():
                distances, nearest = torch.cdist(g(torch.randn(1000, 16, generator=chance)), means).min(dim=1)
            found.append((torch.bincount(nearest[distances < 0.5], minlength=8) >= 20).sum().item())
    return sum(found) / len(found)


def test_on_a_ring_of_eight_gaussians_five_steps_ahead_keep_modes_that_none_drops():
    assert modes_on_the_ring(0) <= 3.5
    assert modes_on_the_ring(5) >= 5
