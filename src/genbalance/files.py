"""Outs appear whole or not at all: written under a temporary name, then renamed."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PREFIX = ".part-"


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
    """Names ``path`` in an error of the system that names no file: a full disk's."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def _part_of(path: Path) -> Path:
    """The temporary path beside ``path`` of this process; what killed processes left of the same target is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f"{PREFIX}{os.getpid()}-{path.name}"
    for name in os.listdir(path.parent):  # noqa: PTH208 (names are enough, and thousands of pictures may lie here)
        found = re.fullmatch(rf"{re.escape(PREFIX)}(\d+)-{re.escape(path.name)}", name)
        if found and (name == own or not _lives(int(found[1]))):
            _remove(path.with_name(name))
    return path.with_name(own)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)  # no signal, a question
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
        ValueError: a value is NaN or infinite, which JSON has no word for.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
