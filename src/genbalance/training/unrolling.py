"""A network after further steps of its optimizer, as a differentiable function of what those steps depend on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD, Adam, Optimizer

# Below it Adam's mean square counts as it: a root has an infinite derivative at 0. The root of this is 10⁻¹⁵, ten
# million times less than the ε that Adam adds to it.
LEAST_SQUARE = 1e-30

Applied = Callable[..., Tensor]
"""A network with some weights: its inputs → its outputs."""


def look_ahead(network: nn.Module, optimizer: Optimizer, loss: Callable[[Applied], Tensor], steps: int) -> Applied:
    """``network`` with the weights that ``steps`` further steps of its ``optimizer`` on ``loss`` would give it.

    Gradients of what it says of its inputs go also through those steps, to all that ``loss`` depends on. So G can see
    how D is going to answer it (Metz et al. 2017, arXiv:1611.02163). The network, its buffers (running statistics, the
    vectors of spectral normalisation) and the optimizer's state are left as they are.

    Args:
        network: whose parameters all have a part in ``loss``.
        optimizer: Adam, which goes on from its present moments and number of steps, or SGD without momentum; of one
            group, whose present learning rate it has, and without weight decay.
        loss: of the network with some weights; called once a step.
        steps: how many; 0: the network with its present weights.
    """
    names, parameters = zip(*network.named_parameters(), strict=True)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}  # which training mode changes

    def applied(weights: list[Tensor]) -> Applied:
        held = dict(zip(names, weights, strict=True)) | buffers
        return lambda *inputs: functional_call(network, held, inputs)

    update = _update(optimizer, parameters)
    weights = [parameter.detach().requires_grad_() for parameter in parameters]
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(applied(weights)), weights, create_graph=True)
        weights = update(weights, gradients)
    return applied(weights)


Update = Callable[[Sequence[Tensor], Sequence[Tensor]], list[Tensor]]
"""Weights and gradients → the weights after a step."""


def _update(optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> Update:
    (group,) = optimizer.param_groups
    match optimizer:
        case Adam():
            return _Adam(group, [optimizer.state.get(parameter, {}) for parameter in parameters])
        case SGD():
            return lambda weights, gradients: [w - group["lr"] * g for w, g in zip(weights, gradients, strict=True)]
    raise TypeError(f"{type(optimizer).__name__} has no differentiable step here")


class _Adam:
    """Steps of Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) with moments of its own, which start as copies of
    the optimizer's."""

    def __init__(self, group: Mapping[str, Any], states: Sequence[Mapping[str, Tensor]]) -> None:
        self._group = group
        self._states = [(s["exp_avg"], s["exp_avg_sq"], s["step"].double()) if s else None for s in states]

    def __call__(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
        """The weights after a step."""
        rate, eps, (beta1, beta2) = (self._group[name] for name in ("lr", "eps", "betas"))
        updated = []
        for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            zero = torch.zeros_like(weight)
            mean, square, count = self._states[i] or (zero, zero, weight.new_zeros((), dtype=torch.float64))
            count = count + 1
            mean = torch.lerp(mean, gradient, 1 - beta1)
            square = beta2 * square + (1 - beta2) * gradient.square()
            root = square.clamp(min=LEAST_SQUARE).sqrt() / (1 - beta2**count).sqrt()
            updated.append(weight - rate / (1 - beta1**count) * mean / (root + eps))
            self._states[i] = mean, square, count
        return updated
