"""Commands of genbalance as if they were typed, in this process."""

from typer.testing import CliRunner, Result

from genbalance.cli import app


def genbalance(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def refused(*arguments: object) -> str:
    """The one line that a command tells which refuses."""
    told = genbalance(*arguments)
    assert told.exit_code == 1, told.output
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1, told.stderr
    assert isinstance(told.exception, SystemExit)
    return str(told.stderr)
