"""How the command line tells a mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from genbalance.errors import UserError


@contextmanager
def mistakes_in_a_line() -> Iterator[None]:
    """A `UserError` ends the program with its text and exit code 1."""
    try:
        yield
    except UserError as error:
        typer.echo(error, err=True)
        raise typer.Exit(1) from None
