"""How the command line tells a mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from genbalance.errors import UserError, machine_errors


@contextmanager
def mistakes_in_a_line() -> Iterator[None]:
    """A `UserError`, or what the machine refuses, ends the program with a line and exit code 1."""
    try:
        with machine_errors():
            yield
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
