"""The rate–distortion curve of a VAE that knows a range of β, in the form of a sweep without further runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from genbalance.families.registry import ENCODER, Family
from genbalance.reporting.results import Results
from genbalance.reporting.sweep import Sweep

BETA, KL = "beta", "kl_"  # the columns of the value, and of the KL of each latent (`evaluation/curve.py`)


def own_curves(results: Results, params: Mapping[str, Any]) -> Iterator[Sweep]:
    """Those of this run, whose ``params`` are by dotted name."""
    for family in results.having(ENCODER):
        table = results.tables.get(f"evaluate_{family.name}/curve")
        if table:
            yield _curve(results, family, table, params)


def _curve(results: Results, family: Family, table: Mapping[str, list[float]], params: Mapping[str, Any]) -> Sweep:
    values, seed = tuple(table[BETA]), int(params["seed"])
    columns = [name for name in table if name != BETA and not name.startswith(KL)]
    latents = [name for name in table if name.startswith(KL)]
    pictures = {
        beta: {grid: png for grid in family.grids if (png := results.pictures.get(_picture(family, grid, beta)))}
        for beta in values
    }
    return Sweep(
        key=BETA,
        shared={key: value for key, value in params.items() if key not in (BETA, "seed")},
        values=values,
        seeds=((seed,),) * len(values),
        metrics={f"evaluate_{family.name}.{name}": tuple((value,) for value in table[name]) for name in columns},
        name=f"{family.name}_curve",
        pictures={beta: found for beta, found in pictures.items() if found},
        kl_per_latent={beta: [table[name][row] for name in latents] for row, beta in enumerate(values)},
        own=True,
    )


def _picture(family: Family, grid: str, beta: float) -> str:
    return f"artifacts/evaluate_{family.name}/curve/{grid}_{beta:g}"
