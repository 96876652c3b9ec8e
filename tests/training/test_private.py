"""Differential privacy: what is spent, that no image counts for more than its share, and what is refused."""

import math
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from killed_run import Killed, Run
from scipy.optimize import brentq
from scipy.special import logsumexp
from scipy.stats import norm
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import softplus
from torch.optim import SGD

from genbalance.data.prepared import Prepared, Split
from genbalance.losses.vae import vae_inputs, vae_output_at
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import read_params
from genbalance.runtime.device import generator
from genbalance.runtime.errors import UserError, machine_errors
from genbalance.training import gan, private, vae
from genbalance.training.private import Beside, Guarantee, PrivatePhase, clipped_sum, guarantee, poisson_batches

CPU = torch.device("cpu")
needs_opacus = pytest.mark.skipif(find_spec("opacus") is None, reason="no Opacus: pip install -r .ci/servers.txt")
PARAMS = read_params()
DELTA = 1e-5


def privacy(epsilon, delta=DELTA, most=1.0):
    return PARAMS.privacy.model_copy(update={"epsilon": epsilon, "delta": delta, "max_grad_norm": most})


# ── what is spent ────────────────────────────────────────────────────────────────────────────────────────────────────


def exact(multiplier, steps, delta):
    """ε of a Gaussian mechanism run ``steps`` times on all records: that of one with σ/√steps, from δ(ε) in closed form
    (Balle & Wang 2018, arXiv:1805.06530, theorem 8)."""
    mu = math.sqrt(steps) / multiplier

    def excess(epsilon):
        return norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu) - delta

    return brentq(excess, 0, 100)


def renyi(multiplier, rate, steps, delta, orders):
    """The same out of Rényi divergences (Mironov et al. 2019, arXiv:1908.10530) by plain quadrature of E[(μ/μ₀)^α],
    and the conversion of Canonne et al. 2020 (arXiv:2004.00010, proposition 12)."""
    x, step = np.linspace(-40 * multiplier, 40 * multiplier + 40, 200_001, retstep=True)
    base = norm.logpdf(x, 0, multiplier)
    ratio = np.logaddexp(np.log1p(-rate) if rate < 1 else -np.inf, np.log(rate) + norm.logpdf(x, 1, multiplier) - base)
    found = []
    for order in orders:
        divergence = (logsumexp(base + order * ratio) + math.log(step)) / (order - 1)
        found.append(steps * divergence + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1))
    return min(found)


@needs_opacus
@pytest.mark.filterwarnings("ignore:Optimal order is the largest alpha")  # of Opacus, where it looks for its grid
@pytest.mark.parametrize(("multiplier", "steps"), [(2.0, 1), (20.0, 100), (8.0, 200)])
def test_on_all_images_the_numerical_accountant_of_opacus_agrees_with_the_closed_form(multiplier, steps):
    """And ours, an upper bound, lies above it, by no more than an eighth."""
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(multiplier, 1 - 1e-9, steps)]  # which has no closed form for 1
    expected = exact(multiplier, steps, DELTA)
    assert accountant.get_epsilon(DELTA) == pytest.approx(expected, rel=0.01)
    assert expected < private._spent(multiplier, 1.0, steps, DELTA).epsilon < 1.125 * expected


@needs_opacus
@pytest.mark.parametrize(("multiplier", "rate", "steps"), [(1.0, 0.02, 500), (4.0, 0.1, 300), (1.5, 1.0, 4)])
def test_epsilon_is_that_of_an_independent_computation(multiplier, rate, steps):
    expected = renyi(multiplier, rate, steps, DELTA, np.concatenate([np.linspace(1.5, 10, 18), np.arange(11, 33)]))
    assert private._spent(multiplier, rate, steps, DELTA).epsilon == pytest.approx(expected, rel=0.01)


@needs_opacus
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0, 1000.0])
def test_the_noise_spends_the_epsilon_that_is_asked_for_and_no_more(epsilon):
    found = guarantee(privacy(epsilon), 1000, 50, 60)
    assert 0.99 * epsilon < found.epsilon <= epsilon
    assert (found.sampling_rate, found.steps, found.delta) == (0.05, 60, DELTA)
    assert float(f"{found.noise_multiplier:.4g}") == found.noise_multiplier
    assert found.after(30).epsilon < found.epsilon
    assert found.after(60) == found


def test_without_an_epsilon_there_is_none():
    assert guarantee(privacy("none"), 10, 5, 2) is None


def test_a_delta_that_lets_an_image_be_published_is_refused():
    with pytest.raises(UserError, match=r"^privacy\.delta: found 0\.01 with 100 training images; allowed: below 1/100"):
        guarantee(privacy(1.0, delta=0.01), 100, 10, 5)


def test_without_opacus_a_line_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "opacus"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(UserError) as caught, machine_errors():
        guarantee(privacy(1.0), 1000, 10, 5)
    assert str(caught.value) == ("the Python package opacus is not installed; `pip install 'genbalance[privacy]'`")


def test_each_image_is_drawn_by_itself_with_the_rate():
    found = list(poisson_batches(50, 5, generator(0, "order")))
    assert len(found) == 10
    many = [batch for seed in range(100) for batch in poisson_batches(50, 5, generator(seed, "order"))]
    drawn = torch.stack([torch.zeros(50).index_fill(0, batch, 1) for batch in many])
    assert drawn.mean(dim=0) == pytest.approx(0.1, abs=5 * math.sqrt(0.09 / 1000))
    assert float(drawn.sum(dim=1).var()) == pytest.approx(50 * 0.09, rel=0.15)  # binomial
    assert [batch.tolist() for batch in found] == [b.tolist() for b in poisson_batches(50, 5, generator(0, "order"))]


# ── the gradient of each image ───────────────────────────────────────────────────────────────────────────────────────


def vae_case(arch, likelihood, shape, prior="normal", classes=0, draws=1, count=5):
    """A network, its loss of each image, and inputs."""
    torch.manual_seed(0)
    model = Vae(arch, likelihood, shape, 6, 32, -6.0, prior, classes).to(memory_format=torch.channels_last)
    images, normal = vae_inputs(model, torch.rand(count, *shape), generator(0, "noise"), draws)

    def loss(images, normal, labels=None):
        normal = normal if normal.dim() == 2 else normal.transpose(0, 1)
        return {"loss": vae_output_at(model, images, normal, labels).terms.loss_of_each(0.7)}

    normal = normal if draws == 1 else normal.transpose(0, 1)
    return model, loss, (images, normal, *([torch.arange(count) % classes] if classes else ()))


def d_case(arch, shape, classes=0, count=5):
    torch.manual_seed(0)
    d = Gan(arch, shape, 4, 4, classes, classes).discriminator.eval().to(memory_format=torch.channels_last)
    inputs = (torch.rand(count, *shape), *([torch.arange(count) % classes] if classes else ()))
    return d, lambda *given: {"loss": softplus(-d(*given))}, inputs


CASES = {
    "perceptrons": lambda: vae_case("mlp", "bernoulli", [1, 8, 12]),
    "convolutions": lambda: vae_case("conv", "bernoulli", [1, 12, 12], classes=3),
    "many convolutions, one σ": lambda: vae_case("conv", "gaussian_shared", [3, 32, 32]),
    "logistic mixture": lambda: vae_case("conv", "logistic_mixture", [3, 12, 12]),
    "flow": lambda: vae_case("mlp", "gaussian", [1, 8, 8], "flow"),
    "pseudo-inputs": lambda: vae_case("mlp", "bernoulli", [1, 8, 8], "vamp", 3),
    "ladder": lambda: vae_case("ladder", "bernoulli", [1, 8, 8], classes=2),
    "nvae": lambda: vae_case("nvae", "bernoulli", [1, 8, 8], classes=2),
    "several draws": lambda: vae_case("mlp", "bernoulli", [1, 8, 8], draws=4),
    "as many draws as images, flow": lambda: vae_case("mlp", "bernoulli", [1, 8, 8], "flow", draws=5),
    "D of the DCGAN": lambda: d_case("dcgan", [1, 28, 28]),
    "conditional D of colour": lambda: d_case("dcgan", [3, 32, 40], 5),
    "D of perceptrons": lambda: d_case("mlp", [1, 8, 8], 3),
    "D of the DenseNet-GAN": lambda: d_case("dense", [1, 12, 12]),
}


@pytest.fixture(params=CASES)
def case(request):
    """With weights that are not those at the start, of which many are 0."""
    pytest.importorskip("opacus")
    network, loss, inputs = CASES[request.param]()
    with torch.no_grad():
        for p in network.parameters():
            p += 0.02 * torch.randn(p.shape)
    return network, loss, inputs


class Whole(nn.Module):
    def __init__(self, network, loss):
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, *inputs):
        return self.loss(*inputs)["loss"]


def one_by_one(network, loss, inputs):
    """The gradients of each image by torch.func, all in memory."""
    module = Whole(network, loss)
    weights = {name: p.detach() for name, p in module.named_parameters()}
    of_one = grad(lambda weights, *one: functional_call(module, weights, tuple(x[None] for x in one))[0])
    each = vmap(of_one, (None, *[0] * len(inputs)))(weights, *inputs)
    return {name.removeprefix("network."): gradient for name, gradient in each.items()}


def test_the_clipped_sum_is_that_of_each_image_s_own_gradient(case):
    network, loss, inputs = case
    each = one_by_one(network, loss, inputs)
    norms = torch.stack([g.flatten(1).square().sum(dim=1) for g in each.values()]).sum(dim=0).sqrt()
    most = float(norms.median())
    total, scalars, found = clipped_sum(network, loss, "loss", inputs, most)
    torch.testing.assert_close(found, norms, rtol=1e-4, atol=0)
    torch.testing.assert_close(scalars["loss"], loss(*inputs)["loss"].detach())
    for name, gradient in each.items():
        expected = torch.einsum("b,b...->...", (most / norms).clamp(max=1), gradient)
        torch.testing.assert_close(total[name], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
        assert total[name].stride() == dict(network.named_parameters())[name].stride()


def test_with_a_huge_norm_it_is_the_plain_gradient_of_the_batch(case):
    network, loss, inputs = case
    total, _, _ = clipped_sum(network, loss, "loss", inputs, 1e9)
    gradients = torch.autograd.grad(loss(*inputs)["loss"].sum(), list(network.parameters()), materialize_grads=True)
    for (name, _), expected in zip(network.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(total[name], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def flat(total):
    return torch.cat([gradient.detach().flatten() for gradient in total.values()]).double()


def test_no_image_moves_the_sum_by_more_than_the_norm_nor_another_in_its_place_by_more_than_twice_that(case):
    network, loss, inputs = case
    most = 0.5
    total, _, norms = clipped_sum(network, loss, "loss", inputs, most)
    assert (norms > most).any()
    fewer, _, _ = clipped_sum(network, loss, "loss", [given[1:] for given in inputs], most)
    assert float((flat(total) - flat(fewer)).norm()) <= most * (1 + 1e-4)
    other = [given.clone() for given in inputs]
    other[0][0] = 1 - other[0][0]
    replaced, _, _ = clipped_sum(network, loss, "loss", other, most)
    assert 0 < float((flat(total) - flat(replaced)).norm()) <= 2 * most * (1 + 1e-4)


@needs_opacus
def test_many_images_are_taken_part_by_part(monkeypatch):
    network, loss, inputs = vae_case("conv", "bernoulli", [1, 12, 12], count=7)
    whole, scalars, norms = clipped_sum(network, loss, "loss", inputs, 1.0)
    monkeypatch.setattr(private, "AT_A_TIME", 3)
    parts, of_parts, norms_of_parts = clipped_sum(network, loss, "loss", inputs, 1.0)
    torch.testing.assert_close((parts, of_parts["loss"], norms_of_parts), (whole, scalars["loss"], norms))


# ── a step ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def phase(most=1.0, multiplier=0.0, beside=None, images=40, width=30, size=20):
    """A linear D of fixed images, with a step of 1 by plain SGD."""
    pytest.importorskip("opacus")
    torch.manual_seed(0)
    network, data = nn.Linear(width, 1), torch.randn(images, width)
    return PrivatePhase(
        "d",
        network,
        SGD(network.parameters(), 1.0),
        "loss",
        loss=lambda x: {"loss": softplus(-network(x)[:, 0])},
        draw=lambda batch: (data[batch],),
        size=size,
        most=most,
        noise_multiplier=multiplier,
        noise=generator(0, "privacy"),
        beside=beside,
    ), data


def moved(of, batch):
    before = [p.detach().clone() for p in of.module.parameters()]
    scalars = of.step(batch)
    return torch.cat([(a - b.detach()).flatten() for a, b in zip(before, of.module.parameters(), strict=True)]), scalars


def test_without_noise_and_with_a_huge_norm_a_step_is_the_plain_one():
    of, data = phase(most=1e9)
    batch = torch.arange(20)
    loss = softplus(-of.module(data[batch])[:, 0]).mean()
    expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(of.module.parameters()))])
    step, scalars = moved(of, batch)
    torch.testing.assert_close(step, expected)
    torch.testing.assert_close(scalars["loss"], loss.detach())
    assert float(scalars["clipped_d"]) == 0


def test_the_noise_has_the_standard_deviation_sigma_c_over_the_mean_batch():
    of, _ = phase(most=0.5, multiplier=3.0, width=20_000, images=2, size=20)
    step, scalars = moved(of, torch.arange(0))  # noise alone
    assert float(step.std()) == pytest.approx(3.0 * 0.5 / 20, rel=0.02)
    assert abs(float(step.mean())) < 4 * 3.0 * 0.5 / 20 / math.sqrt(20_000)
    assert scalars.keys() == {"grad_norm_d"}


@needs_opacus
def test_the_gradient_of_a_step_lies_in_memory_as_its_weight_does():
    """Which a fused optimizer needs."""
    network, loss, inputs = d_case("dcgan", [3, 8, 8])
    PrivatePhase(
        "d",
        network,
        SGD(network.parameters(), 1.0),
        "loss",
        loss=loss,
        draw=lambda batch: (inputs[0][batch],),
        size=5,
        most=1.0,
        noise_multiplier=1.0,
        noise=generator(0, "privacy"),
    ).step(torch.arange(5))
    assert all(p.grad.stride() == p.stride() for p in network.parameters())


def test_what_is_beside_is_clipped_alike_and_has_no_part_in_the_noise():
    given = torch.randn(20, 30, generator=generator(0, "beside"))
    of, _ = phase(most=0.1)
    of_both, _ = phase(
        most=0.1,
        beside=Beside(
            lambda: (given,),
            lambda x: {"loss": softplus(of_both.module(x)[:, 0])},
            lambda x: {"rows": torch.tensor(len(x))},
        ),
    )
    alone, _ = moved(of, torch.arange(20))
    both, scalars = moved(of_both, torch.arange(20))
    assert 0 < float((both - alone).norm()) <= 0.1 * (1 + 1e-5)
    assert int(scalars["rows"]) == 20


def test_a_network_that_mixes_images_is_refused():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with pytest.raises(ValueError, match="batch norm mixes the images"):
        PrivatePhase(
            "d",
            network,
            SGD(network.parameters(), 1.0),
            "loss",
            loss=lambda x: {},
            draw=lambda batch: (),
            size=1,
            most=1.0,
            noise_multiplier=1.0,
            noise=generator(0, "privacy"),
        )


# ── whole trainings ──────────────────────────────────────────────────────────────────────────────────────────────────


SMALL = {"epochs": 3, "batch_size": 4, "latents": 4}
FAMILIES = {
    "vae": (vae.train, {"arch": "conv", "width": 32, "prior": "normal"}),
    "conditional vae, several draws": (
        vae.train,
        {"arch": "mlp", "width": 16, "prior": "flow", "conditional": True, "importance_samples": 2},
    ),
    "gan": (gan.train, {"width": 4, "clusters": 0, "r1": 0.0}),
    "conditional gan": (
        gan.train,
        {"width": 4, "arch": "mlp", "clusters": 0, "r1": 0.0, "conditional": True, "loss": "hinge", "d_steps": 2},
    ),
}


@pytest.fixture(params=FAMILIES)
def trained(request, tmp_path, monkeypatch, settings):
    """A function that trains a family on 40 images; or on their negatives."""
    pytest.importorskip("opacus")
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))

    def spent(multiplier, rate, steps, delta):
        return Guarantee(steps / 30, delta, multiplier, rate, steps)

    monkeypatch.setattr(private, "_spent", spent)
    for module in (gan, vae):  # the accountant takes seconds
        monkeypatch.setattr(
            module, "guarantee", lambda config, count, size, steps: spent(0.8, size / count, steps, config.delta)
        )
    training, changes = FAMILIES[request.param]
    section = request.param.split()[-1] if "gan" in request.param else "vae"

    def train(run, inverted=0, **more):
        rng = np.random.default_rng(0)
        splits = [
            Split(rng.integers(0, 256, (count, 8, 8)).astype(np.uint8), np.arange(count) % 3) for count in (40, 8, 8)
        ]
        splits[0].images[:] ^= inverted
        torch.manual_seed(0)  # of what draws without being named, as a stage has it
        params = PARAMS.model_copy(
            update={
                section: getattr(PARAMS, section).model_copy(update=SMALL | changes | more),
                "privacy": privacy(1.0, delta=1e-3),
                "checkpoint": PARAMS.checkpoint.model_copy(update={"seconds": 0.0}),
            }
        )
        return training(params, Prepared(*splits, "made", "Noise", 3, 0.5, 0.5), CPU, run)

    return train


def equal(one, other):
    assert one.metrics == other.metrics
    assert one.curves.to_csv() == other.curves.to_csv()
    assert one.arguments == other.arguments
    assert all(torch.equal(other.weights[name], weight) for name, weight in one.weights.items())


def test_a_training_gives_the_same_bytes_again_and_when_it_is_killed_and_resumed(trained, capsys):
    whole = trained(Run())
    with pytest.raises(Killed):
        trained(Run("a" * 64, killed_in=3))
    resumed = trained(Run("a" * 64))
    assert "resuming after epoch 2" in capsys.readouterr().err
    equal(whole, resumed)
    spent = {"epsilon": 1.0, "delta": 1e-3, "noise_multiplier": 0.8, "sampling_rate": 0.1, "private_steps": 30}
    assert {name: whole.metrics[name] for name in spent} == spent


def test_what_a_training_leaves_depends_on_the_images(trained):
    one, other = trained(Run(), epochs=1), trained(Run(), inverted=255, epochs=1)
    assert any(not torch.equal(other.weights[name], weight) for name, weight in one.weights.items())


def test_conditions_of_a_private_gan_hold_nothing_of_the_images(trained):
    kept = trained(Run(), epochs=1).weights
    assert all(not kept[name].any() for name in kept if name.endswith("centroids"))
    assert all(torch.equal(kept[name], torch.eye(3)) for name in kept if name.endswith("conditions.shares"))


def test_the_generator_s_step_looks_at_no_training_image():
    """Neither at the images nor at their labels."""
    params = PARAMS.gan.model_copy(update={"width": 4, "arch": "mlp", "batch_size": 6, "loss": "hinge"})
    split = Split(np.zeros((9, 8, 8), np.uint8), np.arange(9) % 3)
    dataset = Prepared(split, split, split, "made", "Made", 3, 0.5, 0.5)
    config = params.model_copy(update={"conditional": True, "clusters": 0})
    model, _, _, held_out = gan.build_gan(config, dataset, 0, CPU, private=True)
    optimizer = gan.build_optimizer(config, model.discriminator, 0.1)
    streams = (generator(0, name) for name in ("noise", "penalty", "chance", "augment"))
    objective = gan.GanObjective(model, held_out, held_out, config, optimizer, *streams)
    objective._train = None
    assert objective.loss_g_alone(torch.arange(0))["loss_g"].isfinite()
    images, conditions = objective.generated()
    assert (len(images), len(conditions)) == (6, 6)


def test_the_losses_of_real_and_of_generated_images_add_up_to_l_d():
    for name in ("non_saturating", "hinge", "wasserstein"):
        real, generated = torch.randn(2, 7, generator=generator(0, name))
        config = PARAMS.gan.model_copy(update={"loss": name})
        model = Gan("mlp", [1, 8, 8], 4, 4)
        objective = gan.GanObjective(model, gan.ConditionedImages(torch.zeros(9, 1), None), None, config, *[None] * 5)
        parts = objective._alone(real, real=True).mean() + objective._alone(generated, real=False).mean()
        torch.testing.assert_close(parts, objective._losses.d(real, generated))
