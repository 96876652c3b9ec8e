"""The GAN, balanced by λ."""

from genbalance.families.registry import DISCRIMINATOR, MEMORISED, By, Chart, Family, Line, Panel, accuracy_chart

FAMILY = Family(
    name="gan",
    title="GAN",
    objective="L = L_D + λ·L_G",
    description="The generator of a GAN, balanced by λ: L = L_D + λ·L_G; λ acts as lr_G / lr_D.",
    coefficients=("lambda",),
    parts=frozenset({DISCRIMINATOR}),
    network="genbalance.models.gan.model:Gan",
    sampler="genbalance.sampling.gan:GanSampler",
    drawing="genbalance.sampling.gan:gan_drawing",
    charts=(
        Chart(
            "gan_losses",
            "GAN: losses and gradients",
            "The losses depend on both networks: neither alone says how good the samples are.",
            (
                Panel(
                    By("gan.loss", (("non_saturating", "loss [nats]"), ("relativistic", "loss [nats]")), "loss"),
                    (
                        Line("loss_total", r"$L = L_D + \lambda L_G$", "muted", ":"),
                        Line("loss_g", "$L_G$", compared="$L_G$ [nats]"),
                        Line("loss_d", "$L_D$", "extra", "--", compared="$L_D$ [nats]"),
                    ),
                ),
                Panel(
                    "gradient norm",
                    (Line("grad_norm_g", "$L_G$"), Line("grad_norm_d", "$L_D$", "extra", "--")),
                    log=True,
                ),
                Panel("λ", (Line("lambda", r"$\lambda = lr_G / lr_D$", compared="λ"),), log=True, adapted=True),
            ),
            alt="Line chart over {epochs} epochs. At the end L_D is {loss_d} and L_G {loss_g}; below, the norms of "
            "both gradients on a logarithmic axis.",
        ),
        accuracy_chart(
            "gan",
            "GAN",
            By(
                "gan.loss",
                (
                    (
                        "wasserstein",
                        "A Wasserstein critic has no threshold at zero, so this accuracy means little; see the AUC "
                        "above.",
                    ),
                    (
                        "relativistic",
                        "A relativistic D compares images in pairs and has no threshold at zero, so this accuracy "
                        "means little; see the AUC above.",
                    ),
                ),
                MEMORISED,
            ),
        ),
    ),
    inks=("#0072b2", "#56b4e9"),
    best="fd_test",
    samples="Drawn by the generator’s moving average from the prior. Not selected.",
)
