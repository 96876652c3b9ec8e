"""The page: one HTML file that needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genbalance.reporting import cards, classes, comparison, curves, dag, film, latents, pipeline, sweep_context, tables
from genbalance.reporting.effects import effects
from genbalance.reporting.findings import holes
from genbalance.reporting.render import render
from genbalance.reporting.results import Results
from genbalance.reporting.style import DARK, LIGHT, Plot, png
from genbalance.reporting.text import number


@dataclass(frozen=True)
class Asked:
    """What a run was asked for, and with what.

    Attributes:
        params: all parameters by dotted key.
        defaults: what they are by default.
        pipeline: reporting/pipeline.yaml as parsed.
        versions: that are pinned of the packages behind the numbers, by name.
    """

    params: Mapping[str, Any]
    defaults: Mapping[str, Any]
    pipeline: Any
    versions: Mapping[str, str]


def figures(results: Results, asked: Asked) -> dict[str, bytes]:
    """Every figure as PNG bytes by its file name, in the light theme and, with ``_dark`` behind its name, the dark."""
    plots = [plot for group in _plots(results, asked).values() for plot in group]
    plots += [plot for it in sweep_context.in_context(results, asked.params) for plot in (it.plot, it.glance)]
    return {
        f"{plot.name}{'_dark' if theme is DARK else ''}.png": png(plot, theme)
        for plot in plots
        for theme in (LIGHT, DARK)
    }


def page(results: Results, asked: Asked, drawn: Mapping[str, bytes]) -> str:
    """The page as HTML, with the figures ``drawn`` by :func:`figures`: equal input, equal text."""
    shown = {name: [_pair(plot, drawn) for plot in group] for name, group in _plots(results, asked).items()}
    contexts = sweep_context.in_context(results, asked.params)
    return render(
        "page.html.j2",
        asked=asked.params,
        changed=tables.changed(asked.params, asked.defaults),
        command=tables.command(asked.params, asked.defaults),
        effects=[
            (it, _pair(it.context.glance, drawn) if it.context else None) for it in effects(contexts, asked.params)
        ],
        holes=holes(results),
        sections=tables.parameters(asked.params),
        data=results.metrics["prepare"],
        classifier=results.metrics["train_classifier"],
        vae=results.metrics["train_vae"],
        measured={model: results.metrics[f"evaluate_{model}"] for model in ("gan", "vae")},
        cards=cards.cards(results, asked.params),
        pictures=results.pictures,
        films={name: film.frames(frames) for name, frames in results.films.items()},
        shown=shown,
        tours={model: _tours(results, model) for model in ("gan", "vae")},
        sweeps=[(it, _pair(it.plot, drawn)) for it in contexts],
        comparison=comparison.comparison(results),
        numbers=tables.every_number(results),
        dag=dag.drawing(pipeline.stages(asked.pipeline)),
        weights=results.weights,
        machines=sorted({told["machine"] for told in results.metrics.values() if "machine" in told}),
        versions=asked.versions,
    )


def _plots(results: Results, asked: Asked) -> dict[str, list[Plot]]:
    """Figures by the place where they stand."""
    loss = asked.params["gan.loss"]
    return {
        "curves": [
            curves.gan_losses(results, loss),
            curves.gan_accuracy(results, loss),
            curves.vae_terms(results),
            curves.classifier(results),
        ],
        "rates": [latents.kl_per_latent(results, asked.params["vae.prior"])],
        "codes": [latents.code_map(results, asked.params["vae.conditional"])],
        "classes": [classes.class_histogram(results), classes.class_distances(results), classes.confusion(results)],
    }


def _pair(plot: Plot, drawn: Mapping[str, bytes]) -> tuple[Plot, bytes, bytes]:
    return plot, drawn[f"{plot.name}.png"], drawn[f"{plot.name}_dark.png"]


def _tours(results: Results, model: str) -> dict[str, Any]:
    """What the rows of a model's interpolations and traversals are."""
    ends, latents = (results.tables[f"evaluate_{model}/{name}"] for name in ("interpolations", "traversals"))
    return {
        "ends": [f"{int(first)} → {int(last)}" for first, last in zip(ends["from"], ends["to"], strict=True)],
        "latents": [f"z {int(latent)}" for latent in latents["latent"]],
        "start": int(latents["class"][0]),
        "span": f"{number(latents['low'][0])} to {number(latents['high'][0])}",
    }
