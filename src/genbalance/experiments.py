"""Runs as git keeps them: DVC experiments and other revisions, with their params and metrics, read without a checkout.

DVC keeps an experiment as a commit under refs/exps/<2 digits>/<the other digits of its baseline>/<name>.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from genbalance.dotted import leaves
from genbalance.errors import UserError
from genbalance.leftovers import leftovers
from genbalance.locks import LOCK, parse_lock
from genbalance.params.reader import PARAMS_FILE, parse_yaml
from genbalance.params.schema import INERT
from genbalance.repository import committed, git, object_id

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38,}/(?P<name>.+)")
CODE = ("dvc.yaml", "requirements.txt", "src", "stages")  # what decides results, beside the params and the data
SUMMARY = "metrics/summary.json"  # numbers of the other files, for DVC's tables
SKIPPED = {"ci95", "class_histogram"}  # spreads of other metrics, and a table
LARGEST = 1e150  # whose square is a finite number
ABSENT = "(absent)"
TOLD = 20  # experiments in a message, at most


@dataclass(frozen=True)
class Run:
    """One run of the pipeline.

    Attributes:
        name: of the experiment, or the revision as it was typed.
        commit: that holds it, 40 hex digits.
        seed: the param.
        params: all others by dotted key but those without a part in results, as they stand in its params.yaml.
        metrics: numbers by the name of their file in metrics/ and their dotted key, such as ``evaluate_vae.nelbo``;
            without those that an earlier run had made, where this one ran a part of the pipeline.
        code: git's ids of what decides results beside params and data, by path.
        machine: the kinds of machine that its metrics name (:func:`genbalance.machine.machine`), "" where none does.
    """

    name: str
    commit: str
    seed: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    code: Mapping[str, str]
    machine: str = ""


def read_run(name: str, commit: str) -> Run:
    """The run that ``commit`` holds.

    Raises:
        UserError: it has no params.yaml with a whole number as seed, no metrics of its own, or one of the files cannot
            be read.
    """
    values = _values(name, commit)
    seed, params = _settings(values, name)
    lock = _show(name, commit, LOCK)
    old = leftovers(parse_lock(lock, f"{name}: {LOCK}"), values, name) if lock else set()
    files = git("ls-tree", "-z", "--name-only", commit, "metrics/").split("\0")
    metrics: dict[str, float] = {}
    machines: list[str] = []
    for file in (PurePosixPath(file) for file in files if file.endswith(".json") and file not in {SUMMARY, *old}):
        try:
            values = dict(leaves(json.loads(_show(name, commit, str(file)))))
        except (ValueError, RecursionError):
            raise UserError(f"{name}: {file}: is not JSON") from None
        metrics |= {f"{file.stem}.{key}": float(value) for key, value in values.items() if _is_metric(key, value)}
        machines += [str(values["machine"])] if "machine" in values else []
    if not metrics:
        raise UserError(f"{name}: has no numbers of its own in metrics/*.json; was it run?")
    code = git("ls-tree", "-z", commit, *CODE).split("\0")
    ids = {path: header.split()[2] for header, _, path in (entry.partition("\t") for entry in code) if path}
    return Run(name, commit, seed, params, metrics, ids, "; ".join(dict.fromkeys(machines)))


def read_machine(commit: str) -> str:
    """The kinds of machine that the metrics of a commit name; "" where they name none."""
    return read_run(commit, commit).machine


def read_settings(name: str, commit: str) -> tuple[int, dict[str, Any]]:
    """The seed and the params of a :class:`Run`, as the commit's params.yaml has them.

    Raises:
        UserError: there is none with a whole number as seed, or it cannot be read.
    """
    return _settings(_values(name, commit), name)


def _values(name: str, commit: str) -> dict[str, Any]:
    return dict(leaves(parse_yaml(_show(name, commit, str(PARAMS_FILE)), f"{name}: {PARAMS_FILE}")))


def _settings(values: Mapping[str, Any], name: str) -> tuple[int, dict[str, Any]]:
    seed = values.get("seed")
    if not isinstance(seed, int):
        found = ABSENT if seed is None else repr(seed)
        raise UserError(f"{name}: {PARAMS_FILE}: seed: found {found}; a whole number is needed")
    others = {key: _plain(value) for key, value in values.items() if key != "seed" and not key.startswith(INERT)}
    return seed, others


def find_commits(text: str) -> dict[str, str]:
    """The commits that ``text`` stands for, each with its name: names of experiments, patterns of them (``base-*``),
    revisions (``main``, ``HEAD~1``, ``v1``), or several of these with commas between them; a commit counts once.

    Where experiments of one name hang on several baseline commits, it is the newest.

    Raises:
        UserError: a part stands for nothing, or for an experiment and for another commit; or git cannot work here.
    """
    known = _experiments()
    found: dict[str, str] = {}
    for part in (part.strip() for part in text.split(",")):
        matches = {name: commit for name, commit in known.items() if fnmatchcase(name, part)}
        revision = _commit(part)
        if revision and matches.get(part, revision) != revision:
            raise UserError(
                f"{part}: is an experiment ({matches[part][:8]}) and another revision ({revision[:8]}); give the commit"
            )
        if not matches and not revision:
            raise UserError(f"{part!r}: is no experiment and no revision; {_tell(list(known))}")
        for name, commit in (matches or {part: revision}).items():
            found.setdefault(commit, name)
    return found


def differing(*settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The keys whose values are not the same in all ``settings``, with each one's value or ``ABSENT``."""
    keys = dict.fromkeys(key for setting in settings for key in setting)
    values = {key: tuple(setting.get(key, ABSENT) for setting in settings) for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def _experiments() -> dict[str, str]:
    """Commits by the name of their experiment, the newest first."""
    listed = git("for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(refname)", "refs/exps")
    newest: dict[str, str] = {}
    for commit, _, ref in (line.partition(" ") for line in listed.splitlines()):
        if match := REF.fullmatch(ref):
            newest.setdefault(match["name"], commit)
    return newest


def _commit(revision: str) -> str:
    """The commit that a revision stands for, "" where it stands for none; also where git refuses to look for it, as for
    a place in the reflog. That git works at all, the list of experiments has shown."""
    try:
        return object_id(f"{revision}^{{commit}}")
    except UserError:
        return ""


def _tell(names: list[str]) -> str:
    more = f" and {len(names) - TOLD} older" if len(names) > TOLD else ""
    return f"experiments: {', '.join(names[:TOLD])}{more}" if names else "there are no experiments here"


def _show(name: str, commit: str, path: str) -> str:
    try:
        return (committed(commit, path) or b"").decode()
    except UnicodeDecodeError:
        raise UserError(f"{name}: {path}: is not UTF-8 text") from None


def _plain(value: Any) -> Any:
    """What JSON has a word for; the rest, such as lists, dates and infinities, as text."""
    is_word = value is None or isinstance(value, str | int) or (isinstance(value, float) and abs(value) < float("inf"))
    return value if is_word else str(value)


def _is_metric(key: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
    return number and not SKIPPED & set(key.split("."))
