"""L = L_D + λ·L_G: values, gradients, and what λ multiplies."""

import math
from copy import deepcopy
from typing import get_args

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from genbalance.losses import gan
from genbalance.models.gan import Discriminator, Generator
from genbalance.params import GanConfig
from genbalance.runtime.device import initialised

CPU = torch.device("cpu")


def d_loss(real, generated, kind="non_saturating"):
    return gan.LOSSES[kind].d(real, generated)


def g_loss(generated, kind="non_saturating", real=None):
    return gan.LOSSES[kind].g(real, generated)


@pytest.fixture
def logits():
    return torch.randn(2, 40, generator=torch.Generator().manual_seed(1)).double() * 3


@pytest.fixture
def pair():
    """A tiny G and D in float64, D without dropout and of some decision, real images and latents."""
    g = initialised(lambda: Generator("mlp", [1, 8, 8], 4, 0), 0, "g", CPU).double()
    d = initialised(lambda: Discriminator("mlp", [1, 8, 8], 0), 0, "d", CPU).double().eval()
    with torch.no_grad():
        d.head.weight.mul_(30)
    noise = torch.Generator().manual_seed(2)
    real = torch.rand(16, 1, 8, 8, generator=noise).double() * 2 - 1
    return g, d, real, torch.randn(16, 4, generator=noise).double()


def test_both_losses_at_d_one_half():
    assert d_loss(torch.zeros(7), torch.zeros(5)).item() == pytest.approx(2 * math.log(2), rel=1e-6)
    assert g_loss(torch.zeros(5)).item() == pytest.approx(math.log(2), rel=1e-6)


def test_the_losses_are_binary_cross_entropies(logits):
    real, generated = logits
    ones, zeros = torch.ones_like(real), torch.zeros_like(real)
    both = cross_entropy(real, ones) + cross_entropy(generated, zeros)
    torch.testing.assert_close(d_loss(real, generated), both)
    torch.testing.assert_close(g_loss(generated), cross_entropy(generated, ones))


def test_the_discriminator_loss_is_the_papers_value_function_negated(logits):
    real, generated = logits.sigmoid()
    value = real.log().mean() + (1 - generated).log().mean()
    torch.testing.assert_close(d_loss(*logits), -value)


@pytest.mark.parametrize("sign", [1, -1], ids=["right", "wrong"])
def test_far_logits_give_finite_losses_and_gradients(sign):
    real = torch.full((3,), sign * 1e4, requires_grad=True)
    generated = torch.full((3,), -sign * 1e4, requires_grad=True)
    loss_d, loss_g = d_loss(real, generated), g_loss(generated)
    (loss_d + loss_g).backward()
    assert loss_d.item() == (0 if sign > 0 else 2e4)
    assert loss_g.item() == (1e4 if sign > 0 else 0)
    assert real.grad.isfinite().all()
    assert generated.grad.isfinite().all()


def test_the_generator_loss_does_not_saturate_where_the_discriminator_is_sure():
    sure = torch.tensor([-30.0], requires_grad=True)
    g_loss(sure).backward()
    assert sure.grad.item() == pytest.approx(-1)
    saturating = torch.tensor([-30.0], requires_grad=True)
    (-d_loss(torch.zeros(1), saturating)).backward()
    assert abs(saturating.grad.item()) < 1e-12


def test_the_losses_are_means_so_the_batch_size_does_not_weigh(logits):
    real, generated = logits
    torch.testing.assert_close(d_loss(real.repeat(2), generated.repeat(3)), d_loss(*logits))
    torch.testing.assert_close(g_loss(generated.repeat(3)), g_loss(generated))


def test_the_optimal_discriminator_is_p_over_p_plus_q():
    p, q = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.25, 0.25]], dtype=torch.float64)
    optimum = (p / q).log().requires_grad_()
    # the loss of a distribution over three images: each logit as often as its image appears among 20
    real, generated = (
        optimum.repeat_interleave((p * 20).round().int()),
        optimum.repeat_interleave((q * 20).round().int()),
    )
    d_loss(real, generated).backward()
    torch.testing.assert_close(optimum.grad, torch.zeros(3).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("lambda_", [0.01, 0.5, 1.0, 4.0])
def test_the_total_is_l_d_plus_lambda_l_g(lambda_):
    assert gan.total(1.25, 0.75, lambda_) == 1.25 + lambda_ * 0.75


def losses(g, d, real, latents):
    """L_D with G's images held fixed, L_G with D's weights held fixed: each loss moves its own network."""
    generated = g(latents)
    fixed = {name: p.detach() for name, p in d.named_parameters()}
    return (
        d_loss(d(real), d(generated.detach())),
        g_loss(functional_call(d, fixed, (generated,))),
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


def test_the_hinge_losses_are_their_formulas_and_forgive_what_is_beyond_the_margin(logits):
    real, generated = logits
    expected = (1 - real).clamp(min=0).mean() + (1 + generated).clamp(min=0).mean()
    torch.testing.assert_close(d_loss(real, generated, "hinge"), expected)
    assert d_loss(torch.tensor([1.0, 9.0]), torch.tensor([-1.0, -5.0]), "hinge") == 0
    assert d_loss(torch.zeros(3), torch.zeros(3), "hinge") == 2


def test_the_wasserstein_loss_is_a_difference_of_means_that_a_shift_of_the_critic_leaves(logits):
    real, generated = logits
    torch.testing.assert_close(d_loss(real, generated, "wasserstein"), generated.mean() - real.mean())
    torch.testing.assert_close(
        d_loss(real + 3, generated + 3, "wasserstein"),
        d_loss(real, generated, "wasserstein"),
    )


def test_the_relativistic_losses_are_log_2_where_the_logits_of_each_pair_are_equal(logits):
    assert d_loss(logits[0], logits[0], "relativistic").item() == pytest.approx(math.log(2))
    assert g_loss(logits[0], "relativistic", logits[0]).item() == pytest.approx(math.log(2))


def test_the_relativistic_losses_are_cross_entropies_of_differences_and_one_the_other_with_sides_exchanged(logits):
    real, generated = logits
    expected = cross_entropy(real - generated, torch.ones_like(real))
    torch.testing.assert_close(d_loss(real, generated, "relativistic"), expected)
    torch.testing.assert_close(g_loss(generated, "relativistic", real), d_loss(generated, real, "relativistic"))


def test_a_constant_added_to_all_logits_changes_no_relativistic_loss(logits):
    real, generated = logits
    for shift in (-7.0, 40.0):
        moved = real + shift, generated + shift
        torch.testing.assert_close(d_loss(*moved, "relativistic"), d_loss(*logits, "relativistic"))
        torch.testing.assert_close(g_loss(moved[1], "relativistic", moved[0]), g_loss(generated, "relativistic", real))


def test_relativistic_pairs_are_those_of_the_batch(logits):
    real, generated = logits
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    together = d_loss(real[order], generated[order], "relativistic")
    torch.testing.assert_close(together, d_loss(real, generated, "relativistic"))
    assert (d_loss(real[order], generated, "relativistic") - together).abs() > 1e-3


@pytest.mark.parametrize("kind", gan.LOSSES)
def test_the_generator_loss_takes_real_logits_where_it_says_so_alone(kind, logits):
    real, generated = (side.clone().requires_grad_() for side in logits)
    gradients = torch.autograd.grad(g_loss(generated, kind, real), (real, generated), allow_unused=True)
    assert (gradients[0] is not None) == gan.LOSSES[kind].paired
    if not gan.LOSSES[kind].paired:
        assert torch.equal(g_loss(generated, kind), g_loss(generated, kind, real))


@pytest.mark.parametrize("kind", gan.LOSSES)
def test_every_loss_pulls_real_up_and_generated_down_and_the_generator_pulls_back(kind, logits):
    real, generated = (side.clone().requires_grad_() for side in logits)
    d_loss(real, generated, kind).backward()
    assert (real.grad <= 0).all()
    assert (generated.grad >= 0).all()
    assert real.grad.abs().sum() > 0
    wanted = logits[1].clone().requires_grad_()
    g_loss(wanted, kind, logits[0]).backward()
    assert (wanted.grad < 0).all()


class Slope(torch.nn.Module):
    """D(x) = w·x, whose gradient is w everywhere."""

    def __init__(self, length):
        super().__init__()
        self.w = torch.nn.Parameter(torch.full((16,), length / 4).double())

    def forward(self, images):
        return images.flatten(1) @ self.w


def images_of(seed):
    return torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("length", [0.0, 0.5, 1.0, 3.0])
def test_the_penalties_of_a_linear_critic_are_closed_forms_of_its_slope(length):
    d, real, generated = Slope(length), images_of(1).requires_grad_(), images_of(2)
    assert gan.slope_penalty(d(real), real).item() == pytest.approx(length**2 / 2)
    uniform = torch.rand(5, generator=torch.Generator().manual_seed(3)).double()
    assert gan.gradient_penalty(d, real, generated, uniform).item() == pytest.approx((length - 1) ** 2, abs=1e-5)


def test_gradients_go_through_both_penalties_to_the_critic():
    d, real = Slope(3.0), images_of(1).requires_grad_()
    (of_r1,) = torch.autograd.grad(gan.slope_penalty(d(real), real), d.w)
    torch.testing.assert_close(of_r1, d.w.detach())  # d(½‖w‖²)/dw
    (of_gp,) = torch.autograd.grad(gan.gradient_penalty(d, real, images_of(2), torch.zeros(5).double()), d.w)
    torch.testing.assert_close(of_gp, 2 * (3 - 1) * d.w.detach() / 3)


def test_the_gradient_penalty_is_taken_between_real_and_generated_images_and_r1_at_the_real_ones():
    def bowl(images):
        return images.square().flatten(1).sum(dim=1) / 2  # its gradient is the image

    real, generated = images_of(1).requires_grad_(), images_of(2)
    expected = real.detach().square().flatten(1).sum(dim=1).mean() / 2
    torch.testing.assert_close(gan.slope_penalty(bowl(real), real).detach(), expected)
    for u, place in ((0.0, generated), (1.0, real.detach()), (0.25, 0.25 * real.detach() + 0.75 * generated)):
        lengths = place.flatten(1).norm(dim=1)
        found = gan.gradient_penalty(bowl, real.detach(), generated, torch.full((5,), u).double())
        torch.testing.assert_close(found.detach(), (lengths - 1).square().mean())


@pytest.mark.parametrize("kind", gan.LOSSES)
@pytest.mark.parametrize("lambda_", [0.25, 3.0])
def test_for_every_loss_the_ratio_of_step_sizes_is_its_weight_under_sgd(pair, kind, lambda_):
    g, _, _, latents = pair

    def moved(factor, rate):
        network = deepcopy(g)
        loss = g_loss(pair[1](network(latents)), kind, pair[1](pair[2]).detach())
        gradient = torch.autograd.grad(factor * loss, list(network.parameters()))
        return torch.cat([-rate * part.flatten() for part in gradient])

    torch.testing.assert_close(moved(1.0, gan.step_sizes(0.1, lambda_)[1]), moved(lambda_, 0.1))


@pytest.mark.parametrize(
    ("rankings", "ends"),
    [
        ([], False),
        ([0.5], False),  # D has not learned anything yet
        ([0.9, 0.8], False),
        ([0.9, 0.54], False),  # once may be chance
        ([0.9, 0.54, 0.47], True),
        ([0.5, 0.8, 0.46, 0.5], True),
        ([0.5, 0.5, 0.5], False),
        ([0.9, 0.3], False),  # wrong more often than right is no balance
        ([0.9, 0.52, 0.52, 0.7], False),
    ],
)
def test_a_game_is_balanced_once_d_ranks_at_chance_after_it_could_tell(rankings, ends):
    assert gan.balanced(rankings) is ends


def test_nearest_to_balance_is_nearest_to_chance_from_either_side():
    assert gan.nearest_to_balance([0.9, 0.6, 0.45, 0.2]) == 0.45
    assert gan.nearest_to_balance([0.9, 0.6, 0.3]) == 0.6


def test_params_allow_the_losses_that_there_are():
    assert set(get_args(GanConfig.model_fields["loss"].annotation)) == set(gan.LOSSES)
