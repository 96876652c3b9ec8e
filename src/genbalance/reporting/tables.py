"""The tables of the page: parameters, the two models side by side, and every number there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbalance.reporting.results import Results
from genbalance.reporting.text import flat, number, parameter, percent

NONE = "–"


@dataclass(frozen=True)
class Line:
    """A row of the comparison: the number of each model, and what real images and the mean image get."""

    label: str
    better: str
    gan: str
    vae: str
    real: str = NONE
    mean_image: str = NONE


def comparison(results: Results) -> list[Line]:
    """GAN and VAE side by side, with the floor (real images) and the ceiling (the mean image) where there are such."""

    def of(model: str, key: str, digits: int = 4) -> str:
        return number(results.number(f"evaluate_{model}", key), digits)

    def both(key: str) -> tuple[str, str]:
        return of("gan", key), of("vae", key)

    def shared(key: str) -> str:
        return " / ".join(dict.fromkeys(both(key)))  # once, unless the two were measured unlike

    def kernel(model: str) -> str:
        return f"{of(model, 'kid_test')} ± {of(model, 'kid_std', 2)}"

    def shares(model: str) -> str:
        rarest, commonest = (results.number(f"evaluate_{model}", f"class_share_{end}") for end in ("min", "max"))
        return f"{percent(rarest)} … {percent(commonest)}"

    real = results.tables["evaluate_gan/classes"]["real"]
    of_vae = {
        "−ELBO [nats per image]": ("lower", of("vae", "nelbo")),
        "rate [nats per image]": ("", of("vae", "rate")),
        "distortion [nats per image]": ("lower", of("vae", "distortion")),
        "reconstruction: mean squared error": ("lower", of("vae", "mse")),
        "reconstruction: PSNR [dB]": ("higher", of("vae", "psnr")),
        "reconstruction: SSIM": ("higher", of("vae", "ssim")),
        "reconstruction: read as the same class": (
            "higher",
            percent(results.number("evaluate_vae", "classifier_agreement")),
        ),
        "active units": ("", of("vae", "active_units")),
    }
    return [
        Line("Fréchet distance", "lower", *both("fd_test"), shared("fd_floor"), shared("fd_ceiling")),
        Line(
            "kernel distance (KID ± SD)",
            "lower",
            kernel("gan"),
            kernel("vae"),
            shared("kid_floor"),
            shared("kid_ceiling"),
        ),
        Line("classifier score", "higher", *both("classifier_score"), shared("classifier_score_real")),
        Line(
            "share of the rarest … commonest class",
            "",
            shares("gan"),
            shares("vae"),
            f"{percent(min(real))} … {percent(max(real))}",
        ),
        *(Line(label, better, NONE, value) for label, (better, value) in of_vae.items()),
    ]


def parameters(values: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Every dotted parameter by its section; those without a section come first, under an empty name."""
    sections: dict[str, dict[str, str]] = {}
    for key, value in values.items():
        section = key.split(".")[0] if "." in key else ""
        sections.setdefault(section, {})[key] = parameter(value)
    return sections


def every_number(results: Results) -> dict[str, dict[str, str]]:
    """All metrics by stage and dotted name, spelled as in their files."""
    return {stage: flat(values) for stage, values in results.metrics.items()}
