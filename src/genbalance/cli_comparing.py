"""The commands that hold experiments against each other: names, options, help."""

from pathlib import Path
from typing import Annotated

import typer

from genbalance.mistakes import mistakes_in_a_line


def compare(
    groups: Annotated[
        list[str],
        typer.Argument(
            help="Groups of runs, each 'base-*', one revision, or several with commas. The first is compared with; "
            "a single one is split into its settings."
        ),
    ],
    all_: Annotated[bool, typer.Option("--all", help="Every metric, not only the headline ones.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the comparison here.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write it here as one page, with the sample grids and the training curves.")
    ] = None,
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Keep page, table and figures as a run in MLflow.")] = False,
) -> None:
    """Compare experiments over seeds, metric by metric.

    Tells each difference with its interval, and whether it stands out from the spread over seeds.

    After `dvc exp run --queue -n base -S seed=1,2,3`, `... -n beta4 -S seed=1,2,3 -S beta=4` and `dvc queue start`:
    `genbalance compare 'base-*' 'beta4-*'`. The runs of a group differ in their seed alone.

    A single argument is split into its settings: `genbalance compare 'beta-*'` compares each value of beta with that
    of the commit checked out, or with the least. Names of experiments that hang on several commits mean the newest.
    An effect that is infinite (nothing spreads) is null in the JSON file.
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
    runs: Annotated[str, typer.Argument(help="The runs: 'beta-*', or several names with commas.")],
    figure: Annotated[Path | None, typer.Option(help="Draw the curves here, as a PNG.")] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write every metric of the model here, run by run, and grids to a folder of its name."),
    ] = None,
) -> None:
    """Show what one parameter does, along its values.

    A line for each value, and with `--figure` the curves as a picture. What `--json` writes to metrics/sweeps/ is shown
    in the report: a sweep of beta or lambda answers the page's first question about it, with samples at three values.

    After `dvc exp run --queue -n beta -S beta=0.5,1,2` and `dvc queue start`: `genbalance sweep 'beta-*'`. One
    parameter varies over the runs; with `-S seed=1,2,3` as well there are several of each value, and the table and the
    picture show their spread.
    """
    with mistakes_in_a_line():
        from genbalance.commands.sweep import as_text, find_sweep, save

        found = find_sweep(runs, pictures=json is not None)
        typer.echo(as_text(found))
        save(found, figure, json)


def seeds(
    runs: Annotated[str, typer.Argument(help="The runs: 'seeds-*', or several names with commas.")],
    all_: Annotated[bool, typer.Option("--all", help="Every metric, not only the headline ones.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write each run's value of these metrics here.")] = None,
) -> None:
    """Show what the seed alone does: mean, spread and range.

    After `dvc exp run --queue -n seeds -S 'seed=range(1,11)'` and `dvc queue start`: `genbalance seeds 'seeds-*'`. The
    runs differ in their seed alone. Each has a split of the digits and a judge of its own.
    """
    with mistakes_in_a_line():
        from genbalance.commands.seeds import as_text, find_spread, save

        found = find_spread(runs, every=all_)
        typer.echo(as_text(found))
        if json:
            save(found, json)
