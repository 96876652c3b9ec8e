"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from genbalance.errors import UserError

app = typer.Typer(
    name="genbalance",
    help="What do the balancing coefficients do? λ in a GAN, β in a VAE: the experiments' tools beside DVC and MLflow.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain text: rich would take longer to load than all the rest
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"genbalance {version('genbalance')}")
        except PackageNotFoundError:  # run from the sources
            typer.echo("genbalance, not installed")
        raise typer.Exit


@app.callback()
def genbalance(
    _: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options of all commands. With a callback, typer keeps `check` a command even while it is the only one."""


@app.command()
def check() -> None:
    """Check params.yaml and show its values.

    Run it at the repository's root. It lists every parameter under the name that `dvc exp run -S` takes. Where
    something is wrong it says what is allowed, a line for each thing, and ends with exit code 1.
    """
    from genbalance.params import read_params

    try:
        flat = read_params().flat()
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
    width = max(map(len, flat))
    for name, value in flat.items():
        typer.echo(f"{name:{width}}  {'null' if value is None else value}")
