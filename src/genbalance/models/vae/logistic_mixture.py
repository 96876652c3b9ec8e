"""Images of 8-bit levels under a mixture of logistic distributions (Salimans et al. 2017, arXiv:1701.05517).

Pixels are in [0, 1], at the levels k/255; inside, as in the paper, a channel's value is v = 2x − 1 in [−1, 1], and a
level is the bin of width 2/255 about it. K components are shared by the channels of a pixel, and C is their number.
"""

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid, softplus

from genbalance.runtime.arithmetic import exp, log

HALF = 1 / 255  # half of a bin


class DiscretizedLogisticMixture(Distribution):
    """p(x) of images [C, H, W], pixels independent of one another.

    Equation 2: of a component a level has the probability σ((v + 1/255 − μ)/s) − σ((v − 1/255 − μ)/s), but for the
    first and the last, which reach to −∞ and ∞. Of a pixel's channels each knows those before it, section 2.2:
    μ of the second is μ₂ + α·v₁, that of the third μ₃ + β·v₁ + γ·v₂.

    Args:
        logits: of the components [B, K, H, W].
        means: μ [B, C, K, H, W], in units of v.
        log_scales: log s, of the same shape.
        coupling: of the pairs of channels (2, 1), (3, 1), (3, 2), … [B, C·(C−1)/2, K, H, W].
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  as torch has it
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, coupling: Tensor) -> None:
        self.logits, self.means, self.log_scales, self.coupling = logits, means, log_scales, coupling
        batch, channels, _, *size = means.shape
        super().__init__(Size([batch]), Size([channels, *size]), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x), nats, summed over the pixels: [B] of images [B, C, H, W], or of one image [1, C, H, W].

        log(σ(a) − σ(b)) is taken as log σ(a) + log σ(−b) + log(1 − e^−(a−b)), which is the same and stays finite, and
        its gradient too, wherever the image lies.
        """
        v = (2 * value - 1).unbind(dim=1)
        means = torch.stack([self._coupled(c, [each[:, None] for each in v[:c]]) for c in range(len(v))], dim=1)
        precision = exp(-self.log_scales)
        centred, half = (torch.stack(v, dim=1)[:, :, None] - means) * precision, HALF * precision
        at_most, at_least = logsigmoid(centred + half), logsigmoid(half - centred)
        inside = at_most + at_least + log(-torch.expm1(-2 * half))
        level = (value * 255).round()[:, :, None]
        each = torch.where(level == 0, at_most, torch.where(level == 255, at_least, inside))
        joint = self.logits.log_softmax(dim=1) + each.sum(dim=1)
        largest = joint.detach().amax(dim=1, keepdim=True)
        return (log(exp(joint - largest).sum(dim=1)) + largest[:, 0]).flatten(1).sum(dim=1)

    @property
    def mean(self) -> Tensor:
        """The expected image [B, C, H, W] in [0, 1].

        Of each component the mean of the logistic distribution cut to [−1, 1], which is that of its levels but for the
        rounding (at most half a level). Its later channels stand where the expected ones before them put them; they are
        not averaged over those, which would differ only where they are cut off.
        """
        expected: list[Tensor] = []
        for c, log_scale in enumerate(self.log_scales.unbind(dim=1)):
            expected.append(_mean_within(self._coupled(c, expected), log_scale))
        v = (self.logits.softmax(dim=1)[:, None] * torch.stack(expected, dim=1)).sum(dim=2)
        return ((v + 1) / 2).clamp(0, 1)

    def _coupled(self, channel: int, before: list[Tensor]) -> Tensor:
        """μ [B, K, H, W] of a channel, given the values of those ``before``."""
        mean, first = self.means[:, channel], channel * (channel - 1) // 2
        for pair, known in enumerate(before, start=first):
            mean = mean + self.coupling[:, pair] * known
        return mean


def _mean_within(mean: Tensor, log_scale: Tensor) -> Tensor:
    """E of a logistic variable cut to [−1, 1]: −1 + ∫ P(v > t) dt from −1 to 1."""
    precision = exp(-log_scale)
    lower, upper = (softplus(-(mean - end).abs() * precision) for end in (-1, 1))
    return mean.clamp(-1, 1) + exp(log_scale) * (lower - upper)
