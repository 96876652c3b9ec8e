"""params.yaml read and validated."""

import reprlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from genbalance.errors import UserError, in_a_line
from genbalance.params.allowed import allowed
from genbalance.params.schema import Params

PARAMS_FILE = Path("params.yaml")
SHORT = reprlib.Repr()
SHORT.maxlevel = 2  # aliases of aliases: each level would be six times as long


def read_yaml(path: Path) -> Any:
    """A YAML 1.2 file as plain Python values.

    Raises:
        UserError: no such file, or not YAML; the text names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; run this at the repository's root") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> Any:
    """YAML 1.2 text as plain Python values; ``name`` is what a refusal calls it.

    Raises:
        UserError: not YAML; the text names the line.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{name}{line}: is not valid YAML: {in_a_line(str(error.problem))}") from None
    except (YAMLError, ValueError, RecursionError, LookupError, OverflowError) as error:
        # a control character, the 45th of May; ruamel.yaml looks a `!!bool maybe` up in a table of its own
        raise UserError(f"{name}: is not valid YAML: {in_a_line(str(error).splitlines()[0])}") from None


def read_params(path: Path = PARAMS_FILE) -> Params:
    """The validated parameters.

    Raises:
        UserError: a line for each thing wrong: key, what was found, what is allowed.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: found {in_a_line(SHORT.repr(values))}; allowed: {allowed(())}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = dict.fromkeys(f"{path}: {_explain(problem)}" for problem in error.errors())
        raise UserError("\n".join(lines)) from None


def _explain(problem: Any) -> str:
    where = problem["loc"][:2]  # section and key; what follows names a member of a union
    key = ".".join(in_a_line(str(part)) for part in where)
    found = in_a_line(SHORT.repr(problem["input"]))
    match problem["type"]:
        case "extra_forbidden" | "invalid_key":
            return f"{key}: found {found}, but there is no such key; allowed: {allowed(where[:-1])}"
        case "missing":
            return f"{key}: found nothing; every key must be there; allowed: {allowed(where)}"
        case "value_error":
            return f"{key + ': ' if key else ''}{problem['ctx']['error']}"
        case _:
            return f"{key}: found {found}; allowed: {allowed(where)}"
