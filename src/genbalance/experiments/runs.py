"""Runs as git keeps them, DVC experiments and other revisions, read without a checkout: params, metrics and pictures
out of git, tables and weights out of DVC's cache.

DVC keeps an experiment as a commit under refs/exps/<2 digits>/<the other digits of its baseline>/<name>.
"""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from genbalance.experiments.dvc_lock import LOCK, leaves, lock_of, parse_lock, stale_outputs
from genbalance.families.registry import known
from genbalance.params import INERT, PARAMS_FILE, parse_yaml
from genbalance.runtime.errors import UserError
from genbalance.runtime.repository import committed, git, object_id, root, top

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38,}/(?P<name>.+)")
CODE = ("dvc.yaml", "requirements.txt", "src", "stages")  # what decides results, beside the params and the data
SUMMARY = "metrics/summary.json"  # numbers of the other files, for DVC's tables
SKIPPED = {"ci95", "class_histogram"}  # spreads of other metrics, and a table
LARGEST = 1e150  # whose square is a finite number
ABSENT = "(absent)"
LISTED = 20  # experiments in a message, at most
FAMILIES = "families."  # keys of params.yaml that turn model families on
GRIDS = {f"train_{name}_samples": f"{family.title}: samples" for name, family in known().items()}  # in metrics/
TRAININGS = (*(f"train_{name}" for name in known()), "train_classifier")


@dataclass(frozen=True)
class Run:
    """One run of the pipeline.

    Attributes:
        name: of the experiment, or the revision as it was given.
        commit: that holds it, 40 hex digits.
        seed: the param.
        params: all others by dotted key but those without a part in results, as they stand in its params.yaml.
        metrics: numbers by the name of their file in metrics/ and their dotted key, such as ``evaluate_vae.nelbo``;
            without those that an earlier run had made, where this one ran a part of the pipeline.
        code: git's ids of what decides results beside params and data, by path.
        machine: the kinds of machine that its metrics name (:func:`genbalance.runtime.machine.machine`), "" without
            one.
        enabled: names of the model families that its params.yaml turns on.
    """

    name: str
    commit: str
    seed: int
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    code: Mapping[str, str]
    machine: str = ""
    enabled: frozenset[str] = frozenset()

    @property
    def families(self) -> set[str]:
        """The names of its model families: those that are enabled or have metrics."""
        stages = {key.partition(".")[0].partition("_")[2] for key in self.metrics}
        return known().keys() & (self.enabled | stages)


def find_runs(text: str) -> list[Run]:
    """The runs that ``text`` stands for, in the order of :func:`find_commits`.

    Raises:
        UserError: a part of it stands for nothing, or for a commit that holds no run.
    """
    return [read_run(name, commit) for commit, name in find_commits(text).items()]


def completed_runs() -> list[Run]:
    """HEAD, where it holds a run, and each experiment that was run to its end."""
    commits: dict[str, str] = {}
    for text in ("HEAD", "*"):
        with suppress(UserError):  # no commit yet, or no experiments
            commits |= {commit: name for commit, name in find_commits(text).items() if commit not in commits}
    found: list[Run] = []
    for commit, name in commits.items():
        with suppress(UserError):  # it failed, or was never run
            found.append(read_run(name, commit))
    return found


def find_commits(text: str) -> dict[str, str]:
    """The commits that ``text`` stands for, each with its name: names of experiments, patterns of them (``base-*``),
    revisions (``main``, ``HEAD~1``, ``v1``), or several of these with commas between them; a commit counts once.

    Where experiments of one name hang on several baseline commits, it is the newest.

    Raises:
        UserError: a part stands for nothing, or for an experiment and for another commit; or git cannot work here.
    """
    every = experiments()
    found: dict[str, str] = {}
    for part in (part.strip() for part in text.split(",")):
        matches = {name: commit for name, commit in every.items() if fnmatchcase(name, part)}
        revision = _commit(part)
        if revision and matches.get(part, revision) != revision:
            raise UserError(
                f"{part}: is an experiment ({matches[part][:8]}) and another revision ({revision[:8]}); give the commit"
            )
        if not matches and not revision:
            raise UserError(f"{part!r}: is no experiment and no revision; {_listed(list(every))}")
        for name, commit in (matches or {part: revision}).items():
            found.setdefault(commit, name)
    return found


def experiments() -> dict[str, str]:
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


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} older" if len(names) > LISTED else ""
    return f"experiments: {', '.join(names[:LISTED])}{more}" if names else "there are no experiments here"


def read_run(name: str, commit: str) -> Run:
    """The run that ``commit`` holds.

    Raises:
        UserError: it has no params.yaml with a whole number as seed, no metrics of its own, or one of the files cannot
            be read.
    """
    values = _values(name, commit)
    seed, params = _settings(values, name)
    enabled = _enabled(values)
    lock = _show(name, commit, LOCK)
    stale = stale_outputs(parse_lock(lock, f"{name}: {LOCK}"), values, name) if lock else set()
    files = git("ls-tree", "-z", "--name-only", commit, "metrics/").split("\0")
    metrics: dict[str, float] = {}
    machines: list[str] = []
    for file in (PurePosixPath(file) for file in files if file.endswith(".json") and file not in {SUMMARY, *stale}):
        try:
            values = dict(leaves(json.loads(_show(name, commit, str(file)))))
        except (ValueError, RecursionError):
            raise UserError(f"{name}: {file}: is not JSON") from None
        metrics |= {f"{file.stem}.{key}": float(value) for key, value in values.items() if _is_metric(key, value)}
        machines += [str(values["machine"])] if "machine" in values else []
    if not metrics:
        raise UserError(f"{name}: has no numbers of its own in metrics/*.json; was it run?")
    return Run(name, commit, seed, params, metrics, code_of(commit), "; ".join(dict.fromkeys(machines)), enabled)


def code_of(commit: str) -> dict[str, str]:
    """Git's ids of what decides results beside params and data, by path."""
    listed = git("ls-tree", "-z", commit, *CODE).split("\0")
    return {path: header.split()[2] for header, _, path in (entry.partition("\t") for entry in listed) if path}


def read_machine(commit: str) -> str:
    """The kinds of machine that the metrics of a commit name; "" where they name none."""
    return read_run(commit, commit).machine


def read_settings(name: str, commit: str) -> tuple[int, dict[str, Any]]:
    """The seed and the params of a :class:`Run`, as the commit's params.yaml has them.

    Raises:
        UserError: there is none with a whole number as seed, or it cannot be read.
    """
    return _settings(_values(name, commit), name)


def _enabled(values: Mapping[str, Any]) -> frozenset[str]:
    """The model families that params turn on; in a commit without such keys, those that have a section."""
    switches = {key.removeprefix(FAMILIES): value for key, value in values.items() if key.startswith(FAMILIES)}
    if switches:
        return frozenset(name for name, value in switches.items() if value is True)
    return frozenset(known().keys() & {key.partition(".")[0] for key in values})


def _values(name: str, commit: str) -> dict[str, Any]:
    return dict(leaves(parse_yaml(_show(name, commit, str(PARAMS_FILE)), f"{name}: {PARAMS_FILE}")))


def _settings(values: Mapping[str, Any], name: str) -> tuple[int, dict[str, Any]]:
    seed = values.get("seed")
    if not isinstance(seed, int):
        found = ABSENT if seed is None else repr(seed)
        raise UserError(f"{name}: {PARAMS_FILE}: seed: found {found}; a whole number is needed")
    off = tuple(f"{name}." for name in known().keys() - _enabled(values))  # which had no part in the results
    others = {
        key: _plain(value) for key, value in values.items() if key != "seed" and not key.startswith((*INERT, *off))
    }
    return seed, others


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


def differing(*settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The keys whose values are not the same in all ``settings``, with each one's value or ``ABSENT``; without those of
    a family that has no section in one of them: it was off there, and had no part in the results."""
    sections = [{key.partition(".")[0] for key in setting} for setting in settings]
    off = {name for name in known() if not all(name in there for there in sections)}
    keys = dict.fromkeys(key for setting in settings for key in setting if key.partition(".")[0] not in off)
    values = {key: tuple(setting.get(key, ABSENT) for setting in settings) for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def sample_grids(commit: str, names: Iterable[str]) -> dict[str, bytes]:
    """The PNG bytes of those of ``names``, such as train_vae_samples, that the commit has in metrics/, by name."""
    found = {name: committed(commit, f"metrics/{name}.png") for name in names}
    return {name: picture for name, picture in found.items() if picture is not None}


def curves(commit: str) -> dict[str, bytes]:
    """The CSV file of each of :data:`TRAININGS`, by name; those that DVC does not have are left out.

    They are looked for in the cache, and in the remote if the repository has one.
    """
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    found = {}
    try:
        for name in TRAININGS:
            try:
                found[name] = _cached(commit, f"artifacts/{name}/curves.csv")
            except (OSError, DataIndexDirError):  # the file, or the list of its folder, is nowhere
                continue
    except DvcException:  # no repository of DVC, or a pipeline that it cannot read
        pass
    return found


def cached_out(name: str, commit: str, path: str) -> bytes:
    """The bytes of a file that the commit's pipeline made, an out or in one, out of DVC's cache or remote.

    Args:
        name: of the commit, for an error.
        commit: 40 hex digits.
        path: of the file, from the root.

    Raises:
        UserError: the commit's pipeline made no such file, or DVC does not have it.
    """
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    outs = {str(out.get("path", "")) for entry in lock_of(commit, name).values() for out in entry.get("outs", ())}
    if not any(PurePosixPath(path).is_relative_to(out) for out in outs if out):
        made = ", ".join(sorted(out for out in outs if out and Path(out).suffix == Path(path).suffix))
        raise UserError(f"{name}: made no {path}; allowed: {made or 'a revision whose pipeline was run'}")
    try:
        return _cached(commit, path)
    except (OSError, DataIndexDirError, DvcException):
        raise UserError(
            f"{name}: {path}: is not in DVC's cache; run `dvc fetch`, or the pipeline with that revision's params"
        ) from None


def _cached(commit: str, path: str) -> bytes:
    """DVC reads a commit from git's top level on, where the project is one of its "subrepos"."""
    from dvc.fs import DVCFileSystem

    whole = top(root())
    files = DVCFileSystem(repo=whole, rev=commit, subrepos=True)
    found: bytes = files.read_bytes((root().relative_to(whole) / path).as_posix())
    return found
