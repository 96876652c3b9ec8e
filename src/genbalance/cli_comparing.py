"""The commands that compare experiments: names, options, help."""

from pathlib import Path
from typing import Annotated

import typer

from genbalance.mistakes import mistakes_in_a_line


def compare(
    groups: Annotated[
        list[str],
        typer.Argument(
            help="Groups of runs: a pattern such as 'base-*', a revision, or several, separated by commas. The first "
            "group is the reference; a single group is split by its settings."
        ),
    ],
    all_: Annotated[bool, typer.Option("--all", help="All metrics, not only the headline ones.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the comparison to this JSON file.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one self-contained page with sample grids and training curves.")
    ] = None,
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Log page, table and figures as an MLflow run.")] = False,
) -> None:
    """Compare groups of experiments, metric by metric.

    For each metric it shows the difference, its 95% interval, and whether the difference exceeds the variation over
    seeds.

    After `dvc exp run --queue -n base -S seed=1,2,3`, `... -n beta4 -S seed=1,2,3 -S beta=4` and `dvc queue start`:
    `genbalance compare 'base-*' 'beta4-*'`. The runs of a group may differ only in their seed.

    A single argument is split by its settings: `genbalance compare 'beta-*'` compares each value of beta with the value
    of the checked-out commit, or with the smallest. If several commits have an experiment of the same name, the newest
    one is used. An infinite effect size (no variation over seeds) is null in the JSON file.
    """
    with mistakes_in_a_line():
        from genbalance.commands.compare import compare_groups
        from genbalance.commands.compare_files import save
        from genbalance.commands.compare_table import as_text
        from genbalance.commands.groups import find_groups

        comparison = compare_groups(find_groups(groups), every=all_)
        typer.echo(as_text(comparison))
        if run := save(comparison, json, html, mlflow):
            typer.echo(f"\nIn MLflow: {run}")


def sweep(
    runs: Annotated[str, typer.Argument(help="The runs: a pattern such as 'beta-*', or names separated by commas.")],
    figure: Annotated[Path | None, typer.Option(help="Write the curves to this PNG file.")] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write each run's metrics to this file, sample grids to a folder of the same name."),
    ] = None,
) -> None:
    """Show the effect of one parameter, value by value.

    It prints a line for each value; `--figure` plots the curves. The report shows the sweeps in metrics/sweeps/: use
    `--json metrics/sweeps/NAME.json` for a sweep of beta or lambda, and the head of the page shows its curves and
    samples at three values.

    After `dvc exp run --queue -n beta -S beta=0.5,1,2` and `dvc queue start`: `genbalance sweep 'beta-*'`. The runs may
    differ in one parameter and in their seed; with several seeds per value (`-S seed=1,2,3`), table and figure show the
    mean and the variation over seeds.
    """
    with mistakes_in_a_line():
        from genbalance.commands.sweep import as_text, find_sweep, save

        found = find_sweep(runs, pictures=json is not None)
        typer.echo(as_text(found))
        save(found, figure, json)


def seeds(
    runs: Annotated[str, typer.Argument(help="The runs: a pattern such as 'seeds-*', or names separated by commas.")],
    all_: Annotated[bool, typer.Option("--all", help="All metrics, not only the headline ones.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write each run's values to this JSON file.")] = None,
) -> None:
    """Show the variation over seeds: mean, SD and range.

    After `dvc exp run --queue -n seeds -S 'seed=range(1,11)'` and `dvc queue start`: `genbalance seeds 'seeds-*'`. The
    runs may differ only in their seed, which also changes the data split and the reference classifier.
    """
    with mistakes_in_a_line():
        from genbalance.commands.seeds import as_text, find_spread, save

        found = find_spread(runs, every=all_)
        typer.echo(as_text(found))
        if json:
            save(found, json)
