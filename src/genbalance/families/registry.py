"""The record of a model family, and the registry: each module of this package that has a `FAMILY`.

Nothing here loads torch. Code is named as ``module:name`` and loaded when it is used.
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import Any

from genbalance import families
from genbalance.runtime.errors import UserError

ENCODER, DISCRIMINATOR, LIKELIHOOD = "encoder", "discriminator", "likelihood"

OF_CLASSES = frozenset(
    {
        *("classifier_score", "classifier_agreement", "condition_accuracy", "probe_accuracy"),
        *("modes_covered", "modes_kl", "class_distance", "class_share_min", "class_share_max", "share_worst_to_mean"),
        *("fd_class_mean", "fd_class_worst", "fd_worst_to_mean"),
    }
)
"""The keys of metrics that are measured by class: evaluations on images without two classes lack them."""


@dataclass(frozen=True)
class By:
    """A text that depends on a parameter: that beside its value in ``cases``, or ``otherwise``."""

    key: str
    cases: tuple[tuple[str, str], ...]
    otherwise: str

    def text(self, params: Mapping[str, Any]) -> str:
        """The text for these parameters, by dotted key."""
        return dict(self.cases).get(params[self.key], self.otherwise)


@dataclass(frozen=True)
class Line:
    """A column of curves.csv in a panel.

    Attributes:
        column: its name.
        label: in the legend.
        ink: an attribute of the page's theme, or "": the family's own.
        style: matplotlib's.
        width: in points.
        compared: the axis of its panel where several runs are compared; "": such a comparison leaves it out.
    """

    column: str
    label: str
    ink: str = ""
    style: str = "-"
    width: float = 1.8
    compared: str = ""


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis: ``unit`` names it, ``log`` makes it logarithmic, ``bounds`` are its ends. A dashed
    line stands at ``level``, a value and what it means. One that is ``adapted``, of a coefficient that training moves,
    is left out where the curves lack its column."""

    unit: str | By
    lines: tuple[Line, ...]
    log: bool = False
    bounds: tuple[float, float] | None = None
    level: tuple[float, str] | None = None
    adapted: bool = False


@dataclass(frozen=True)
class Chart:
    """Panels one above another, with a title and a sentence below.

    Attributes:
        name: of its files.
        title: above it.
        caption: below it.
        panels: with a common axis of epochs.
        alt: it in words; {epochs} is their number, {column} the last value of a column, {kept} the epoch kept.
        kept: the metric of metrics/train_NAME.json that is the epoch whose weights are kept, drawn as a vertical line.
    """

    name: str
    title: str
    caption: str | By
    panels: tuple[Panel, ...]
    alt: str = "Line chart over {epochs} epochs."
    kept: str = ""

    @property
    def lines(self) -> tuple[Line, ...]:
        """Those of all panels."""
        return tuple(line for panel in self.panels for line in panel.lines)


MEMORISED = "A gap between the two real curves: D has memorised training images."


def accuracy_chart(name: str, title: str, caption: str | By) -> Chart:
    """The accuracies of the family's discriminator over the epochs."""
    lines = (
        Line("d_accuracy_real", "real", "real"),
        Line("d_accuracy_held_out", "real, held out", "extra", "--"),
        Line("d_accuracy_generated", "generated", "", "-.", compared="D’s accuracy,\ngenerated"),
    )
    return Chart(
        f"{name}_accuracy",
        f"{title}: D’s accuracy",
        caption,
        (Panel("D’s accuracy", lines, bounds=(0, 1), level=(0.5, "½: cannot tell")),),
        alt="Line chart over {epochs} epochs of the discriminator's accuracy. At the end {d_accuracy_real} on the "
        "real images it was trained on, {d_accuracy_held_out} on held-out real ones, {d_accuracy_generated} on "
        "generated ones.",
    )


@dataclass(frozen=True)
class Family:
    """One model family.

    Attributes:
        name: in params.yaml, in file names and after ``--model``, such as ``vae``.
        title: on the page, such as VAE.
        objective: the loss in a line.
        description: a sentence for the model card.
        coefficients: the params that weigh the terms of its loss, ``lambda`` or ``beta`` or both.
        parts: of ENCODER (q(z|x), so that it reconstructs by itself and has codes), DISCRIMINATOR (D's accuracies are
            measured) and LIKELIHOOD (p(x) has bounds in nats). They decide which metrics, figures and rows it has.
        network: the module that models/NAME.safetensors holds.
        sampler: makes a :class:`genbalance.sampling.sampler.Sampler` of the network.
        drawing: makes what ONNX files hold of the network.
        autoencoder: makes what the API encodes and decodes with, as a VAE does, with pixels in [0, 1], of the network;
            "": the network itself, or there is no encoder.
        charts: its training curves.
        inks: its colour on the page and in figures, #rrggbb, on light and on dark paper; legible as text on both.
        best: the metric of metrics/evaluate_NAME.json, lower is better, that decides which version is the champion.
        comparable: entries of metrics/train_NAME.json that two versions must share for ``best`` to be compared.
        uses_classifier: whether ``best`` depends on the reference classifier.
        samples: how a sample is made, in a sentence for the page.
    """

    name: str
    title: str
    objective: str
    description: str
    coefficients: tuple[str, ...]
    parts: frozenset[str]
    network: str
    sampler: str
    drawing: str
    charts: tuple[Chart, ...]
    inks: tuple[str, str]
    best: str
    autoencoder: str = ""
    comparable: tuple[str, ...] = ()
    uses_classifier: bool = True
    samples: str = "Drawn from the prior. Not selected."

    @property
    def grids(self) -> tuple[str, ...]:
        """The grids of each epoch, artifacts/train_NAME/<grid>/epoch_*.png; the kept one is
        metrics/train_NAME_<grid>.png."""
        return ("samples", "reconstructions") if ENCODER in self.parts else ("samples",)

    @cached_property
    def build(self) -> Any:
        """The network's constructor."""
        return pkgutil.resolve_name(self.network)

    @cached_property
    def make_sampler(self) -> Any:
        """The sampler's constructor, of the network."""
        return pkgutil.resolve_name(self.sampler)

    def make_autoencoder(self, network: Any) -> Any:
        """What the API encodes and decodes with, of the network."""
        return pkgutil.resolve_name(self.autoencoder)(network) if self.autoencoder else network

    @cached_property
    def make_drawing(self) -> Any:
        """What ONNX files hold, of the network."""
        return pkgutil.resolve_name(self.drawing)


def known() -> Mapping[str, Family]:
    """Every family by its name, in the order of their modules' names."""
    return _in_folders(tuple(families.__path__))


@cache
def _in_folders(folders: tuple[str, ...]) -> Mapping[str, Family]:
    modules = (import_module(f"{families.__name__}.{found.name}") for found in pkgutil.iter_modules(folders))
    return {module.FAMILY.name: module.FAMILY for module in modules if hasattr(module, "FAMILY")}


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        UserError: there is none.
    """
    every = known()
    if name not in every:
        raise UserError(f"{name}: is no model family; allowed: {', '.join(every)}")
    return every[name]


def of_param(key: str) -> tuple[Family, ...]:
    """The families that a parameter belongs to: those it is a coefficient of, or the one whose section it stands in."""
    return tuple(each for each in known().values() if key in each.coefficients or key.startswith(f"{each.name}."))
