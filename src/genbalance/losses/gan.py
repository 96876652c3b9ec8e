"""The GAN's objective, L = L_D + λ·L_G, on logits, and the penalties that go with it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


class Losses(NamedTuple):
    """What the two networks minimise; each loss a scalar.

    ``d``: L_D of the logits of real and of generated images [B]. ``g``: L_G of the same; where not ``paired``, it does
    not depend on those of real images, which may then be None.
    """

    d: Callable[[Tensor, Tensor], Tensor]
    g: Callable[[Any, Tensor], Tensor]
    paired: bool = False


LOSSES = {
    # Goodfellow et al. 2014 (arXiv:1406.2661), with D(x) = sigmoid(logit), nats. L_D = −E[log D(x)] − E[log(1 −
    # D(G(z)))] is the negative of equation 1, L_G = −E[log D(G(z))] the loss of section 3; 2·log 2 and log 2 where
    # D = ½ everywhere. −log D = softplus(−logit), −log(1 − D) = softplus(logit).
    "non_saturating": Losses(
        d=lambda real, generated: softplus(-real).mean() + softplus(generated).mean(),
        g=lambda _, generated: softplus(-generated).mean(),
    ),
    # Lim & Ye 2017 (arXiv:1705.02894): E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))], which is 2 where the
    # logits are 0; −E[D(G(z))]
    "hinge": Losses(
        d=lambda real, generated: relu(1 - real).mean() + relu(1 + generated).mean(),
        g=lambda _, generated: -generated.mean(),
    ),
    # Jolicoeur-Martineau 2019 (arXiv:1807.00734), as Huang et al. 2024 (arXiv:2501.05441) have it with R1 and R2, where
    # a logit is D's value: −E[log sigmoid(D(x) − D(G(z)))]; −E[log sigmoid(D(G(z)) − D(x))]; nats, log 2 each where D
    # cannot tell the two of a pair apart. Real and generated images are paired in their order.
    "relativistic": Losses(
        d=lambda real, generated: softplus(generated - real).mean(),
        g=lambda real, generated: softplus(real - generated).mean(),
        paired=True,
    ),
    # Arjovsky et al. 2017 (arXiv:1701.07875), where a logit is the critic's value: E[D(G(z))] − E[D(x)]; −E[D(G(z))]
    "wasserstein": Losses(
        d=lambda real, generated: generated.mean() - real.mean(),
        g=lambda _, generated: -generated.mean(),
    ),
}


def slope_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """½·E‖∇ₓD(x)‖², a scalar ≥ 0 that gradients go through, at ``images`` whose ``logits`` these are; its weight is γ.

    R1 at real images, R2 at generated ones: Mescheder et al. 2018 (arXiv:1801.04406), equations 9 and 10.
    """
    return _squared_slopes(logits, images).mean() / 2


def gradient_penalty(scorer: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, uniform: Tensor) -> Tensor:
    """E(‖∇D(x̂)‖ − 1)² at x̂ = u·x + (1 − u)·G(z), u ``uniform`` noise [B] in [0, 1): Gulrajani et al. 2017
    (arXiv:1704.00028), equation 3."""
    weights = uniform.view(-1, *[1] * (real.dim() - 1))
    between = torch.lerp(generated.to(real.dtype), real, weights).requires_grad_()
    return (_squared_slopes(scorer(between), between).clamp(min=1e-12).sqrt() - 1).square().mean()


def _squared_slopes(logits: Tensor, images: Tensor) -> Tensor:
    """‖∇ₓD(x)‖² of each image [B]."""
    (slopes,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slopes.square().flatten(1).sum(dim=1)


def total(loss_d: float, loss_g: float, lambda_: float) -> float:
    """L = L_D + λ·L_G, as it is logged."""
    return loss_d + lambda_ * loss_g


def step_sizes(learning_rate: float, lambda_: float) -> tuple[float, float]:
    """(lr_D, lr_G) with lr_G = λ·lr_D, which is how λ acts.

    D and G hold disjoint weights, so a gradient step on L moves D by lr·∇L_D and G by λ·lr·∇L_G: under SGD the ratio of
    step sizes *is* the loss weight. Adam divides a gradient by its own size, and with it any factor on the loss; the
    ratio of step sizes acts under both (two time scales: Heusel et al. 2017, arXiv:1706.08500).
    """
    return learning_rate, lambda_ * learning_rate


def balanced(rankings: list[float], tolerance: float = 0.05) -> bool:
    """Whether D can no longer tell held-out from generated images: the share of pairs that it ranks right, epoch by
    epoch, has been within ``tolerance`` of ½ for two epochs, after it had been outside: before D has learned anything
    it cannot tell them apart either."""
    apart = [abs(ranking - 0.5) > tolerance for ranking in rankings]
    return any(apart) and not any(apart[-2:])


def nearest_to_balance(rankings: list[float]) -> float:
    """The share of pairs ranked right that is nearest to ½, where D cannot tell."""
    return min(rankings, key=lambda ranking: abs(ranking - 0.5))
