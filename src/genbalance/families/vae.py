"""The VAE, balanced by β."""

from genbalance.families.registry import ENCODER, LIKELIHOOD, Chart, Family, Line, Panel


def _term(name: str) -> Panel:
    unit = f"{name}\n[nats per image]"
    training = Line(f"train_{name}", "training", "muted", "--", width=1.4)
    return Panel(unit, (training, Line(f"val_{name}", "validation", compared=unit)))


FAMILY = Family(
    name="vae",
    title="VAE",
    objective="L = L_recon + β·L_KL",
    description=(
        "The decoder of a VAE, balanced by β: L = L_recon + β·L_KL. Its samples are means of p(x|z), hence smooth."
    ),
    coefficients=("beta",),
    parts=frozenset({ENCODER, LIKELIHOOD}),
    network="genbalance.models.vae.model:Vae",
    sampler="genbalance.sampling.vae:VaeSampler",
    drawing="genbalance.sampling.vae:vae_drawing",
    charts=(
        Chart(
            "vae_terms",
            "VAE: distortion and rate",
            "Distortion is the reconstruction term, rate the KL term, which β weighs.",
            (
                _term("distortion"),
                _term("rate"),
                Panel("β", (Line("beta", "β", compared="β"),), log=True, adapted=True),
            ),
            alt="Two line charts over {epochs} epochs. On validation images the distortion ends at {val_distortion} "
            "and the rate at {val_rate} nats per image; the best epoch is {kept}.",
            kept="best_epoch",
        ),
    ),
    inks=("#b54d00", "#e69f00"),
    best="nelbo",
    comparable=("likelihood",),
    uses_classifier=False,
    samples="Decoded from the prior: the mean of each pixel. Not selected.",
)
