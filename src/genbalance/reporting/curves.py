"""Training as curves."""

from typing import TYPE_CHECKING

from genbalance.reporting.results import Results
from genbalance.reporting.style import Plot, Theme, axes, legend, line, log_axis
from genbalance.reporting.text import number, share

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gan_losses(results: Results, loss: str) -> Plot:
    """L_D, L_G and the length of their gradients; only the logarithms of the non-saturating ``loss`` are nats."""
    table = results.tables["train_gan/curves"]
    epochs = table["epoch"]

    def draw(figure: "Figure", theme: Theme) -> None:
        losses, norms = axes(figure, "loss [nats]" if loss == "non_saturating" else "loss", "gradient norm")
        line(losses, epochs, table["loss_total"], color=theme.muted, label=r"$L = L_D + \lambda L_G$", ls=":")
        line(losses, epochs, table["loss_g"], color=theme.gan, label="$L_G$")
        line(losses, epochs, table["loss_d"], color=theme.extra, label="$L_D$", ls="--")
        line(norms, epochs, table["grad_norm_g"], color=theme.gan)
        line(norms, epochs, table["grad_norm_d"], color=theme.extra, ls="--")
        log_axis(norms, table["grad_norm_g"] + table["grad_norm_d"])
        legend(losses)

    return Plot(
        "gan_losses",
        "GAN: losses and gradients",
        f"Line chart over {len(epochs)} epochs. At the end L_D is {number(table['loss_d'][-1])} and L_G "
        f"{number(table['loss_g'][-1])}; below, the norms of both gradients on a logarithmic axis.",
        "The losses depend on both networks: neither alone says how good the samples are.",
        draw,
    )


def gan_accuracy(results: Results, loss: str) -> Plot:
    """What the discriminator still tells apart, by the sign of its output, which tells little of a critic."""
    table = results.tables["train_gan/curves"]
    epochs = table["epoch"]
    last = {name: share(table[f"d_accuracy_{name}"][-1]) for name in ("real", "generated", "held_out")}

    def draw(figure: "Figure", theme: Theme) -> None:
        (panel,) = axes(figure, "D’s accuracy")
        panel.axhline(0.5, color=theme.muted, lw=1.2, ls=(0, (2, 2)))
        panel.annotate("½: cannot tell", (1, 0.5), (0, 3), xycoords=("axes fraction", "data"), ha="right", va="bottom",
                       textcoords="offset points", color=theme.muted, fontsize=9.5)  # fmt: skip
        line(panel, epochs, table["d_accuracy_real"], color=theme.real, label="real")
        line(panel, epochs, table["d_accuracy_held_out"], color=theme.extra, label="real, held out", ls="--")
        line(panel, epochs, table["d_accuracy_generated"], color=theme.gan, label="generated", ls="-.")
        panel.set_ylim(0, 1)
        legend(panel)

    return Plot(
        "gan_accuracy",
        "GAN: D’s accuracy",
        f"Line chart over {len(epochs)} epochs of the discriminator's accuracy. At the end {last['real']} on the real "
        f"images it was trained on, {last['held_out']} on held-out real ones, {last['generated']} on generated ones.",
        "A Wasserstein critic has no threshold at zero, so this accuracy means little; see the AUC above."
        if loss == "wasserstein"
        else "A gap between the two real curves: D has memorised training images.",
        draw,
    )


def vae_terms(results: Results) -> Plot:
    """Distortion and rate, on training and validation images."""
    table = results.tables["train_vae/curves"]
    epochs, best = table["epoch"], results.number("train_vae", "best_epoch")

    def draw(figure: "Figure", theme: Theme) -> None:
        panels = axes(figure, "distortion\n[nats per image]", "rate\n[nats per image]")
        for panel, term in zip(panels, ("distortion", "rate"), strict=True):
            line(panel, epochs, table[f"train_{term}"], color=theme.muted, label="training", ls="--", lw=1.4)
            line(panel, epochs, table[f"val_{term}"], color=theme.vae, label="validation")
            panel.axvline(best, color=theme.muted, lw=1, ls=(0, (2, 2)), label="best epoch")
        legend(panels[0])

    return Plot(
        "vae_terms",
        "VAE: distortion and rate",
        f"Two line charts over {len(epochs)} epochs. On validation images the distortion ends at "
        f"{number(table['val_distortion'][-1])} and the rate at {number(table['val_rate'][-1])} nats per image; "
        f"the best epoch is {number(best)}.",
        "Distortion is the reconstruction term, rate the KL term, which β weighs.",
        draw,
    )


def classifier(results: Results) -> Plot:
    """Loss and accuracy of the reference classifier."""
    table = results.tables["train_classifier/curves"]
    epochs = table["epoch"]

    def draw(figure: "Figure", theme: Theme) -> None:
        losses, accuracy = axes(figure, "cross-entropy\n[nats]", "validation\naccuracy")
        line(losses, epochs, table["train_loss"], color=theme.muted, label="training", ls="--", lw=1.4)
        line(losses, epochs, table["val_loss"], color=theme.real, label="validation")
        line(accuracy, epochs, table["val_accuracy"], color=theme.real)
        log_axis(losses, table["train_loss"] + table["val_loss"])
        legend(losses)

    return Plot(
        "classifier",
        "Reference classifier: loss and accuracy",
        f"Two line charts over {len(epochs)} epochs: cross-entropy on a logarithmic axis, and accuracy on validation "
        f"images, which ends at {share(table['val_accuracy'][-1])}.",
        "The training loss is measured on shifted and rotated images, so it may lie above the validation loss.",
        draw,
    )
