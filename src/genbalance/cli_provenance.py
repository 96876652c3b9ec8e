"""The commands on the lineage of results and on their reproducibility: names, options, help."""

from pathlib import Path
from typing import Annotated

import typer

from genbalance.mistakes import mistakes_in_a_line


def runs(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A commit, branch, tag or experiment.")] = "HEAD",
) -> None:
    """List the MLflow runs that produced a commit's results.

    It finds a run by the hashes of its outs, which are those of the commit's dvc.lock.
    """
    with mistakes_in_a_line():
        from genbalance.commands import lineage

        typer.echo(lineage.runs(revision))


def commits(
    run: Annotated[str, typer.Argument(help="The id of a stage's run or of a pipeline run.")],
) -> None:
    """List the commits that hold an MLflow run's results.

    DVC experiments are listed too.
    """
    with mistakes_in_a_line():
        from genbalance.commands import lineage

        typer.echo(lineage.commits(run))


def status() -> None:
    """Show whether the results here are those of the commit.

    On another kind of processor, the same code may give results that differ in the last digits.
    """
    with mistakes_in_a_line():
        from genbalance.commands import baseline

        typer.echo(baseline.status())


def baseline() -> None:
    """Commit this machine's results on a new branch.

    Use it if `genbalance status` says that another kind of machine computed the commit's results. Experiments then
    start from results that this machine has made: DVC can check them out, and comparisons show the effect of the
    experiment and not of the machine.
    """
    with mistakes_in_a_line():
        from genbalance.commands import baseline

        typer.echo(baseline.baseline())


def sync(
    source: Annotated[Path | None, typer.Option("--from", help="Copy from this mlflow.db.", show_default=False)] = None,
    target: Annotated[str | None, typer.Option("--to", help="Copy to this store.", show_default=False)] = None,
) -> None:
    """Copy runs to another MLflow store, each once.

    Stages log to mlflow.db. If MLFLOW_TRACKING_URI names a server or a database, new runs are copied there while a
    stage runs; this command copies those that it did not get while it was away. With --from, it merges the runs of
    another checkout or machine: into mlflow.db, or into the store that --to names.

    Without --from, it first logs a run for each stage that DVC restored from its cache instead of running. The pipeline
    does this at its end, and `make repro` after it, so that each result in the working directory has an MLflow run.
    """
    with mistakes_in_a_line():
        from genbalance.commands import lineage

        typer.echo(lineage.synchronised(source, target))


def ui(
    port: Annotated[int, typer.Option(help="Port of the server on this machine; 0: any free one.")] = 5000,
) -> None:
    """Open MLflow's table of runs, with λ, β and their metrics.

    It starts MLflow's server on this machine, prints the address of the table of runs and, if there is a screen, opens
    it in a browser; Ctrl-C ends the server. If MLFLOW_TRACKING_URI names a server, it starts none and prints the
    address there.
    """
    with mistakes_in_a_line():
        from genbalance.commands.ui import serve

        serve(port, typer.echo)


def verify(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A commit, branch, tag or experiment.")] = "HEAD",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the clone and print its path.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the verdict and all differences to this JSON file.")] = None,
) -> None:
    """Reproduce a commit and check byte identity.

    It prints a verdict for each stage.

    It clones the commit into a temporary folder and runs the whole pipeline there with an empty cache, in the present
    environment; it neither uses nor changes the working tree. The exit code is 0 if all outs have the bytes that the
    commit's dvc.lock and metrics record. On another kind of machine than the commit's, where bytes differ, it is 0 if
    all metrics are within a tolerance, which is printed. Otherwise it is 1.
    """
    with mistakes_in_a_line():
        from genbalance.commands.verify import verify

        verification = verify(revision, keep)
        typer.echo(verification)
        if json:
            verification.save(json)
    if not verification.holds:
        raise typer.Exit(1)
