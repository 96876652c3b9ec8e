"""Commands of genbalance as if they were typed, in this process."""

from typer.testing import CliRunner, Result

from genbalance.cli import app


def genbalance(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def refused(*arguments: object) -> str:
    """The one line on stderr of a command that refuses."""
    result = genbalance(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    assert isinstance(result.exception, SystemExit)
    return str(result.stderr)
