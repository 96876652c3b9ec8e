"""The page: one HTML file that needs nothing else."""

from collections.abc import Mapping
from typing import Any

from genbalance.reporting import cards, classes, comparison, curves, dag, film, pipeline, tables
from genbalance.reporting.render import render
from genbalance.reporting.results import Results
from genbalance.reporting.style import DARK, LIGHT, Plot, png

CURVES = (curves.gan_losses, curves.gan_accuracy, curves.vae_terms, curves.classifier)
LATENTS = (classes.kl_per_latent,)
CLASSES = (classes.class_histogram, classes.class_distances, classes.confusion)


def figures(results: Results) -> dict[str, bytes]:
    """Every figure as PNG bytes by its file name, in the light theme and, with ``_dark`` behind its name, the dark."""
    plots = [make(results) for make in (*CURVES, *LATENTS, *CLASSES)]
    return {
        f"{plot.name}{'_dark' if theme is DARK else ''}.png": png(plot, theme)
        for plot in plots
        for theme in (LIGHT, DARK)
    }


def page(results: Results, params: Mapping[str, Any], dvc_yaml: Any, drawn: Mapping[str, bytes]) -> str:
    """The page as HTML: equal input, equal text.

    ``params`` are all parameters by dotted key, ``dvc_yaml`` is that file as parsed, ``drawn`` comes from
    :func:`figures`.
    """
    return render(
        "page.html.j2",
        asked=params,
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
        classes=_shown(results, CLASSES, drawn),
        comparison=comparison.comparison(results),
        numbers=tables.every_number(results),
        dag=dag.drawing(pipeline.stages(dvc_yaml)),
    )


def _shown(results: Results, makers: Any, drawn: Mapping[str, bytes]) -> list[tuple[Plot, bytes, bytes]]:
    plots = [make(results) for make in makers]
    return [(plot, drawn[f"{plot.name}.png"], drawn[f"{plot.name}_dark.png"]) for plot in plots]
