"""Differentially private training: weights that say little of any one training image.

DP-SGD (Abadi et al. 2016, arXiv:1607.00133, algorithm 1): each step draws its images by Poisson sampling, clips the
gradient of each image to a norm, sums them and adds Gaussian noise. Weights trained so are (ε, δ)-differentially
private: for any two sets of training images that differ by one image, present or absent, and for any set S of weights,
P(weights ∈ S) ≤ e^ε·P′(weights ∈ S) + δ. So is all that is computed from them without another look at the images.

Norms, noise and accountant are Opacus' (Yousefpour et al. 2021, arXiv:2109.12298). Its modules, which also clip, are
not used: they go back through the network twice, or hold the gradients of all images in memory, and take each row that
a layer sees for an image.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.linalg import vector_norm
from torch.nn.functional import unfold

from genbalance.params import PrivacyConfig
from genbalance.runtime.arithmetic import Narrow
from genbalance.runtime.errors import UserError
from genbalance.training.loop import LossModule, Phase, Scalars

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
    loss variables (PRV: Gopi et al. 2021, arXiv:2106.02848) finds a smaller ε, but takes memory and time that grow with
    it. σ is rounded up to four digits, so that the last bits of the search decide nothing.

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


def clipped_sum(
    network: nn.Module, loss: Callable[..., Scalars], objective: str, inputs: Sequence[Tensor], most: float
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Σ g·min(1, C/‖g‖) over the gradients g of the images, by the weight's name, C = ``most``: another image in the
    place of one moves it by 2·C at most, one more or one less by C.

    Args:
        network: that the loss calls. No layer of it may mix images, as batch norm does.
        loss: of :class:`PrivatePhase`.
        objective: the scalar whose gradients are meant.
        inputs: of the loss, [B, …] each.
        most: see above.

    Returns:
        The sum; the scalars of each image [B], none of no images; the norms ‖g‖ [B].
    """
    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    kept: list[Scalars] = []
    norms = [torch.zeros(0, device=inputs[0].device)]
    for part in zip(*(given.split(AT_A_TIME) for given in inputs), strict=True):
        if len(part[0]):
            scalars, norm, gradients = _clipped(network, loss, objective, part, most)
            kept.append(scalars)
            norms.append(norm)
            for name, gradient in gradients.items():
                total[name] += gradient
    scalars = {name: torch.cat([each[name] for each in kept]) for name in (kept[0] if kept else ())}
    return total, scalars, torch.cat(norms)


def _clipped(
    network: nn.Module, loss: Callable[..., Scalars], objective: str, inputs: Sequence[Tensor], most: float
) -> tuple[Scalars, Tensor, dict[str, Tensor]]:
    """Scalars, norms and sum of images that lie in memory together. A layer's part of the sum is its gradient by slopes
    that are weighted image by image: one pass back through the network, and none through the layers before."""
    calls: dict[nn.Module, list[tuple[Tensor, Tensor] | None]] = defaultdict(list)

    def record(layer: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
        rows = [len(it) if isinstance(it, Tensor) else None for it in (*given, output)]
        # a linear layer takes several draws of z as [draws, B, L], and there may be as many as images
        of_images = rows == [len(inputs[0])] * 2 and not (isinstance(layer, nn.Linear) and output.dim() > 2)
        calls[layer].append((given[0].detach(), output) if of_images else None)
        return output.clone() if of_images else output  # which the next layer may change in its place

    names = {p: name for name, p in network.named_parameters()}
    with ExitStack() as hooks:
        for layer in network.modules():
            if next(layer.parameters(recurse=False), None) is not None and next(layer.children(), None) is None:
                hooks.callback(layer.register_forward_hook(record).remove)
        scalars = loss(*inputs)
    # a layer that is called twice, or with other rows than the images, such as pseudo-inputs, has another gradient
    found = [(layer, *made[0]) for layer, made in calls.items() if len(made) == 1 and made[0] is not None]
    outputs = [output for *_, output in found]
    slopes = torch.autograd.grad(scalars[objective].sum(), outputs, retain_graph=True, materialize_grads=True)
    others = names.keys() - {p for layer, *_ in found for p in layer.parameters()}
    each = _one_by_one(network, loss, objective, inputs, {names[p]: p.detach() for p in names if p in others})
    norms = [vector_norm(gradient.flatten(1), dim=1) for gradient in each.values()]
    for (layer, given, _), slope in zip(found, slopes, strict=True):
        norms += _norms(layer, given, slope)
    norm = vector_norm(torch.stack(norms), dim=0)
    factors = (most / norm).clamp(max=1)
    total = {name: torch.einsum("b,b...->...", factors, gradient) for name, gradient in each.items()}
    for (layer, _, output), slope in zip(found, slopes, strict=True):
        weights = list(layer.parameters())
        weighted = factors.view(-1, *[1] * (slope.dim() - 1)) * slope
        gradients = torch.autograd.grad(output, weights, weighted, retain_graph=True)
        total |= {names[p]: gradient for p, gradient in zip(weights, gradients, strict=True)}
    return {name: value.detach() for name, value in scalars.items()}, norm, total


def _norms(layer: Any, inputs: Tensor, slopes: Tensor) -> list[Tensor]:
    """Of the gradients of each image by each weight of a layer, [B] each, out of the layer's inputs [B, …] and the
    gradients by its outputs [B, …].

    Of a convolution, a sum over places of outer products of a patch of k numbers with o slopes, where there are few
    places the norm is found by the products of each place with each other (Bu et al. 2022, arXiv:2205.10683); Opacus
    would hold the gradients of all images in memory. Of all other layers it is Opacus'.
    """
    from opacus.grad_sample import GradSampleHooksFastGradientClipping as Opacus
    from opacus.grad_sample.functorch import ft_compute_per_sample_gradient

    if type(layer) is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros":
        patches = unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
        each, (k, places) = slopes.flatten(2), patches.shape[1:]
        if places * (k + each.shape[1]) < k * each.shape[1]:
            squares = ((patches.mT @ patches) * (each.mT @ each)).sum(dim=(1, 2))
            norms = [squares.clamp(min=0).sqrt()]
        else:
            norms = [vector_norm(each @ patches.mT, dim=(1, 2))]
        return norms if layer.bias is None else [*norms, vector_norm(each.sum(dim=2), dim=1)]
    kind = nn.Linear if isinstance(layer, Narrow) else type(layer)
    if kind in Opacus.NORM_SAMPLERS:
        return list(Opacus.NORM_SAMPLERS[kind](layer, [inputs], slopes).values())
    gradients = Opacus.GRAD_SAMPLERS.get(kind, ft_compute_per_sample_gradient)(layer, [inputs], slopes)
    return [vector_norm(gradient.flatten(1), dim=1) for gradient in gradients.values()]


def _one_by_one(
    network: nn.Module,
    loss: Callable[..., Scalars],
    objective: str,
    inputs: Sequence[Tensor],
    weights: dict[str, Tensor],
) -> dict[str, Tensor]:
    """The gradient of each image by some weights, [B, …] each, whatever the network does with them: slow and large."""
    if not weights:
        return {}
    module = LossModule(network, loss)

    def of_one(weights: dict[str, Tensor], *one: Tensor) -> Tensor:
        each: Tensor = functional_call(module, module.named(weights), tuple(given[None] for given in one))[objective]
        return each[0]

    each: dict[str, Tensor] = vmap(grad(of_one), (None, *[0] * len(inputs)), randomness="different")(weights, *inputs)
    return each


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
        noisy: ``optimizer`` as Opacus has it, which adds the noise and divides by ``size`` before each step.
    """

    loss: Callable[..., Scalars]
    draw: Callable[[Tensor], tuple[Tensor, ...]]
    size: int
    most: float
    noise_multiplier: float
    noise: torch.Generator
    beside: Beside | None = None
    noisy: Any = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self.module.modules()):
            raise ValueError(f"{self.name}: batch norm mixes the images of a batch: none has a gradient of its own")
        from opacus.optimizers import DPOptimizerFastGradientClipping

        noisy = DPOptimizerFastGradientClipping(
            self.optimizer,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.most,
            expected_batch_size=self.size,
            generator=self.noise,
        )
        object.__setattr__(self, "noisy", noisy)

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
        self.noisy.zero_grad(set_to_none=True)
        for name, p in self.module.named_parameters():
            p.grad = total[name] + public[name] if public else total[name]
        self.noisy.step()
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if len(norms):
            scalars[f"clipped_{self.name}"] = (norms > self.most).float().mean()
        return scalars | {f"grad_norm_{self.name}": norm}
