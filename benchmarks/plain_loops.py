"""The usual way to train the same networks: torchvision's dataset, transforms, a DataLoader, PyTorch's own loop.

Everything has its default: one process loads, the optimizer gets the step size only, weights lie as they are built.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Adam, AdamW, Optimizer
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from benchmarks.cases import Case
from benchmarks.pairs import seconds
from benchmarks.plain_losses import discriminator_loss, generator_loss, negative_elbo
from benchmarks.torchvision_mnist import mnist
from genbalance.data.prepared import Prepared
from genbalance.models.classifier import Classifier
from genbalance.models.gan import Gan
from genbalance.models.vae import Vae
from genbalance.params import Params

Step = Callable[[Tensor, Tensor], float]


def updated(optimizer: Optimizer, loss: Tensor) -> float:
    """One step on ``loss``, and its value, which such loops add up."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def vae_step(params: Params, digits: Prepared, device: torch.device) -> Step:
    """Of encoder and decoder together."""
    config = params.vae
    model = Vae(config.arch, "bernoulli", digits.shape, config.latents, config.width, config.log_sigma_floor)
    model.to(device)
    optimizer = Adam(model.parameters(), config.learning_rate)
    return lambda images, _: updated(optimizer, negative_elbo(model, images, params.beta))


def gan_step(params: Params, digits: Prepared, device: torch.device) -> Step:
    """Of the discriminator, then of the generator on the same generated images; conditions stand where labels do."""
    config = params.gan
    gan = Gan(config.arch, digits.shape, config.latents, config.width, config.clusters).to(device)
    betas = config.adam_beta1, config.adam_beta2
    d_optimizer = Adam(gan.discriminator.parameters(), config.learning_rate, betas)
    g_optimizer = Adam(gan.generator.parameters(), config.learning_rate * params.lambda_, betas)

    def step(real: Tensor, labels: Tensor) -> float:
        conditions = labels if config.clusters else None
        fake = gan.generator(torch.randn(len(real), config.latents, device=device), conditions)
        loss_d = updated(d_optimizer, discriminator_loss(gan, real, fake, conditions))
        return loss_d + updated(g_optimizer, generator_loss(gan, fake, conditions))

    return step


def classifier_step(params: Params, digits: Prepared, device: torch.device) -> Step:
    """Of the classifier."""
    config = params.classifier
    model = Classifier(digits.shape, digits.classes, config.width).to(device)
    optimizer = AdamW(model.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    return lambda images, labels: updated(optimizer, cross_entropy(model(images), labels))


def transform(section: str, params: Params, digits: Prepared) -> transforms.Compose:
    """A picture → what the network of ``section`` takes. Shifts and rotations as torchvision has them."""
    steps = [transforms.ToTensor()]
    if section == "gan":
        steps.append(transforms.Normalize(0.5, 0.5))
    if section == "classifier":
        config, share = params.classifier, params.classifier.shift / digits.height
        moved = transforms.RandomAffine(config.rotation, (share, share), interpolation=InterpolationMode.BILINEAR)
        steps = [moved, *steps, transforms.Normalize(digits.mean, digits.std)]
    return transforms.Compose(steps)


STEPS = {"vae": vae_step, "gan": gan_step, "classifier": classifier_step}


def epoch(case: Case, params: Params, digits: Prepared, device: torch.device, folder: Path) -> Callable[[], float]:
    """What trains an epoch and returns its seconds an image; torchvision's files go into ``folder``."""
    params = case.params(params, 1)
    size = getattr(params, case.section).batch_size
    dataset = mnist(folder, digits, transform(case.section, params, digits))
    if case.section == "gan":  # which condition an image has costs no time
        dataset.targets = torch.arange(len(dataset)) % max(params.gan.clusters, 1)
    loader = DataLoader(dataset, size, shuffle=True, drop_last=True)
    step = STEPS[case.section](params, digits, device)

    def run() -> None:
        total = 0.0
        for images, labels in loader:
            total += step(images.to(device), labels.to(device))

    def measured() -> float:
        with _unrestrained():
            taken = seconds(run)
        return taken / (len(loader) * int(size))

    return measured


@contextmanager
def _unrestrained() -> Iterator[None]:
    """Without the deterministic algorithms that a stage asks for, which nobody's plain loop pays for."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
