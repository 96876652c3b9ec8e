"""The GAN's objective, L = L_D + λ·L_G, on logits, and the penalties that go with it.

Non-saturating (Goodfellow et al. 2014, arXiv:1406.2661): D(x) = sigmoid(logit); L_D is the negative of equation 1, L_G
the loss of section 3. Hinge: Lim & Ye 2017 (arXiv:1705.02894). Wasserstein, where a logit is the critic's value:
Arjovsky et al. 2017 (arXiv:1701.07875).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus


def discriminator_loss(real_logits: Tensor, generated_logits: Tensor, kind: str = "non_saturating") -> Tensor:
    """L_D of two vectors of logits: a scalar.

    non_saturating: −E[log D(x)] − E[log(1 − D(G(z)))], nats, ≥ 0; 2·log 2 where D = ½ everywhere. −log D =
    softplus(−logit), −log(1 − D) = softplus(logit). hinge: E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))]; 2 where the
    logits are 0. wasserstein: E[D(G(z))] − E[D(x)].
    """
    match kind:
        case "hinge":
            return relu(1 - real_logits).mean() + relu(1 + generated_logits).mean()
        case "wasserstein":
            return generated_logits.mean() - real_logits.mean()
        case _:
            return softplus(-real_logits).mean() + softplus(generated_logits).mean()


def generator_loss(generated_logits: Tensor, kind: str = "non_saturating") -> Tensor:
    """L_G: −E[log D(G(z))], nats, log 2 where D = ½ everywhere; hinge and wasserstein: −E[D(G(z))]."""
    return softplus(-generated_logits).mean() if kind == "non_saturating" else -generated_logits.mean()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """½·E‖∇ₓD(x)‖², a scalar ≥ 0 that gradients go through, at real ``images`` whose ``logits`` these are; its weight
    is γ (Mescheder et al. 2018, arXiv:1801.04406, equation 9)."""
    return _squared_slopes(logits, images).mean() / 2


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, generated: Tensor, uniform: Tensor) -> Tensor:
    """E(‖∇D(x̂)‖ − 1)² at x̂ = u·x + (1 − u)·G(z), u ``uniform`` noise [B] in [0, 1): Gulrajani et al. 2017
    (arXiv:1704.00028), equation 3."""
    weights = uniform.view(-1, *[1] * (real.dim() - 1))
    between = torch.lerp(generated.to(real.dtype), real, weights).requires_grad_()
    return (_squared_slopes(critic(between), between).clamp(min=1e-12).sqrt() - 1).square().mean()


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
