"""The page: one HTML file that needs nothing else."""

from collections.abc import Mapping
from typing import Any

from genbalance.reporting import along, cards, classes, comparison, curves, dag, film, latents, pipeline, tables
from genbalance.reporting.render import render
from genbalance.reporting.results import Results
from genbalance.reporting.style import DARK, LIGHT, Plot, png

CURVES = (curves.gan_losses, curves.gan_accuracy, curves.vae_terms, curves.classifier)
LATENTS = (latents.kl_per_latent,)
CODES = (latents.code_map,)
CLASSES = (classes.class_histogram, classes.class_distances, classes.confusion)


def figures(results: Results, params: Mapping[str, Any]) -> dict[str, bytes]:
    """Every figure as PNG bytes by its file name, in the light theme and, with ``_dark`` behind its name, the dark.

    ``params`` are all parameters by dotted key.
    """
    plots = [make(results) for make in (*CURVES, *LATENTS, *CODES, *CLASSES)]
    plots += [sweep.plot for sweep in along.along(results, params)]
    return {
        f"{plot.name}{'_dark' if theme is DARK else ''}.png": png(plot, theme)
        for plot in plots
        for theme in (LIGHT, DARK)
    }


def page(
    results: Results,
    params: Mapping[str, Any],
    defaults: Mapping[str, Any],
    dvc_yaml: Any,
    drawn: Mapping[str, bytes],
) -> str:
    """The page as HTML: equal input, equal text.

    ``params`` are all parameters by dotted key, ``defaults`` what they are by default, ``dvc_yaml`` is that file as
    parsed, ``drawn`` comes from :func:`figures`.
    """
    return render(
        "page.html.j2",
        asked=params,
        changed=tables.changed(params, defaults),
        sections=tables.parameters(params),
        data=results.metrics["prepare"],
        judge=results.metrics["train_classifier"],
        vae=results.metrics["train_vae"],
        measured={model: results.metrics[f"evaluate_{model}"] for model in ("gan", "vae")},
        cards=cards.cards(results, int(params["vae.latents"])),
        pictures=results.pictures,
        films={name: film.frames(frames) for name, frames in results.films.items()},
        curves=_shown(results, CURVES, drawn),
        latents=_shown(results, LATENTS, drawn),
        codes=_shown(results, CODES, drawn),
        ways={model: _ways(results, model) for model in ("gan", "vae")},
        sweeps=[(it, _pair(it.plot, drawn)) for it in along.along(results, params)],
        classes=_shown(results, CLASSES, drawn),
        comparison=comparison.comparison(results),
        numbers=tables.every_number(results),
        dag=dag.drawing(pipeline.stages(dvc_yaml)),
    )


def _shown(results: Results, makers: Any, drawn: Mapping[str, bytes]) -> list[tuple[Plot, bytes, bytes]]:
    return [_pair(make(results), drawn) for make in makers]


def _pair(plot: Plot, drawn: Mapping[str, bytes]) -> tuple[Plot, bytes, bytes]:
    return plot, drawn[f"{plot.name}.png"], drawn[f"{plot.name}_dark.png"]


def _ways(results: Results, model: str) -> dict[str, Any]:
    """What the rows of a model's interpolations and traversals are."""
    ends, latents = (results.tables[f"evaluate_{model}/{name}"] for name in ("interpolations", "traversals"))
    return {
        "ends": [f"{int(first)} → {int(last)}" for first, last in zip(ends["from"], ends["to"], strict=True)],
        "latents": [f"z {int(latent)}" for latent in latents["latent"]],
        "start": int(latents["class"][0]),
    }
