"""How near the curve of β out of one training comes to separate trainings: L = D + β·R on the test images.

Run as ``python -m benchmarks.curve RUNS``, where RUNS are experiments as `genbalance compare` takes them, such as
``'curve-*,single-*'``. Those that differ in ``beta``, ``vae.beta_range``, ``vae.epochs`` and ``seed`` alone make one
table: a row for each β of the separate trainings, a column for each seed.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from math import log
from statistics import mean
from typing import Any

from scipy.interpolate import CubicSpline

from benchmarks.results import record, table
from genbalance.experiments.runs import Run, cached_out, differing, find_runs
from genbalance.runtime.errors import UserError

CURVE = "artifacts/evaluate_vae/curve.csv"
PARTS = ("index_code_mi", "total_correlation", "dimension_wise_kl")  # of the rate under the prior N(0, I)
VARIED = {"beta", "vae.beta_range", "vae.epochs"}
NO_RANGE = "none"

Points = Sequence[tuple[float, float, float]]
"""β, distortion and rate."""


def objective(run: Run) -> float:
    """L = D + β·R of a run, on the test images with the prior N(0, I), in nats per image.

    Raises:
        UserError: it has not measured them.
    """
    try:
        rate = sum(run.metrics[f"evaluate_vae.{part}"] for part in PARTS)
        return run.metrics["evaluate_vae.distortion"] + float(run.params["beta"]) * rate
    except KeyError as lacks:
        raise UserError(f"{run.name}: has not measured {lacks.args[0]} with its own params") from None


def read_curve(run: Run) -> Points:
    """The points of a run that knows a range of β."""
    rows = csv.DictReader(StringIO(cached_out(run.name, run.commit, CURVE).decode()))
    return [(float(row["beta"]), float(row["distortion"]), float(row["rate"])) for row in rows]


def objective_at(curve: Points, beta: float) -> float:
    """L = D + β·R at a β of the curve's range, D and R by cubic splines over log β."""
    at = CubicSpline([log(b) for b, _, _ in curve], [(d, r) for _, d, r in curve])
    distortion, rate = at(log(beta))
    return float(distortion + beta * rate)


def excess(one: Points, separate: Mapping[float, float]) -> dict[float, float]:
    """By how much L of the one training is above that of each separate one, as a share of it; by β."""
    return {beta: objective_at(one, beta) / found - 1 for beta, found in sorted(separate.items())}


def groups(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs that differ in β, its range, the epochs and the seed alone, together."""
    found: list[list[Run]] = []
    for run in runs:
        for group in found:
            if not differing(group[0].params, run.params).keys() - VARIED:
                group.append(run)
                break
        else:
            found.append([run])
    return found


def compared(runs: Sequence[Run]) -> dict[int, dict[float, float]]:
    """The excess of a group, by seed and β; of the seeds that have one training with a range and separate ones.

    Raises:
        UserError: a seed has two trainings with a range, or two of one β.
    """
    found: dict[int, dict[float, float]] = {}
    for seed in sorted({run.seed for run in runs}):
        of_seed = [run for run in runs if run.seed == seed]
        ranged = [run for run in of_seed if run.params["vae.beta_range"] != NO_RANGE]
        single = {float(run.params["beta"]): run for run in of_seed if run not in ranged}
        if len(ranged) > 1 or len(single) + len(ranged) < len(of_seed):
            raise UserError(f"seed {seed}: found two runs of one kind among {', '.join(run.name for run in of_seed)}")
        if ranged and single:
            found[seed] = excess(read_curve(ranged[0]), {beta: objective(run) for beta, run in single.items()})
    return found


def as_text(found: Mapping[int, Mapping[float, float]]) -> str:
    """A row for each β, with the excess of each seed and their mean, in percent."""
    betas = sorted({beta for of_seed in found.values() for beta in of_seed})
    rows = [["β", *(f"seed {seed}" for seed in found), "mean"]]
    for beta in betas:
        shares = [of_seed.get(beta) for of_seed in found.values()]
        cells = ["" if share is None else f"{share:+.1%}" for share in shares]
        rows.append([f"{beta:g}", *cells, f"{mean(share for share in shares if share is not None):+.1%}"])
    return table(rows)


def main() -> None:
    """Reads the runs, prints, records."""
    if len(sys.argv) != 2:
        raise UserError("python -m benchmarks.curve RUNS: experiments, such as 'curve-*,single-*'")
    every = groups(find_runs(sys.argv[1]))
    measured: dict[str, Any] = {}
    for group in every:
        found = compared(group)
        apart = sorted({key for other in every for key in differing(group[0].params, other[0].params)} - VARIED)
        name = ", ".join(f"{key}={group[0].params[key]}" for key in apart) or "all"
        if found:
            print(f"{name}: L of one training above that of separate ones\n{as_text(found)}\n")
            measured[name] = {
                seed: {f"{beta:g}": share for beta, share in each.items()} for seed, each in found.items()
            }
    if not measured:
        raise UserError(f"{sys.argv[1]}: no seed has a run with a vae.beta_range and one without")
    record("curve", measured)


if __name__ == "__main__":
    main()
