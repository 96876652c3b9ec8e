"""What the three steps of the VAE-GAN minimise, and which networks they move."""

import pytest
import torch
from torch.optim import SGD, Adam

from genbalance.losses import gan as losses
from genbalance.models.vae_gan import VaeGan
from genbalance.params import read_params
from genbalance.runtime.device import generator, initialised
from genbalance.training.loop import Phase
from genbalance.training.vae_gan import VaeGanObjective, validation_kl, validation_metrics

CONFIG = read_params().vae_gan
CPU, BATCH = torch.device("cpu"), torch.arange(6)


def images(count=12, seed=1):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def model():
    arguments = {"shape": [1, 8, 8], "latents": 4, "width": 4, "encoder_width": 16}
    return initialised(lambda: VaeGan(**arguments), 0, "vae_gan", CPU)


def objective_of(networks, beta=1.0, **changes):
    config = CONFIG.model_copy(update={"r1": 0.0} | changes)
    return VaeGanObjective(networks, images(), beta, config, generator(0, "noise"))


def weights_of(module):
    return {
        name: value.clone()
        for name, value in module.state_dict().items()
        if value.is_floating_point() and "running" not in name
    }


def moved(before, module):
    return {name for name, value in weights_of(module).items() if not torch.equal(value, before[name])}


STEPS = {
    "d": ("objective_d", lambda networks: networks.discriminator, {"discriminator"}),
    "vae": ("loss_vae", lambda networks: networks.autoencoder, {"autoencoder.encoder", "autoencoder.decoder"}),
    "g": ("loss_g", lambda networks: networks.autoencoder.decoder, {"autoencoder.decoder"}),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_moves_its_own_networks_alone(name):
    networks, (minimised, module, own) = model(), STEPS[name]
    before = weights_of(networks)
    loss = getattr(objective_of(networks), f"loss_{name}")
    Phase(name, module(networks), SGD(module(networks).parameters(), 0.1), minimised, loss).step(BATCH)
    changed = {".".join(key.split(".")[: 1 if key.startswith("d") else 2]) for key in moved(before, networks)}
    assert changed == own


@pytest.mark.parametrize("beta", [0.0, 0.5, 8.0])
def test_the_vaes_step_minimises_the_reconstruction_and_beta_times_the_rate(beta):
    scalars = objective_of(model(), beta).loss_vae(BATCH)
    torch.testing.assert_close(scalars["loss_vae"], scalars["train_distortion"] + beta * scalars["train_rate"])
    assert scalars["train_rate"] > 0


def test_d_is_trained_on_samples_and_reconstructions_in_equal_numbers():
    networks = model().eval()
    objective, noise = objective_of(networks), generator(0, "noise")
    scalars = objective.loss_d(BATCH)
    posterior = networks.autoencoder.encode(images()[:6])
    z = posterior.mean + posterior.stddev * torch.randn(6, 4, generator=noise)
    generated = networks.autoencoder.decode(torch.cat([z, torch.randn(6, 4, generator=noise)]))
    expected = losses.LOSSES["non_saturating"].d(
        networks.discriminator(images()[:6]), networks.discriminator(generated)
    )
    torch.testing.assert_close(scalars["loss_d"], expected)
    assert scalars["objective_d"] is scalars["loss_d"]


@pytest.mark.parametrize("every", [1, 3])
def test_r1_comes_every_so_many_steps_with_so_many_times_its_weight(every):
    objective = objective_of(model(), r1=0.5, r1_every=every)
    for step in range(7):
        scalars = objective.loss_d(BATCH)
        penalty = scalars["objective_d"] - scalars["loss_d"]
        assert (penalty > 0) == (step % every == 0)


@pytest.mark.parametrize("lambda_", [0.25, 4.0])
def test_lambda_is_the_ratio_of_the_decoders_adversarial_step_to_ds(lambda_):
    """Under Adam, whose first step is the learning rate, whatever the loss's scale."""
    networks = model()
    lr, lr_g = losses.step_sizes(1e-3, lambda_)
    objective, steps = objective_of(networks), {}
    for name, rate in (("d", lr), ("g", lr_g)):
        minimised, module, _ = STEPS[name]
        before = torch.cat([p.detach().flatten().clone() for p in module(networks).parameters()])
        optimizer = Adam(module(networks).parameters(), rate, (0.0, 0.99))
        Phase(name, module(networks), optimizer, minimised, getattr(objective, f"loss_{name}")).step(BATCH)
        after = torch.cat([p.detach().flatten() for p in module(networks).parameters()])
        steps[name] = (after - before).abs().max().item()
    assert steps["g"] / steps["d"] == pytest.approx(lambda_, rel=0.02)


def test_the_validation_has_the_kl_of_each_latent_in_closed_form_and_ds_accuracy():
    networks = model().eval()
    kl = validation_kl(networks.autoencoder, images())
    with torch.no_grad():
        posterior = networks.autoencoder.encode(images())
        expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).mean(dim=0)
        right = (networks.discriminator(images()) > 0).double().mean().item()
    assert kl == pytest.approx(expected.double().numpy(), rel=1e-4)
    found = validation_metrics(networks.autoencoder, networks.discriminator, images(), kl)
    assert found["val_rate"] == pytest.approx(kl.sum())
    assert found["d_accuracy_held_out"] == right


def test_the_number_of_ds_steps_is_restored():
    objective = objective_of(model(), r1=0.5, r1_every=3)
    objective.loss_d(BATCH)
    other = objective_of(model(), r1=0.5, r1_every=3)
    other.load_state_dict(objective.state_dict())
    scalars = other.loss_d(BATCH)
    assert scalars["objective_d"] is scalars["loss_d"]
