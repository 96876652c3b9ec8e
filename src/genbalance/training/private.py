"""Differentially private training: weights that say little of any one training image.

DP-SGD (Abadi et al. 2016, arXiv:1607.00133, algorithm 1): each step draws its images by Poisson sampling, clips the
gradient of each image to a norm, sums them and adds Gaussian noise. Weights trained so are (ε, δ)-differentially
private: for any two sets of training images that differ by one image, present or absent, and for any set S of weights,
P(weights ∈ S) ≤ e^ε·P′(weights ∈ S) + δ. So is all that is computed from them without another look at the images.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.linalg import vector_norm
from torch.nn.functional import unfold
from torch.nn.grad import conv2d_weight

from genbalance.params import PrivacyConfig
from genbalance.runtime.errors import UserError
from genbalance.training.loop import Phase, Scalars

AT_A_TIME = 128  # images whose gradients lie in memory together
# of Rényi divergences; the best one for an ε lies near 1 + log(1/δ)/ε
ORDERS = [
    *(1 + 2 ** (-k / 2) for k in range(18, 0, -1)),  # 1.002 … 1.7
    *(2 + k / 4 for k in range(9)),
    *range(5, 17),
    *(round(2 ** (4 + k / 4)) for k in range(1, 21)),  # 19 … 512
]


@dataclass(frozen=True)
class Guarantee:
    """What a training of ``steps`` steps spends, one image being one record.

    Attributes:
        epsilon: ε, as the accountant has it.
        delta: δ.
        noise_multiplier: σ, the noise's standard deviation in units of the clipping norm.
        sampling_rate: the probability of each image to be in a batch.
        steps: each of which looks at the images once.
    """

    epsilon: float
    delta: float
    noise_multiplier: float
    sampling_rate: float
    steps: int

    def after(self, steps: int) -> "Guarantee":
        """That of a training which ended after so many steps."""
        return _spent(self.noise_multiplier, self.sampling_rate, steps, self.delta)

    @property
    def metrics(self) -> dict[str, float]:
        """All of it, by name."""
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "noise_multiplier": self.noise_multiplier,
            "sampling_rate": self.sampling_rate,
            "private_steps": self.steps,
        }


def guarantee(config: PrivacyConfig, count: int, size: int, steps: int) -> Guarantee | None:
    """The noise with which ``steps`` steps on batches of ``size`` of ``count`` images, on the average, spend no more
    than `privacy.epsilon`; None where that is none.

    The accountant is Opacus' of Rényi divergences (Mironov 2017, arXiv:1702.07476; of the subsampled Gaussian
    mechanism: Mironov et al. 2019, arXiv:1908.10530), a bound in closed form for every ε. The numerical one of privacy
    loss variables (PRV: Gopi et al. 2021, arXiv:2106.02848) finds about 8% less, but takes memory and time that grow
    with ε. σ is rounded up to four digits, so that the last bits of the search decide nothing.

    Raises:
        UserError: δ is so large that an image in full could be published.
        ModuleNotFoundError: opacus, of the extra ``privacy``, is not installed.
    """
    if isinstance(config.epsilon, str):
        return None
    if config.delta * count >= 1:
        raise UserError(
            f"privacy.delta: found {config.delta:g} with {count} training images; allowed: below 1/{count}, as with δ "
            "that large a training could publish an image"
        )
    from opacus.accountants.utils import get_noise_multiplier

    rate = size / count
    found = get_noise_multiplier(
        target_epsilon=config.epsilon,
        target_delta=config.delta,
        sample_rate=rate,
        steps=steps,
        accountant="rdp",
        epsilon_tolerance=config.epsilon / 500,
        alphas=ORDERS,
    )
    unit = 10.0 ** (math.floor(math.log10(found)) - 3)
    return _spent(round(math.ceil(found / unit) * unit, 12), rate, steps, config.delta)


def _spent(noise_multiplier: float, rate: float, steps: int, delta: float) -> Guarantee:
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise_multiplier, rate, steps)]
    return Guarantee(accountant.get_epsilon(delta, ORDERS), delta, noise_multiplier, rate, steps)


def poisson_batches(count: int, size: int, order: torch.Generator) -> Iterator[Tensor]:
    """As many index vectors as :func:`genbalance.training.loop.batches` has, in each of which each of ``count`` images
    is with the probability size / count, whatever else is: ``size`` images on the average, perhaps none."""
    for _ in range(count // size):
        uniform = torch.rand(count, generator=order, device=order.device, dtype=torch.float64)
        yield (uniform * count < size).nonzero()[:, 0]


# ── the gradient of each image ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Gradients:
    """Those of each of B images by some of a network's weights.

    Attributes:
        squares: their squared norms [B].
        weighted: of factors [B], their sum with these, by the weight's name.
    """

    squares: Tensor
    weighted: Callable[[Tensor], dict[str, Tensor]]


def _held(each: dict[str, Tensor]) -> Gradients:
    """Of gradients in memory, [B, …] each."""
    squares = torch.stack([vector_norm(g.flatten(1), dim=1).square() for g in each.values()]).sum(dim=0)
    return Gradients(squares, lambda factors: {k: torch.einsum("b,b...->...", factors, g) for k, g in each.items()})


# A rule is of a layer, its inputs [B, …] and the gradients by its outputs [B, …].


def _linear(layer: nn.Linear, inputs: Tensor, slopes: Tensor) -> Gradients:
    """An outer product for each image, whose norm is the product of two norms: it need not be in memory (Goodfellow
    2015, arXiv:1510.01799)."""
    has_bias = layer.bias is not None

    def weighted(factors: Tensor) -> dict[str, Tensor]:
        each = slopes * factors[:, None]
        return {"weight": each.T @ inputs} | ({"bias": each.sum(dim=0)} if has_bias else {})

    return Gradients(slopes.square().sum(dim=1) * (inputs.square().sum(dim=1) + has_bias), weighted)


def _convolution(layer: nn.Conv2d, inputs: Tensor, slopes: Tensor) -> Gradients:
    """A sum over places of outer products of a patch of k numbers with o slopes. Where there are few places, its norm
    is found by the products of each place with each other (Bu et al. 2022, arXiv:2205.10683)."""
    size, stride, padding, dilation = layer.weight.shape, layer.stride, layer.padding, layer.dilation
    if isinstance(padding, str):
        raise TypeError(padding)
    patches, each = unfold(inputs, size[2:], dilation, padding, stride), slopes.flatten(2)
    k, places, o = *patches.shape[1:], size[0]
    if places * (k + o) < k * o:
        squares = ((patches.mT @ patches) * (each.mT @ each)).sum(dim=(1, 2))
    else:
        squares = vector_norm(each @ patches.mT, dim=(1, 2)).square()
    has_bias = layer.bias is not None
    if has_bias:
        squares = squares + each.sum(dim=2).square().sum(dim=1)

    def weighted(factors: Tensor) -> dict[str, Tensor]:
        some = slopes * factors[:, None, None, None]
        weight = conv2d_weight(inputs, size, some, stride, padding, dilation)
        return {"weight": weight} | ({"bias": some.sum(dim=(0, 2, 3))} if has_bias else {})

    return Gradients(squares, weighted)


def _embedding(layer: nn.Embedding, inputs: Tensor, slopes: Tensor) -> Gradients:
    def weighted(factors: Tensor) -> dict[str, Tensor]:
        return {"weight": torch.zeros_like(layer.weight).index_add_(0, inputs, slopes * factors[:, None])}

    return Gradients(slopes.square().sum(dim=1), weighted)


def _any(layer: nn.Module, inputs: Tensor, slopes: Tensor) -> Gradients:
    def of_one(weights: dict[str, Tensor], given: Tensor, slope: Tensor) -> Tensor:
        output: Tensor = functional_call(layer, weights, (given[None],))[0]
        return (output * slope).sum()

    weights = {name: p.detach() for name, p in layer.named_parameters(recurse=False)}
    return _held(vmap(grad(of_one), (None, 0, 0))(weights, inputs, slopes))


def _gradients(layer: Any, inputs: Tensor, slopes: Tensor) -> Gradients:
    if isinstance(layer, nn.Linear) and inputs.dim() == 2:
        return _linear(layer, inputs, slopes)
    plain = isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.padding_mode == "zeros"
    if plain and not isinstance(layer.padding, str):
        return _convolution(layer, inputs, slopes)
    if isinstance(layer, nn.Embedding) and inputs.dim() == 1:
        return _embedding(layer, inputs, slopes)
    return _any(layer, inputs, slopes)


def gradients_of_each(
    network: nn.Module, loss: Callable[..., Scalars], objective: str, inputs: Sequence[Tensor]
) -> tuple[Scalars, list[Gradients]]:
    """The scalars of each image [B], and the gradients of their ``objective`` by all weights of the network.

    Args:
        network: that the loss calls. No layer of it may mix images, as batch norm does.
        loss: of :class:`PrivatePhase`.
        objective: the scalar's name.
        inputs: of the loss, [B, …] each.
    """
    layers = {name: layer for name, layer in network.named_modules() if list(layer.parameters(recurse=False))}
    calls: dict[str, list[tuple[Tensor, Tensor] | None]] = {name: [] for name in layers}

    def recording(name: str) -> Callable[..., Any]:
        def record(_: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
            count = len(inputs[0])
            if len(given) != 1 or not all(isinstance(it, Tensor) and len(it) == count for it in (*given, output)):
                calls[name].append(None)
                return output
            tap = torch.zeros_like(output, requires_grad=True)  # whose gradient is the output's
            calls[name].append((given[0].detach(), tap))
            return output + tap

        return record

    with ExitStack() as hooks:
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_hook(recording(name)).remove)
        scalars = loss(*inputs)
    # a layer that is called twice, or with other rows than the images, such as pseudo-inputs, has another gradient
    known = {name: made[0] for name, made in calls.items() if len(made) == 1 and made[0] is not None}
    slopes = torch.autograd.grad(scalars[objective].sum(), [tap for _, tap in known.values()], materialize_grads=True)
    found: list[Gradients] = []
    rest = {name: p.detach() for name, p in network.named_parameters()}
    for (name, (given, _)), slope in zip(known.items(), slopes, strict=True):
        given = given.float() if given.is_floating_point() else given
        prefix = f"{name}." if name else ""
        found.append(_named(prefix, _gradients(layers[name], given, slope.float())))
        for own, _ in layers[name].named_parameters(recurse=False):
            rest.pop(prefix + own, None)
    if rest:
        found.append(_held(_one_by_one(network, loss, objective, inputs, rest)))
    return {name: value.detach() for name, value in scalars.items()}, found


def _named(prefix: str, of: Gradients) -> Gradients:
    return Gradients(of.squares, lambda factors: {prefix + name: g for name, g in of.weighted(factors).items()})


class _Loss(nn.Module):
    """A loss as a module with the network in it, whose weights can then be others."""

    def __init__(self, network: nn.Module, loss: Callable[..., Scalars], objective: str) -> None:
        super().__init__()
        self.network, self._loss, self._objective = network, loss, objective

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._loss(*inputs)[self._objective]


def _one_by_one(
    network: nn.Module,
    loss: Callable[..., Scalars],
    objective: str,
    inputs: Sequence[Tensor],
    weights: dict[str, Tensor],
) -> dict[str, Tensor]:
    """The gradient of each image by some weights, [B, …] each, whatever the network does with them: slow and large."""
    module = _Loss(network, loss, objective)

    def of_one(weights: dict[str, Tensor], *one: Tensor) -> Tensor:
        named = {f"network.{name}": value for name, value in weights.items()}
        each: Tensor = functional_call(module, named, tuple(given[None] for given in one))
        return each[0]

    each: dict[str, Tensor] = vmap(grad(of_one), (None, *[0] * len(inputs)), randomness="different")(weights, *inputs)
    return each


def clipped_sum(
    network: nn.Module, loss: Callable[..., Scalars], objective: str, inputs: Sequence[Tensor], most: float
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Σ g·min(1, C/‖g‖) over the gradients g of the images, by the weight's name, C = ``most``: another image in the
    place of one moves it by 2·C at most, one more or one less by C.

    Returns:
        The sum; the scalars of each image [B], none of no images; the norms ‖g‖ [B].
    """
    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    kept: list[Scalars] = []
    norms = [torch.zeros(0, device=inputs[0].device)]
    for part in zip(*(given.split(AT_A_TIME) for given in inputs), strict=True):
        if len(part[0]):
            scalars, found = gradients_of_each(network, loss, objective, part)
            kept.append(scalars)
            norms.append(torch.stack([gradients.squares for gradients in found]).sum(dim=0).sqrt())
            factors = (most / norms[-1]).clamp(max=1)
            for gradients in found:
                for name, gradient in gradients.weighted(factors).items():
                    total[name] += gradient
    return (
        total,
        {name: torch.cat([each[name] for each in kept]) for name in (kept[0] if kept else ())},
        torch.cat(norms),
    )


# ── a step ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Beside:
    """What a private phase computes without the training images.

    Attributes:
        draw: what ``loss`` takes, [n, …] each.
        loss: the scalars of each row [n]; the ``objective`` among them is minimised beside the private one.
        measure: further scalars, of what ``draw`` gave.
    """

    draw: Callable[[], tuple[Tensor, ...]]
    loss: Callable[..., Scalars]
    measure: Callable[..., Scalars]


@dataclass(frozen=True, kw_only=True)
class PrivatePhase(Phase):
    """A phase whose steps are differentially private.

    ``loss`` takes what ``draw`` makes of the images' indices, [B, …] each, and gives the scalars of each image [B].
    The sum of the clipped gradients and of noise is divided by the batches' mean ``size``: how many images there were
    is private too. The gradients of what is minimised ``beside`` are clipped alike, so that neither part outweighs the
    other, and need no noise.

    Attributes:
        draw: see above.
        size: see above.
        most: the norm that gradients are clipped to, C.
        noise_multiplier: σ; the noise has the standard deviation σ·C.
        noise: its stream.
        beside: see above.
    """

    loss: Callable[..., Scalars]
    draw: Callable[[Tensor], tuple[Tensor, ...]]
    size: int
    most: float
    noise_multiplier: float
    noise: torch.Generator
    beside: Beside | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self.module.modules()):
            raise ValueError(f"{self.name}: batch norm mixes the images of a batch: none has a gradient of its own")

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        """One update. Yields the means of the scalars, the norm of the gradient with its noise, and the share of images
        whose gradient was clipped; these means are not private."""
        scalars: dict[str, Tensor] = {}
        public: dict[str, Tensor] = {}
        if self.beside:
            given = self.beside.draw()
            scalars |= self.beside.measure(*given)
            public, each, _ = clipped_sum(self.module, self.beside.loss, self.objective, given, self.most)
            scalars |= {name: value.mean() for name, value in each.items()}
        total, each, norms = clipped_sum(self.module, self.loss, self.objective, self.draw(batch), self.most)
        for name, value in each.items():
            scalars[name] = value.mean() + (scalars[name] if name == self.objective and self.beside else 0)
        for name, p in self.module.named_parameters():
            noise = torch.randn(p.shape, generator=self.noise, device=p.device)
            p.grad = total[name].add_(noise, alpha=self.noise_multiplier * self.most)
            if public:
                p.grad += public[name]
            p.grad /= self.size
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        self.optimizer.step()
        if len(norms):
            scalars[f"clipped_{self.name}"] = (norms > self.most).float().mean()
        return scalars | {f"grad_norm_{self.name}": norm}
