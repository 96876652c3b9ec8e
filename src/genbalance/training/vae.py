"""The VAE's training: L = L_recon + β·L_KL, in nats per image."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from genbalance.data import pictures
from genbalance.data.pixels import UNIT
from genbalance.data.prepared import Prepared
from genbalance.evaluation.elbo import VaeEvaluation, decoded, evaluate_elbo
from genbalance.evaluation.features import in_blocks
from genbalance.evaluation.latents import active_units
from genbalance.losses.vae import binarize, vae_inputs, vae_output_at, warmed_up
from genbalance.models.vae import Vae
from genbalance.models.vae.likelihoods import SharedGaussian
from genbalance.models.vae.model import COMPONENTS
from genbalance.models.vae.priors import GaussianMixture, StandardNormal
from genbalance.models.weights import snapshot
from genbalance.params import Likelihood, Params, VaeConfig
from genbalance.runtime.arithmetic import exp
from genbalance.runtime.device import (
    Uploaded,
    download,
    generator,
    initialised,
    lowered,
    uploaded,
    uses_bf16,
)
from genbalance.runtime.errors import UserError
from genbalance.runtime.machine import machine
from genbalance.runtime.rng import stream_seed
from genbalance.tracking import Run
from genbalance.training import loop, mixture
from genbalance.training.balance import HeldDistortion
from genbalance.training.checkpoint import Part
from genbalance.training.ema import MovingAverage
from genbalance.training.epochs import GRID_COLUMNS, Epochs, Trained
from genbalance.training.federated import Division, Federation
from genbalance.training.loop import Phase, Scalars
from genbalance.training.private import PrivatePhase, guarantee, poisson_batches
from genbalance.training.shares import of_batch
from genbalance.training.stacked import StackedPhase, in_stack

SHOWN = {"loss": "val_loss", "KL": "val_rate"}  # of the validation images, L = L_recon + β·L_KL
SHOWN_ADAPTED = {"distortion": "val_distortion", "β": "beta"}
ADVICE = "a smaller vae.learning_rate"
WIDENED = 0.2  # share of the training after which β is drawn from the whole of `vae.beta_range`
# of `vae`, which enter a step as numbers or not at all, as β and the seed do: stacked trainings may differ in them
NUMBERS = {"learning_rate", "lr_decay", "ema_decay", "kl_warmup", "target_distortion", "epochs"}
STACKABLE = ("mlp", "conv")
VALIDATED = 5  # values of β at which such a model is validated

Labelled = tuple[Uploaded, Tensor | None]
"""Images [n, C, H, W] in [0, 1], and the labels [n] of a conditional model."""


def train(params: Params, dataset: Prepared, device: torch.device, run: Run) -> Trained:
    """Trains encoder, decoder and prior; a mixture as the prior is fitted at the end. The epoch that is kept has the
    least validation loss, which takes one draw of z whatever the training takes; with `vae.balance` geco, where that
    changes with β, it is the last. With `privacy.epsilon` both networks and the prior are trained by private steps.

    Raises:
        UserError: a batch does not fit the training split, `vae.likelihood`, `vae.balance` or `privacy.delta` is not
            for such images, or the training has diverged.
    """
    config, seed, beta, privacy = params.vae, params.seed, params.beta, params.privacy
    count, size = len(dataset.train), config.batch_size
    loop.check_batch_size("vae.batch_size", size, count)
    for name, given in (("conditional", config.conditional), ("rebalance", config.rebalance)):
        loop.check_classes(f"vae.{name}", given, dataset.classes)
    division = Division("vae", params, dataset, device)
    steps = config.epochs * (count // size)
    spends = guarantee(privacy, count, size, steps)
    model, arguments = build_vae(config, dataset, seed, device, beta)
    pixels, val = (uploaded(split.images, UNIT, device) for split in (dataset.train, dataset.val))
    labels, val_labels, grid_labels = (
        torch.from_numpy(given).to(device) if config.conditional else None
        for given in (dataset.train.labels, dataset.val.labels, np.arange(GRID_COLUMNS**2) % max(1, dataset.classes))
    )

    evened = dataset.train.labels if config.rebalance else None
    average = MovingAverage(model, config.ema_decay)
    bf16 = spends is None and uses_bf16(params.compute, device, model)
    noise, order = (generator(seed, f"vae/{name}", device) for name in ("noise", "order"))

    networks = (
        {"vae": model} if config.updates == "joint" else dict(zip(("encoder", "decoder"), model.sides(), strict=True))
    )
    optimizers = {
        name: Adam(network.parameters(), config.learning_rate, fused=True) for name, network in networks.items()
    }
    fall = division.linear_fall(config.lr_decay)
    schedules = [LambdaLR(optimizer, fall) for optimizer in optimizers.values()]
    held = HeldDistortion(beta, config.target_distortion, device) if config.balance == "geco" else None
    fitted = shared_gaussian(model).fitted if config.balance == "sigma" else None

    def weight(count: int) -> float | Tensor:
        """β in a step on ``count`` images; where each has its own, all of them."""
        done = schedules[0].last_epoch
        if config.beta_range != "none":
            ends = widened(config.beta_range, done / division.steps)
            return of_batch(lambda size: draw_betas(size, *ends, noise), count)
        if held:
            return held.beta
        warm_up = config.kl_warmup * division.steps_of_a_pass
        return warmed_up(beta, (done + 1) / warm_up if warm_up else 1.0)

    def drawn(batch: Tensor) -> tuple[Any, ...]:
        betas = weight(len(batch))
        images, normal = vae_inputs(model, pixels[batch], noise, config.importance_samples)
        return (betas, images, normal) if labels is None else (betas, images, normal, labels[batch])

    def loss(betas: float | Tensor, images: Tensor, normal: Tensor, conditions: Tensor | None = None) -> Scalars:
        with model.at(betas):
            terms = vae_output_at(model, images, normal, conditions, fitted).terms
        return {
            "train_loss": terms.loss(betas, config.free_bits),
            "train_distortion": terms.distortion.mean(),
            "train_rate": terms.rate.mean(),
        }

    def draw(batch: Tensor) -> tuple[Tensor, ...]:
        images, normal = vae_inputs(model, pixels[batch], noise, config.importance_samples)
        normal = normal if normal.dim() == 2 else normal.transpose(0, 1)  # a row for each image
        return (images, normal) if labels is None else (images, normal, labels[batch])

    def loss_of_each(images: Tensor, normal: Tensor, conditions: Tensor | None = None) -> Scalars:
        normal = normal if normal.dim() == 2 else normal.transpose(0, 1)
        terms = vae_output_at(model, images, normal, conditions).terms
        means = {"train_distortion": terms.distortion, "train_rate": terms.rate}
        return {"train_loss": terms.loss_of_each(weight(len(images)))} | {
            name: value.mean(dim=0) if value.dim() > 1 else value for name, value in means.items()
        }

    private_noise = generator(seed, "vae/privacy", device)

    def phase(name: str, network: nn.Module) -> Phase:
        of_network = (name, network, optimizers[name], "train_loss")
        if spends is not None:
            return PrivatePhase(
                *of_network,
                loss=loss_of_each,
                draw=draw,
                size=size,
                most=privacy.max_grad_norm,
                noise_multiplier=spends.noise_multiplier,
                noise=private_noise,
            )
        if in_stack():
            return StackedPhase(*of_network, loss=lowered(loss, bf16, device), draw=drawn)
        return Phase(*of_network, lowered(lambda batch: loss(*drawn(batch)), bf16, device))

    phases = [phase(name, network) for name, network in networks.items()]
    batches = (
        partial(division.batches, order, config.rebalance)
        if spends is None
        else partial(poisson_batches, count, size, order)
    )
    latents = torch.randn(GRID_COLUMNS**2, model.latents, generator=generator(seed, "vae/shown")).to(device)
    first = slice(GRID_COLUMNS**2 // 2)
    original_labels = val_labels[first] if val_labels is not None else None
    grids = Grids(latents, grid_labels, dataset.val.images[first], original_labels, GRID_COLUMNS)
    best = BestEpoch(None if held else "val_loss" if config.beta_range == "none" else "val_range_loss")

    def validate() -> VaeEvaluation:
        """With the same noise at each epoch, so that epochs differ by their weights alone."""
        return evaluate_elbo(average.module, val, generator(seed, "vae/validation", device), val_labels)

    def validate_range() -> dict[str, float]:
        """``val_range_loss``: the mean of the loss over several β, where there is a range."""
        if config.beta_range == "none":
            return {}
        losses = []
        least, largest = config.beta_range
        for value in map(float, np.geomspace(least, largest, VALIDATED)):
            with average.module.at(value):
                losses.append(validate().loss(value))
        return {"val_range_loss": float(np.mean(losses))}

    adapted = (*((held,) if held else ()), *((private_noise,) if spends else ()))

    def a_pass() -> None:
        for scalars in epochs.steps(phases, batches()):
            for schedule in schedules:
                schedule.step()
            average.update(model)
            if held:
                held.update(scalars["train_distortion"])

    own: tuple[Part, ...] = (model, average, *optimizers.values(), *schedules, noise, order)
    federation = Federation("vae", params, division, (model, average.module), own, a_pass)
    parts = (*own, best, *adapted, federation)
    printed = SHOWN if config.balance == "fixed" else SHOWN_ADAPTED
    run.log({"bf16": float(bf16)})
    with Epochs("train_vae", params, run, config.epochs, division.seen, size, printed, ADVICE, *parts) as epochs:
        for epoch in epochs:
            epochs.log_untrained(lambda: grids.draw(average.module, validate()))
            model.train()
            federation.train(epoch, epochs.add_others)
            validated = validate()
            validation = validation_metrics(validated, float(held.beta) if held else beta, model.layers)
            validation |= validate_range()
            if held:
                validation["beta"] = float(held.beta)
            elif fitted:
                validation["beta"] = beta * float(shared_gaussian(average.module).sigma) ** 2
            means = epochs.means()
            norms = {name: means.pop(name) for name in list(means) if name.startswith(("grad_norm", "clipped"))}
            epochs.log(means | validation, norms)
            epochs.log_images(**grids.draw(average.module, validated))
            if federation.has(epoch):
                best.consider(epoch, validation, average.module, validated.kl)
        if not held:  # losses with one β and others with another have no least one
            epochs.log_best(val_loss=min, val_distortion=min)
        kept_weights, prior_gain = best.weights, dict[str, float]()
        if config.prior == "mixture":
            arguments["prior"] = "mixture"
            fitted_to, classes = (pixels, labels), None
            if evened is not None:  # as in training
                rows = torch.cat([*loop.batches(count, size, generator(seed, "vae/prior/rebalance", device), evened)])
                rows = rows[: mixture.MOST]
                fitted_to, classes = (pixels[rows], None if labels is None else labels[rows]), evened[rows.cpu()]
            kept, gain = with_mixture(best.weights, arguments, fitted_to, classes, (val, val_labels), seed, device)
            kept_weights, prior_gain = snapshot(kept), {"prior_gain": gain}
            epochs.log_kept_images(best.epoch, samples=grids.samples(kept))
        curves, images, alarms = epochs.curves, epochs.grids(), epochs.alarms

    parameters = sum(p.numel() for p in model.parameters())
    made = {"likelihood": arguments["likelihood"], "parameters": parameters, "machine": machine(device)}
    reached = {{"beta": "beta_reached"}.get(name, name): value for name, value in best.metrics.items()}
    spent = spends.metrics if spends else {}
    spent |= federation.metrics(config.epochs)
    metrics = {"best_epoch": best.epoch} | reached | prior_gain | alarms | spent | made
    kl = pd.DataFrame({"latent": range(len(best.kl)), "kl": best.kl})
    return Trained(arguments, kept_weights, metrics, curves, {"kl_per_latent": kl}, images, best.epoch)


def stackable(params: Params, dataset: Prepared) -> str:
    """What trainings have in common that can be stacked: all params of `vae` but numbers that enter a step as such, and
    the shapes; "" where a step reads or changes what is no number of that kind."""
    config = params.vae
    elsewhere = params.privacy.epsilon != "none" or params.federated.count or config.updates != "joint"
    if elsewhere or config.balance == "sigma" or config.arch not in STACKABLE:
        return ""
    common = {key: value for key, value in config.model_dump().items() if key not in NUMBERS}
    return repr((common, params.compute, dataset.shape, dataset.classes if config.conditional else 0))


def widened(ends: Sequence[float], progress: float) -> tuple[float, float]:
    """The ends of the range that β is drawn from after the share ``progress`` of the training: the lesser one alone at
    first, the whole ``ends`` from :data:`WIDENED` on. Latents that a large β has switched off before they carried
    anything would be missing at a small one."""
    least, largest = ends
    return least, least * (largest / least) ** min(1.0, progress / WIDENED)


def draw_betas(count: int, least: float, largest: float, noise: torch.Generator) -> Tensor:
    """One β [count] of each of ``count`` parts of the range, in random order. On the scale of log β the parts near the
    ends are narrower, where a network has examples to one side alone: their widths go from 1/2 to 1/2 + π/4."""
    order = torch.randperm(count, generator=noise, device=noise.device)
    uniform = (order + torch.rand(count, generator=noise, device=noise.device)) / count
    place = (uniform + (1 - (math.pi * (0.5 - uniform)).sin()) / 2) / 2
    return exp(math.log(least) + math.log(largest / least) * place)


def build_vae(
    config: VaeConfig, dataset: Prepared, seed: int, device: torch.device, beta: float = 1.0
) -> tuple[Vae, dict[str, Any]]:
    """The untrained network, and the arguments it was made with.

    Raises:
        UserError: ``vae.likelihood`` is not for such images.
    """
    arguments: dict[str, Any] = {
        "arch": config.arch,
        "likelihood": likelihood_of(config, dataset.channels),
        "shape": dataset.shape,
        "latents": config.latents,
        "width": config.width,
        "log_sigma_floor": config.log_sigma_floor,
        "prior": "normal" if config.prior == "mixture" else config.prior,  # which is fitted when all else is trained
        "classes": dataset.classes if config.conditional else 0,
    }
    if config.beta_range != "none":
        arguments |= {"beta_range": config.beta_range, "beta": beta}
    return initialised(lambda: Vae(**arguments), seed, "vae/init", device), arguments


def with_mixture(
    weights: Mapping[str, Tensor],
    arguments: Mapping[str, Any],
    train: Labelled,
    classes: NDArray[np.int64] | None,
    val: Labelled,
    seed: int,
    device: torch.device,
) -> tuple[Vae, float]:
    """The network of these ``weights``, trained with the prior N(0, I), with a mixture in its place that is fitted to
    q(z|x) of the training images, of a ladder to that of the highest layer, class by class where ``classes`` [n] are
    given; and by how many nats a draw of z is more likely under it, on the average of the validation images."""
    model, prior = Vae(**arguments), GaussianMixture(arguments["latents"], COMPONENTS)
    model.load_state_dict({**weights, **{f"prior.{name}": value for name, value in prior.state_dict().items()}})
    model, noise = model.eval().to(device), generator(seed, "vae/prior", device)

    def draw(pixels: Tensor, *labels: Tensor) -> Tensor:
        """A draw of z, and the mean and the deviation that each latent was drawn with, side by side."""
        if model.likelihood == "bernoulli":
            pixels = binarize(pixels, torch.rand(pixels.shape, generator=noise, device=device))
        posterior = model.encode(pixels, *labels)
        drawn = posterior.draw(torch.randn(len(pixels), model.latents, generator=noise, device=device))
        return torch.cat([drawn.latents, drawn.conditional.mean, drawn.conditional.stddev], dim=1)

    def codes(pixels: Uploaded, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        found = in_blocks(draw, pixels[: mixture.MOST], None if labels is None else labels[: mixture.MOST])
        latents, means, deviations = found.double().chunk(3, dim=1)
        return latents, means, deviations

    fitted = model.layers[-1]  # all latents; of a ladder the highest layer's, as the others' priors are learned
    _, means, deviations = (each[:, -fitted:] for each in codes(*train))
    posteriors, chance = (means.numpy(), deviations.square().numpy()), stream_seed(seed, "vae/prior") % 2**32
    if classes is None:
        found = mixture.fit(*posteriors, COMPONENTS, chance)
    else:
        found = mixture.fit_by_class(*posteriors, classes, COMPONENTS, chance)
    prior.set(*map(torch.from_numpy, found))
    held_out = codes(*val)[0].float()
    gain = prior.log_prob(held_out) - StandardNormal().log_prob(held_out)
    model.prior.load_state_dict(prior.state_dict())
    return model, float(gain.mean())


def likelihood_of(config: VaeConfig, channels: int) -> Likelihood:
    """`vae.likelihood`, and for ``auto`` that of grey images or of colour.

    Raises:
        UserError: it is bernoulli, of black and white, and the images have colour; or `vae.balance` is sigma, and it
            has none that all pixels share.
    """
    if config.likelihood == "auto":
        if channels == 1 and config.balance == "sigma":
            raise UserError(
                "vae.likelihood: found auto, which is bernoulli for grey images, with vae.balance = sigma; "
                "allowed: gaussian_shared"
            )
        return "bernoulli" if channels == 1 else "gaussian_shared"
    if config.likelihood == "bernoulli" and channels > 1:
        raise UserError(
            f"vae.likelihood: found bernoulli, which is of black and white, with images of {channels} channels; "
            "allowed: gaussian_shared (auto), gaussian or logistic_mixture"
        )
    return config.likelihood


def shared_gaussian(model: Vae) -> SharedGaussian:
    """The likelihood of a model whose pixels share one σ.

    Raises:
        TypeError: it has another.
    """
    if not isinstance(model.observation, SharedGaussian):
        raise TypeError(f"{model.likelihood} has no σ that all pixels share")
    return model.observation


def validation_metrics(validated: VaeEvaluation, beta: float, layers: Sequence[int]) -> dict[str, float]:
    """Loss and terms on the validation images, nats per image, with the rate of each of several ``layers``, and the
    number of active units."""
    return {
        "val_loss": validated.loss(beta),
        "val_distortion": float(validated.distortion.mean()),
        "val_rate": validated.rate,
        **{f"val_{name}": rate for name, rate in validated.rates_of_layers(layers).items()},
        "active_units": active_units(validated.means),
    }


class BestEpoch:
    """The epoch with the least value of a metric; of equal ones the first.

    Args:
        name: the metric's; None: the last epoch whatever it measured.

    Attributes:
        epoch: its number, counted from 1; 0 before there is one.
        metrics: measured after it.
        weights: at its end.
        kl: of its validation, nats a latent [latents].
    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self.weights: dict[str, Tensor] = {}
        self.kl: NDArray[np.float64] = np.empty(0)

    def consider(self, epoch: int, metrics: Mapping[str, float], network: nn.Module, kl: NDArray[np.float64]) -> None:
        """Keeps an epoch if it is better than all before."""
        if not self.epoch or self._name is None or metrics[self._name] < self.metrics[self._name]:
            self.epoch, self.metrics, self.weights, self.kl = epoch, dict(metrics), snapshot(network), kl

    def state_dict(self) -> dict[str, Any]:
        """All of it, as tensors and numbers."""
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "weights": self.weights,
            "kl": torch.from_numpy(self.kl),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state saved by state_dict."""
        self.epoch, self.metrics = state_dict["epoch"], state_dict["metrics"]
        self.weights, self.kl = state_dict["weights"], state_dict["kl"].numpy()


class Grids:
    """Samples from the same latents each time, and the same images with their reconstructions.

    Args:
        latents: standard normal noise [n, L] of the samples.
        labels: of the samples [n], None where the model is not conditional.
        originals: uint8 images [m, H, W] or [m, H, W, 3], the first that are validated.
        original_labels: theirs [m], None where the model is not conditional.
        columns: of either grid.
    """

    def __init__(
        self,
        latents: Tensor,
        labels: Tensor | None,
        originals: NDArray[np.uint8],
        original_labels: Tensor | None,
        columns: int,
    ) -> None:
        self._latents, self._labels, self._columns = latents, labels, columns
        self._originals, self._original_labels = originals, original_labels

    def draw(self, model: Vae, validated: VaeEvaluation) -> dict[str, NDArray[np.uint8]]:
        """``samples``, and ``reconstructions``: rows of originals, each above the row of their reconstructions, the
        first of ``validated``."""
        columns = min(self._columns, len(self._originals))
        below = UNIT.to_uint8(decoded(model, validated.means[: len(self._originals)], self._original_labels))
        pairs = pictures.alternate_rows(self._originals, below, columns)
        return {"samples": self.samples(model), "reconstructions": pictures.grid(pairs, columns)}

    def samples(self, model: Vae) -> NDArray[np.uint8]:
        """``samples`` alone."""
        drawn = in_blocks(model.sample, self._latents, self._labels, values=model.outputs)
        return pictures.grid(download(drawn, UNIT), self._columns)
