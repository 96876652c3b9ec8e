"""The GAN, balanced by λ."""

from genbalance.families.registry import DISCRIMINATOR, By, Chart, Family, Line, Panel

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
                    By("gan.loss", (("non_saturating", "loss [nats]"),), "loss"),
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
            ),
            alt="Line chart over {epochs} epochs. At the end L_D is {loss_d} and L_G {loss_g}; below, the norms of "
            "both gradients on a logarithmic axis.",
        ),
        Chart(
            "gan_accuracy",
            "GAN: D’s accuracy",
            By(
                "gan.loss",
                (
                    (
                        "wasserstein",
                        "A Wasserstein critic has no threshold at zero, so this accuracy means little; see the AUC "
                        "above.",
                    ),
                ),
                "A gap between the two real curves: D has memorised training images.",
            ),
            (
                Panel(
                    "D’s accuracy",
                    (
                        Line("d_accuracy_real", "real", "real"),
                        Line("d_accuracy_held_out", "real, held out", "extra", "--"),
                        Line("d_accuracy_generated", "generated", "", "-.", compared="D’s accuracy,\ngenerated"),
                    ),
                    bounds=(0, 1),
                    level=(0.5, "½: cannot tell"),
                ),
            ),
            alt="Line chart over {epochs} epochs of the discriminator's accuracy. At the end {d_accuracy_real} on the "
            "real images it was trained on, {d_accuracy_held_out} on held-out real ones, {d_accuracy_generated} on "
            "generated ones.",
        ),
    ),
    inks=("#0072b2", "#56b4e9"),
    best="fd_test",
    samples="Drawn by the generator’s moving average from the prior. Not selected.",
)
