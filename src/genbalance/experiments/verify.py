"""`genbalance verify`: a commit is cloned, its whole pipeline runs with an empty cache, and both are compared."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

from genbalance.experiments.child import stop
from genbalance.experiments.dvc_lock import LOCK
from genbalance.experiments.requirements import exact, pins
from genbalance.experiments.runs import find_commits
from genbalance.experiments.verdict import Stage, Verdict, as_json, as_text, compare, read_state
from genbalance.params import PARAMS_FILE, read_yaml
from genbalance.runtime.errors import UserError
from genbalance.runtime.io import write_json
from genbalance.runtime.repository import environment, git, root, top

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FOREIGN = ("DVC_", "MLFLOW_", "PYTHONPATH")  # what would lead a run of the clone elsewhere
RAW = Path("data/raw")


@dataclass(frozen=True)
class Verification:
    """A commit and the verdict on it.

    Attributes:
        name: the revision as it was given.
        commit: 40 hex digits.
        packages: those whose version here is not the one that the commit's requirements.txt pins.
        exit_code: of ``dvc repro``.
        verdict: on its stages.
    """

    name: str
    commit: str
    packages: list[str]
    exit_code: int
    verdict: Verdict

    @property
    def holds(self) -> bool:
        """Whether the commit is reproduced here."""
        return self.exit_code == 0 and self.verdict.holds

    def __str__(self) -> str:
        text = as_text(self.verdict, self.name, self.commit)
        return text + f"\nthe pipeline ended with exit code {self.exit_code}" * bool(self.exit_code)

    def save(self, path: Path) -> None:
        """Writes all of it as JSON.

        Raises:
            UserError: the file cannot be written.
        """
        values = as_json(self.verdict, self.name, self.commit, self.packages)
        try:
            write_json(path, values | {"exit_code": self.exit_code, "holds": self.holds})
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def verify(revision: str, keep: bool) -> Verification:
    """Clones the commit into a temporary folder, runs the whole pipeline there with an empty cache and compares.

    It reports its progress on stderr. The folder is removed in the end, however that comes, unless ``keep``.

    Raises:
        UserError: the revision is none, or is several; its files are not what a run of the pipeline left.
    """
    commits = find_commits(revision)
    if len(commits) != 1:
        raise UserError(f"{revision}: stands for {len(commits)} commits; allowed: one")
    ((commit, name),) = commits.items()
    if changed := git("status", "--porcelain", "--", ".").splitlines():
        _note(f"the working tree is dirty ({len(changed)} paths): only the commit is verified, without these changes")
    repository = root()
    with clone(repository, commit, keep) as folder:
        committed = read_state(folder)
        if not committed:
            raise UserError(f"{name}: has no stages in {LOCK}; run `dvc repro` and commit what it leaves")
        lend(repository, folder, _data_path(folder))
        if packages := other_packages(folder / "requirements.txt"):
            _note(f"other packages are installed here than the commit pins, so bytes may differ: {', '.join(packages)}")
        kept = ", which is kept" * keep
        _note(f"{name} ({commit[:8]}) runs with an empty cache in {folder}{kept}: {len(committed)} stages")
        forget(folder, committed)
        exit_code = reproduce(folder)
        return Verification(name, commit, packages, exit_code, compare(committed, read_state(folder)))


def _data_path(folder: Path) -> Path:
    values: Any = read_yaml(folder / PARAMS_FILE)
    try:
        return Path(values["data"]["path"])
    except (KeyError, TypeError):
        raise UserError(f"{PARAMS_FILE}: data.path: found nothing; allowed: the path of a folder or file") from None


def _note(line: str) -> None:
    print(f"verify: {line}", file=sys.stderr, flush=True)


@contextmanager
def clone(repository: Path, commit: str, keep: bool) -> Iterator[Path]:
    """A temporary folder with ``commit`` of ``repository``, the project's folder, checked out, its DVC cache in it and
    empty; afterwards it is removed unless ``keep``, also when the block is ended by Ctrl-C, SIGTERM or SIGHUP. Yielded
    is the project in it.

    Raises:
        UserError: git cannot fetch the commit or check it out.
    """
    with ended_by_signals():
        folder = Path(tempfile.mkdtemp(prefix="genbalance-verify-")).resolve()
        try:
            whole = top(repository)
            project = folder / repository.resolve().relative_to(whole)
            git("init", "--quiet", folder=folder)
            # a clone would bring no experiments; protocol 2 hands out any commit, whether a branch leads to it or not
            git("config", "protocol.version", "2", folder=folder)
            git("fetch", "--quiet", "--depth", "1", str(whole), commit, folder=folder)
            git("checkout", "--quiet", "--detach", commit, folder=folder)
            if (project / ".dvc").is_dir():  # a cache that the user's own settings of DVC share would not be empty
                (project / ".dvc" / "config.local").write_text("[cache]\n    dir = cache\n", encoding="utf-8")
            yield project
        finally:
            if not keep:
                shutil.rmtree(folder)


def lend(repository: Path, folder: Path, data_path: Path) -> None:
    """Copies into the clone what the commit cannot hold and a stage would ask for or download: the files of data/raw
    and of ``data_path``, a folder or a file (data.path in params.yaml; an absolute one is found where it is).

    Raises:
        UserError: ``data_path`` is relative and leads out of the repository.
    """
    if ".." in data_path.parts:
        raise UserError(
            f"data.path: found {str(data_path)!r}; allowed for a clone: an absolute path, or one without .."
        )
    for place in (RAW, data_path):
        if place.is_absolute():
            continue
        whole = repository / place
        for file in [whole] if whole.is_file() else sorted(whole.rglob("*")):
            copy = folder / file.relative_to(repository)
            if file.is_file() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)


def other_packages(requirements: Path) -> list[str]:
    """What differs between a requirements.txt and what is installed here: "numpy 2.4.6 (here 2.5.5)"."""
    differing = []
    for wanted in pins(requirements):
        try:
            here = version(wanted.name)
        except PackageNotFoundError:
            here = "none"
        if here == "none" or not wanted.specifier.contains(here, prereleases=True):
            differing.append(f"{wanted.name} {exact(wanted)} (here {here})")
    return differing


def forget(folder: Path, stages: Mapping[str, Stage]) -> None:
    """Removes dvc.lock and the outs that git keeps, so that only what runs can be found afterwards."""
    for path in (LOCK, *(path for stage in stages.values() for path in stage.outs)):
        if (folder / path).is_file():
            (folder / path).unlink()


def reproduce(folder: Path) -> int:
    """Runs ``dvc repro`` in the clone with the present environment, its output on stderr; returns its exit code.

    Runs go to the clone's own MLflow store. However this ends, no process of it is left.
    """
    kept = {name: value for name, value in environment().items() if not name.startswith(FOREIGN)}
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "tmp" / "site"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    command = [sys.executable, "-m", "dvc", "repro"]
    # in a session of its own, so that Ctrl-C reaches it once, and from here
    process = subprocess.Popen(
        command, cwd=folder, env=kept | own, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
    )
    try:
        return process.wait()
    except BaseException:
        stop(process)
        raise
    finally:
        with suppress(ProcessLookupError):  # DVC killed from outside leaves its stage behind
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def ended_by_signals() -> Iterator[list[int]]:
    """The first signal ends the block as an exception; further ones do not keep it from ending in order. Yielded is a
    list that it is then in."""
    received: list[int] = []
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in handled:
            signal.signal(other, signal.SIG_IGN)
        received.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in handled}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
