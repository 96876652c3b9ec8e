"""The page: one HTML file that needs nothing else, with its figures beside it for READMEs and papers."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.families.registry import DISCRIMINATOR, ENCODER, LIKELIHOOD, Family, known
from genbalance.params import INERT, read_yaml
from genbalance.reporting import cards, classes, dag, front, grids, latents, measures, text
from genbalance.reporting.code_map import code_map
from genbalance.reporting.curves import curves
from genbalance.reporting.effects import coefficients, effects, in_context, released
from genbalance.reporting.findings import holes
from genbalance.reporting.results import Results
from genbalance.reporting.text import SYMBOLS, number, parameter
from genbalance.reporting.theme import DARK, LIGHT, Plot, png_pair
from genbalance.runtime.io import whole_folder

if TYPE_CHECKING:
    from jinja2 import Environment

    from genbalance.reporting.code_map import Mapped


def render(template: str, **values: Any) -> str:
    """A template of templates/ as text."""
    return environment().get_template(template).render(**values)


def environment() -> "Environment":
    """What templates are rendered in: whatever values hold is escaped, and a name that is not there an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("genbalance.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=text.number, share=text.share, parameter=text.parameter, listed=text.listed)
    made.filters.update(unbroken=text.unbroken, data_uri=_data_uri)
    made.tests.update({part: _has(part) for part in (ENCODER, DISCRIMINATOR, LIKELIHOOD)})
    light, dark = (
        theme.colours | {f"class{place}": ink for place, ink in enumerate(inks)}
        for theme, inks in ((LIGHT, latents.LIGHT_INKS), (DARK, latents.DARK_INKS))
    )
    made.globals.update(light=light, dark=dark, inked=list(known()), SYMBOLS=SYMBOLS)
    return made


def _data_uri(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


def _has(part: str) -> Any:
    return lambda family: part in family.parts


@dataclass(frozen=True)
class Settings:
    """What a run was made with.

    Attributes:
        params: all parameters by dotted key.
        defaults: what they are by default.
        pipeline: the stages of dvc.yaml.
        versions: that are pinned of the packages behind the numbers, by name.
    """

    params: Mapping[str, Any]
    defaults: Mapping[str, Any]
    pipeline: list[dag.Stage]
    versions: Mapping[str, str]

    @property
    def changed(self) -> dict[str, tuple[str, str]]:
        """The parameters that are not at their defaults, each as it is and as it would be."""
        return {
            key: (parameter(value), parameter(self.defaults[key]) if key in self.defaults else "–")
            for key, value in self.params.items()
            if key not in self.defaults or value != self.defaults[key]
        }

    @property
    def command(self) -> str:
        """The shell command that runs the pipeline with these parameters, given the defaults."""
        changed = {key: value for key, (value, _) in self.changed.items()}
        return text.experiment(changed) if changed else "dvc repro"

    @property
    def sections(self) -> dict[str, dict[str, str]]:
        """Every parameter by its section; those without a section come first, under an empty name."""
        sections: dict[str, dict[str, str]] = {}
        for key, value in self.params.items():
            sections.setdefault(key.rpartition(".")[0], {})[key] = parameter(value)
        return sections


PIPELINE = Path("dvc.yaml")
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "dvc", "mlflow")


def read_settings(params: Mapping[str, Any], versions: Mapping[str, str]) -> Settings:
    """The settings of a run in the current folder, with its dvc.yaml.

    Args:
        params: all parameters by dotted key; those that change neither a result nor what is shown are left out.
        versions: of all pinned packages by name.
    """
    kept, defaults = (
        {key: value for key, value in values.items() if key.startswith("families.") or not key.startswith(INERT)}
        | {"data.path": Path(values["data.path"]).name}  # the folders above a user's own files are private
        for values in (params, released())
    )
    pipeline = dag.stages(read_yaml(PIPELINE), params)
    return Settings(kept, defaults, pipeline, {name: versions[name] for name in PACKAGES if name in versions})


def write(results: Results, settings: Settings, out: Path, mapped: "Mapped | None" = None) -> None:
    """Writes index.html and figures/ into the folder ``out``, all of them or, on an error, none; ``mapped`` as
    :func:`page` takes it."""
    drawn = figures(results, settings)
    html = page(results, settings, drawn, mapped)
    with whole_folder(out) as folder:
        (folder / "figures").mkdir()
        for name, image in drawn.items():
            (folder / "figures" / name).write_bytes(image)
        (folder / "index.html").write_text(html, encoding="utf-8", newline="\n")


def figures(results: Results, settings: Settings) -> dict[str, bytes]:
    """Every figure as PNG bytes by its file name, in the light theme and, with ``_dark`` behind its name, the dark."""
    plots = [plot for group in _plots(results, settings).values() for plot in group]
    plots += [it.plot for it in in_context(results, settings.params)]
    plots += [it.figure() for it in results.fronts]
    return {
        f"{plot.name}{ending}.png": image
        for plot in plots
        for ending, image in zip(("", "_dark"), png_pair(plot), strict=True)
    }


def page(results: Results, settings: Settings, drawn: Mapping[str, bytes], mapped: "Mapped | None" = None) -> str:
    """The page as HTML: equal input, equal text.

    Args:
        results: of the stages before the report.
        settings: of the run.
        drawn: by :func:`figures`.
        mapped: by family, the first test images uint8 [n, H, W(, 3)] and their reconstructions: the map of a family
            with these is one on which a reader chooses among them, that of any other the drawn figure.
    """
    plots = _plots(results, settings)
    shown = {name: [_pair(plot, drawn) for plot in group] for name, group in plots.items()}
    maps = {
        plot.name: code_map(
            results, family, plot, settings.params.get(f"{family.name}.conditional", False), (mapped or {})[family.name]
        )
        for family, plot in zip(results.having(ENCODER), plots["codes"], strict=True)
        if family.name in (mapped or {})
    }
    contexts = in_context(results, settings.params)
    answers = list(effects(results.families, contexts))
    families, params = results.families, settings.params
    encoders = results.having(ENCODER)
    names = results.metrics["prepare"].get("class_names", {})
    return render(
        "page.html.j2",
        families=families,
        coefficients=coefficients(families),
        symbols=[SYMBOLS.get(key, key) for key in coefficients(families)],
        weights_named=dict.fromkeys(key for family in families for key in family.coefficients),
        inverted=[family for family in families if family not in encoders],
        encoders=encoders,
        latents={family.name: results.latents(family) for family in encoders},
        discriminators=results.having(DISCRIMINATOR),
        likelihoods=results.having(LIKELIHOOD),
        params=params,
        alarms=list(_alarms(results)),
        changed=settings.changed,
        command=settings.command,
        effects=answers,
        holes={family.name: holes(results, family) for family in encoders},
        sections=settings.sections,
        data=results.metrics["prepare"],
        has_classes=results.has_classes,
        class_names=list(names.values()) if len(names) <= classes.MANY else [],
        classifier=results.metrics["train_classifier"],
        measured={family.name: results.metrics[f"evaluate_{family.name}"] for family in families},
        cards=cards.cards(results, params),
        pictures=results.pictures,
        films={name: grids.frames(film) for name, film in results.films.items()},
        shown=shown,
        maps=maps,
        tours={family.name: _tours(results, family) for family in families},
        sweeps=[it for it in contexts if it not in [answer.context for answer in answers]],
        fronts=[front.drawn(it, params) for it in results.fronts],
        comparison=measures.side_by_side(results),
        numbers={stage: text.flat(_without_long(stage, values)) for stage, values in results.metrics.items()},
        dag=dag.drawing(settings.pipeline),
        weights=results.weights,
        machines=sorted({values["machine"] for values in results.metrics.values() if "machine" in values}),
        versions=settings.versions,
    )


def _plots(results: Results, settings: Settings) -> dict[str, list[Plot]]:
    """Figures by the place where they stand; the latents' also by family."""
    params = settings.params
    encoders = results.having(ENCODER)
    return {
        "curves": curves(results, params),
        **{
            f"rates of {family.name}": [
                latents.kl_per_latent(results, family, params.get(f"{family.name}.prior", "normal"))
            ]
            for family in encoders
        },
        "codes": [
            latents.code_map(results, family, params.get(f"{family.name}.conditional", False)) for family in encoders
        ],
        "classes": [
            *([classes.class_histogram(results), classes.class_distances(results)] if results.has_classes else []),
            classes.confusion(results),
        ],
    }


def _without_long(stage: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics, in which a number for each of many classes is no more than a word on where these stand."""
    return {
        key: f"{number(len(value))} values in metrics/{stage}.json"
        if isinstance(value, Mapping) and len(value) > classes.MANY and key != "ci95"
        else value
        for key, value in metrics.items()
    }


def _alarms(results: Results) -> Iterator[tuple[Family, str]]:
    """What went wrong in the trainings, in a sentence each."""
    for family in results.families:
        for sentence in results.metrics[f"train_{family.name}"].get("alarms", {}).values():
            yield family, sentence


def _pair(plot: Plot, drawn: Mapping[str, bytes]) -> tuple[Plot, bytes, bytes]:
    return plot, drawn[f"{plot.name}.png"], drawn[f"{plot.name}_dark.png"]


def _tours(results: Results, family: Family) -> dict[str, Any]:
    """What the rows of a family's interpolations and traversals are."""
    stage = f"evaluate_{family.name}"
    ends, rows = (results.tables[f"{stage}/{name}"] for name in ("interpolations", "traversals"))

    def name(read: float) -> str:
        return results.class_name(read) if results.has_classes else str(int(read) + 1)

    start = name(rows["class"][0])
    return {
        "ends": [f"{name(first)} → {name(last)}" for first, last in zip(ends["from"], ends["to"], strict=True)],
        "latents": [f"z {int(latent)}" for latent in rows["latent"]],
        "start": (start if start.strip("0123456789") else f"a {start}") if results.has_classes else "the first sample",
        "span": f"{number(rows['low'][0])} to {number(rows['high'][0])}",
    }
