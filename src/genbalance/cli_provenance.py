"""The commands that tell where results come from and whether they come again: names, options, help."""

from pathlib import Path
from typing import Annotated

import typer

from genbalance.mistakes import mistakes_in_a_line


def runs(
    revision: Annotated[str, typer.Argument(metavar="REV", help="A commit, branch, tag or experiment.")] = "HEAD",
) -> None:
    """List the MLflow runs that made what a commit holds.

    A run is found by the hashes of its outs, which are those of the commit's dvc.lock.
    """
    with mistakes_in_a_line():
        from genbalance.commands import lineage

        typer.echo(lineage.runs(revision))


def commits(
    run: Annotated[str, typer.Argument(help="The id of a run, of a stage or of a whole pipeline run.")],
) -> None:
    """List the commits that hold what an MLflow run left.

    Experiments are among them.
    """
    with mistakes_in_a_line():
        from genbalance.commands import lineage

        typer.echo(lineage.commits(run))


def status() -> None:
    """Tell whether the results here are those of the commit.

    On another kind of machine than the commit's own the same code may leave other bytes.
    """
    with mistakes_in_a_line():
        from genbalance.commands import baseline

        typer.echo(baseline.status())


def baseline() -> None:
    """Commit the results of this machine on a branch of their own.

    For where `genbalance status` says that another kind of machine left other bytes than the commit holds: experiments
    then start from results that this machine has made, DVC can check them out, and comparisons tell what the experiment
    did, and not what the machine did.
    """
    with mistakes_in_a_line():
        from genbalance.commands import baseline

        typer.echo(baseline.baseline())


def sync() -> None:
    """Log a run for each stage that came out of DVC's cache.

    DVC restores a stage from its cache where it ran before. What waits to be delivered to MLflow is delivered as well.

    The pipeline does it at its end, and `make repro` after it: so that each result in the working directory has its
    run in MLflow, also where nothing had to be computed.
    """
    with mistakes_in_a_line():
        from genbalance.commands import lineage

        typer.echo(lineage.synchronised())


def verify(
    revision: Annotated[str, typer.Argument(metavar="REV", help="The commit, branch, tag or experiment.")] = "HEAD",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the clone, and tell where it is.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the verdict here, with every metric that moved.")] = None,
) -> None:
    """Run a commit anew: are its results the same bytes?

    There is a verdict for each stage.

    The commit is cloned into a temporary folder and its whole pipeline runs there with an empty cache, in the present
    environment; changes in the working tree have no part in it, and nothing here is changed. The exit code is 0 if all
    outs are identical to what the commit's dvc.lock and metrics tell. On another kind of machine than the commit's own
    the bytes differ; there it is 0 if all metrics are within a tolerance, which is told. Else it is 1.
    """
    with mistakes_in_a_line():
        from genbalance.commands.verify import verify

        verification = verify(revision, keep)
        typer.echo(verification)
        if json:
            verification.save(json)
    if not verification.holds:
        raise typer.Exit(1)
