"""The one exception that a user is meant to read, and what the machine refuses turned into it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike

# what stands behind an extra of pyproject.toml, by the module that is looked for
EXTRAS = {
    **{"psycopg": "postgresql", "psycopg2": "postgresql", "boto3": "s3"},
    **{"onnxruntime": "features", "optuna": "tune", "opacus": "privacy", "ray": "cluster"},
}
MEMORY = re.compile("out of memory|can't allocate memory|not enough memory", re.IGNORECASE)

LONGEST = 120  # letters of a key, a value or a name that a message shows


class UserError(Exception):
    """Bad input. Its text is one line: the key or file, what was found, what is allowed or to be done."""


@contextmanager
def machine_errors() -> Iterator[None]:
    """Turns what the machine refuses to do in the block into a `UserError`. A mistake in the program stays what it is,
    with its traceback.

    Raises:
        UserError: a file cannot be read or written, the memory does not suffice, or an optional package is missing.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of the output has closed it
        raise
    except Exception as error:
        refusal = _refusal(error)
        if not refusal:
            raise
        raise UserError(refusal) from error


def _refusal(error: Exception) -> str:
    """What the machine refused, in a line; "" for a mistake in the program."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError):
        file = f"{error.filename}: " if isinstance(error.filename, str | PathLike) else ""
        return f"{file}{error.strerror or text or type(error).__name__}"
    if type(error).__name__ == "SafetensorError" and "os error" in text:
        return text
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and MEMORY.search(text)):
        detail = f" ({text[:200]})" if text else ""
        return f"the memory does not suffice{detail}; take fewer or smaller images, or smaller batches"
    module = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if module and module != "genbalance":
        advice = f"pip install 'genbalance[{EXTRAS[module]}]'" if module in EXTRAS else f"pip install {module}"
        return f"the Python package {module} is not installed; `{advice}`"
    return ""


def in_a_line(text: str) -> str:
    """What a file holds, fit for a line: no line break, no control character, no key of a thousand letters."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable if len(printable) <= LONGEST else f"{printable[:LONGEST]}…"
