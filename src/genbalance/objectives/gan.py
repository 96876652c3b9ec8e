"""The GAN's objective, L = L_D + λ·L_G, on logits: D(x) = sigmoid(logit).

Goodfellow et al. 2014 (arXiv:1406.2661): L_D is the negative of equation 1; L_G the non-saturating loss of section 3.
"""

from torch import Tensor
from torch.nn.functional import softplus


def discriminator_loss(real_logits: Tensor, generated_logits: Tensor) -> Tensor:
    """L_D = −E[log D(x)] − E[log(1 − D(G(z)))], nats; 2·log 2 where D = ½ everywhere.

    Shapes: two vectors of logits → a scalar ≥ 0. −log D = softplus(−logit), −log(1 − D) = softplus(logit).
    """
    return softplus(-real_logits).mean() + softplus(generated_logits).mean()


def generator_loss(generated_logits: Tensor) -> Tensor:
    """L_G = −E[log D(G(z))], nats; log 2 where D = ½ everywhere."""
    return softplus(-generated_logits).mean()


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
