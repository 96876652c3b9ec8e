"""The VAE-GAN, in which both coefficients act."""

from genbalance.families.registry import DISCRIMINATOR, ENCODER, MEMORISED, Chart, Family, Line, Panel, accuracy_chart

FAMILY = Family(
    name="vae_gan",
    title="VAE-GAN",
    objective="L = L_recon + β·L_KL + λ·L_G",
    description=(
        "The decoder of a VAE-GAN, balanced by β and λ: L = L_recon + β·L_KL + λ·L_G, with the reconstruction measured "
        "on the discriminator's features; λ acts as lr_G / lr_D."
    ),
    coefficients=("lambda", "beta"),
    parts=frozenset({ENCODER, DISCRIMINATOR}),
    network="genbalance.models.vae_gan:VaeGan",
    sampler="genbalance.sampling.vae_gan:VaeGanSampler",
    drawing="genbalance.sampling.vae_gan:vae_gan_drawing",
    autoencoder="genbalance.sampling.vae_gan:UnitAutoencoder",
    charts=(
        Chart(
            "vae_gan_losses",
            "VAE-GAN: losses",
            "L_recon is measured on D’s features, which change as D does: its level tells little.",
            (
                Panel(
                    "loss [nats]",
                    (
                        Line("loss_g", "$L_G$", compared="$L_G$ [nats]"),
                        Line("loss_d", "$L_D$", "extra", "--", compared="$L_D$ [nats]"),
                    ),
                ),
                Panel(
                    "nats per image",
                    (
                        Line("train_distortion", "$L_{recon}$", "muted", "--"),
                        Line("val_rate", "rate, validation", compared="rate\n[nats per image]"),
                    ),
                ),
            ),
            alt="Two line charts over {epochs} epochs. At the end L_D is {loss_d}, L_G {loss_g}, the reconstruction "
            "term {train_distortion} and the rate {val_rate} nats per image.",
        ),
        accuracy_chart("vae_gan", "VAE-GAN", MEMORISED),
    ),
    inks=("#6a3fb0", "#b79cf0"),
    best="fd_test",
    samples="Decoded from the prior by the decoder’s moving average. Not selected.",
)
