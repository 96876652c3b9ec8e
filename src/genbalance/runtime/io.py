"""Files that appear whole or not at all, written under a temporary name and then renamed: JSON, CSV and folders; and
the rounding of the numbers that they publish."""

import csv
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbalance.runtime.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

PREFIX = ".part-"
DIGITS = 6  # significant ones, of a published number


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it when the block ends well and removed when it does not."""
    part = _part_of(path)
    try:
        with _named(path):
            yield part
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``, put in its place when the block ends well and removed when it does not."""
    part = _part_of(path)
    part.mkdir()
    part.chmod(0o755)
    try:
        with _named(path):
            yield part
            shutil.rmtree(path, ignore_errors=True)
            part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Names ``path`` in an error of the system that names no file, such as a full disk's."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def _part_of(path: Path) -> Path:
    """The temporary path beside ``path`` of this process; what killed processes left for the same target is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f"{PREFIX}{os.getpid()}-{path.name}"
    for name in os.listdir(path.parent):  # noqa: PTH208 (names are enough, and thousands of pictures may lie here)
        found = re.fullmatch(rf"{re.escape(PREFIX)}(\d+)-{re.escape(path.name)}", name)
        if found and (name == own or not _lives(int(found[1]))):
            _remove(path.with_name(name))
    return path.with_name(own)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # sends nothing; asks whether it exists
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """``values`` as indented JSON with a final newline.

    Raises:
        ValueError: a value is NaN or infinite, which JSON cannot hold.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def save_csv(path: Path, table: "Mapping[str, Collection[Any]] | pd.DataFrame") -> None:
    """Writes columns of equal length with a header; fractions have six significant digits, NaN is an empty field."""
    import numpy as np  # only here: a stage chooses the processor's instructions before NumPy loads

    # as arrays each column has one type: whole numbers among fractions are written as fractions
    columns = [np.asarray(values).tolist() for _, values in table.items()]
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(name for name, _ in table.items())
        writer.writerows([_field(value) for value in row] for row in zip(*columns, strict=True))


def _field(value: Any) -> Any:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.{DIGITS}g}"
    return value


def rounded(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Texts, numbers and mappings of them, with fractions rounded to 6 significant digits.

    Raises:
        UserError: a number is NaN or infinite; the text names it.
    """
    return {str(name): _rounded(str(name), value) for name, value in metrics.items()}


def _rounded(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(f"{name}.{key}", part) for key, part in value.items()}
    value = value.item() if hasattr(value, "item") else value  # of NumPy and torch: a plain number
    if isinstance(value, float):
        if not isfinite(value):
            raise UserError(f"metric {name}: is {value}; allowed: finite numbers; look at what it was computed from")
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, str | int):
        return value
    raise TypeError(f"metric {name}: {type(value).__name__} is neither text nor number")


def numbers(summary: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every number of a summary under its dotted name; texts are left out."""
    flat: dict[str, float] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            flat |= numbers(value, f"{prefix}{name}.")
        elif not isinstance(value, str):
            flat[f"{prefix}{name}"] = value
    return flat
