"""L = L_D + λ·L_G: values, gradients, and what λ multiplies."""

import math
from copy import deepcopy

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from genbalance.compute import initialised
from genbalance.models.gan import MlpDiscriminator, MlpGenerator
from genbalance.objectives import gan

CPU = torch.device("cpu")


@pytest.fixture
def logits():
    return torch.randn(2, 40, generator=torch.Generator().manual_seed(1)).double() * 3


@pytest.fixture
def pair():
    """A tiny G and D in float64, D without dropout and of some decision, real images and latents."""
    g = initialised(lambda: MlpGenerator(8, 4), 0, "g", CPU).double()
    d = initialised(lambda: MlpDiscriminator(8), 0, "d", CPU).double().eval()
    with torch.no_grad():
        d.net[-2].weight.mul_(30)
    noise = torch.Generator().manual_seed(2)
    real = torch.rand(16, 1, 8, 8, generator=noise).double() * 2 - 1
    return g, d, real, torch.randn(16, 4, generator=noise).double()


def test_both_losses_at_d_one_half():
    assert gan.discriminator_loss(torch.zeros(7), torch.zeros(5)).item() == pytest.approx(2 * math.log(2), rel=1e-6)
    assert gan.generator_loss(torch.zeros(5)).item() == pytest.approx(math.log(2), rel=1e-6)


def test_the_losses_are_binary_cross_entropies(logits):
    real, generated = logits
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    both = cross_entropy(real, ones) + cross_entropy(generated, zeros)
    torch.testing.assert_close(gan.discriminator_loss(real, generated), both)
    torch.testing.assert_close(gan.generator_loss(generated), cross_entropy(generated, ones))


def test_the_discriminator_loss_is_the_papers_value_function_negated(logits):
    real, generated = logits.sigmoid()
    value = real.log().mean() + (1 - generated).log().mean()
    torch.testing.assert_close(gan.discriminator_loss(*logits), -value)


@pytest.mark.parametrize("sign", [1, -1], ids=["right", "wrong"])
def test_far_logits_give_finite_losses_and_gradients(sign):
    real = torch.full((3,), sign * 1e4, requires_grad=True)
    generated = torch.full((3,), -sign * 1e4, requires_grad=True)
    loss_d, loss_g = gan.discriminator_loss(real, generated), gan.generator_loss(generated)
    (loss_d + loss_g).backward()
    assert loss_d.item() == (0 if sign > 0 else 2e4)
    assert loss_g.item() == (1e4 if sign > 0 else 0)
    assert real.grad.isfinite().all()
    assert generated.grad.isfinite().all()


def test_the_generator_loss_does_not_saturate_where_the_discriminator_is_sure():
    sure = torch.tensor([-30.0], requires_grad=True)
    gan.generator_loss(sure).backward()
    assert sure.grad.item() == pytest.approx(-1)
    saturating = torch.tensor([-30.0], requires_grad=True)
    (-gan.discriminator_loss(torch.zeros(1), saturating)).backward()
    assert abs(saturating.grad.item()) < 1e-12


def test_the_losses_are_means_so_the_batch_size_does_not_weigh(logits):
    real, generated = logits
    torch.testing.assert_close(
        gan.discriminator_loss(real.repeat(2), generated.repeat(3)), gan.discriminator_loss(*logits)
    )
    torch.testing.assert_close(gan.generator_loss(generated.repeat(3)), gan.generator_loss(generated))


def test_the_optimal_discriminator_is_p_over_p_plus_q():
    p, q = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25]], dtype=torch.float64)
    optimum = (p / q).log().requires_grad_()
    # the loss of a distribution over three images: each logit as often as its image appears among 20
    real, generated = (
        optimum.repeat_interleave((p * 20).round().int()),
        optimum.repeat_interleave((q * 20).round().int()),
    )
    gan.discriminator_loss(real, generated).backward()
    torch.testing.assert_close(optimum.grad, torch.zeros(3).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("lambda_", [0.01, 0.5, 1.0, 4.0])
def test_the_total_is_l_d_plus_lambda_l_g(lambda_):
    assert gan.total(1.25, 0.75, lambda_) == 1.25 + lambda_ * 0.75


def losses(g, d, real, latents):
    """L_D with G's images held fixed, L_G with D's weights held fixed: each loss moves its own network."""
    generated = g(latents)
    fixed = {name: p.detach() for name, p in d.named_parameters()}
    return (
        gan.discriminator_loss(d(real), d(generated.detach())),
        gan.generator_loss(functional_call(d, fixed, (generated,))),
    )


@pytest.mark.parametrize("lambda_", [0.25, 1.0, 3.0])
def test_under_sgd_the_ratio_of_step_sizes_is_the_weight_of_the_loss(pair, lambda_):
    g, d, *batch = pair
    rate = 0.1
    g2, d2 = deepcopy(g), deepcopy(d)
    joint = torch.optim.SGD([*g.parameters(), *d.parameters()], rate)
    loss_d, loss_g = losses(g, d, *batch)
    (loss_d + lambda_ * loss_g).backward()
    joint.step()

    lr_d, lr_g = gan.step_sizes(rate, lambda_)
    loss_d, loss_g = losses(g2, d2, *batch)
    loss_d.backward()
    loss_g.backward()
    torch.optim.SGD(d2.parameters(), lr_d).step()
    torch.optim.SGD(g2.parameters(), lr_g).step()
    for one, two in ((g, g2), (d, d2)):
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def first_adam_update(pair, factor, rate):
    g, d, *batch = pair
    g = deepcopy(g)
    before = torch.nn.utils.parameters_to_vector(g.parameters()).detach()
    optimizer = torch.optim.Adam(g.parameters(), rate, betas=(0.0, 0.99))
    (factor * losses(g, d, *batch)[1]).backward()
    optimizer.step()
    return torch.nn.utils.parameters_to_vector(g.parameters()).detach() - before


@pytest.mark.parametrize("lambda_", [0.05, 100.0])
def test_under_adam_a_factor_on_the_loss_does_almost_nothing_and_the_step_size_everything(pair, lambda_):
    rate = 1e-4
    plain = first_adam_update(pair, 1.0, rate)
    weighted = first_adam_update(pair, lambda_, rate)
    stepped = first_adam_update(pair, 1.0, gan.step_sizes(rate, lambda_)[1])
    assert (weighted - plain).norm() <= 0.01 * plain.norm()
    torch.testing.assert_close(stepped, lambda_ * plain, rtol=1e-9, atol=1e-15)


def test_lambda_leaves_the_discriminators_step_size_alone():
    assert gan.step_sizes(2e-4, 4.0) == (2e-4, 8e-4)
