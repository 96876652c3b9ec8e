"""One experiment in a clone of the commit, on any machine; and what it made, as a parcel that comes home.

A node keeps a repository's sweeps below ``GENBALANCE_WORK``, or else below the system's folder for temporary files:
``<repository>/<point>/clone`` as long as the point's results are not home, ``<repository>/cache``, DVC's cache of all
points there (on the driver's own machine it is the home repository's), and ``parcel.tar`` beside the clone. A parcel
holds ``experiment.bundle`` (the experiment's ref, for git), ``cache/`` (what the home repository's cache lacks),
``store/`` (the clone's mlflow.db and its artifacts) and ``log``.

Ray ships the functions of :func:`run_point` to nodes by value, so they need the standard library and
:mod:`genbalance.runtime` alone.
"""

import fcntl
import getpass
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from genbalance.experiments.child import last_line, run_dvc
from genbalance.runtime.repository import environment, git

WORK = "GENBALANCE_WORK"
# what would lead a run of the clone elsewhere, or is Ray's own
FOREIGN = ("DVC_", "MLFLOW_", "PYTHONPATH", "RAY_", "OMP_NUM_THREADS")
KEPT = (
    ".checkpoints",
    "mlartifacts",
    "mlflow.db",
    "mlflow.db-shm",
    "mlflow.db-wal",
)  # of an attempt that was cut short
HASH = re.compile(r"\b(?:md5|hash): ['\"]?([0-9a-f]{32}(?:\.dir)?)\b")
FILES, RUNS = Path("files/md5"), Path("runs")  # in DVC's cache
PARCEL, LOG, BUNDLE = "parcel.tar", "log", "experiment.bundle"


@dataclass(frozen=True)
class Job:
    """What a node needs to know of a point.

    Attributes:
        repository: a name for the home repository, which no other on this node has.
        name: of the experiment.
        settings: of the point.
        commit: that it is run on.
        ref: of the experiment.
        project: the project's folder, from git's top level.
        author: name and address of whoever commits.
        variables: of the environment, from the driver.
        known: names of files in DVC's cache that are home already.
        cache: the home repository's cache, on the machine that has it; "" elsewhere.
        log: the file that the output goes to, on that machine; "" elsewhere.
    """

    repository: str
    name: str
    settings: tuple[str, ...]
    commit: str
    ref: str
    project: str
    author: tuple[str, str]
    variables: Mapping[str, str]
    known: frozenset[str] = frozenset()
    cache: str = ""
    log: str = ""


def work_folder() -> Path:
    """Where this machine keeps clones."""
    named = os.environ.get(WORK)
    return Path(named) if named else Path(tempfile.gettempdir()) / f"genbalance-{getpass.getuser()}"


def run_point(
    job: Job, bundle: Callable[[], bytes], packs: Callable[[Path], None], raw: Callable[[Path], None]
) -> tuple[str, Path]:
    """Runs a point; the same again after it was killed goes on from there.

    Args:
        job: the point.
        bundle: gives the commit as a bundle of git; asked once on a node.
        packs: brings files into DVC's cache, which it is given.
        raw: brings the downloads of the home repository into a folder, which it is given; asked once on a node.

    Returns:
        "" and the parcel; or the last line of a point that failed, and its log.
    """
    place = work_folder() / job.repository
    folder = place / job.name
    folder.mkdir(parents=True, exist_ok=True)
    parcel, log = folder / PARCEL, Path(job.log) if job.log else folder / LOG
    with locked(folder / "lock") as lock:
        if parcel.exists():  # the driver ended before it was home
            return "", parcel
        cache = Path(job.cache) if job.cache else place / "cache"
        project = _clone(job, place, folder / "clone", cache, bundle)
        packs(cache)
        _lend(place / "raw", project / "data" / "raw", raw)
        own = {"DVC_SITE_CACHE_DIR": str(place / "site"), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        own |= {"PYTHONPATH": str(project / "src")}
        kept = {name: value for name, value in environment().items() if not name.startswith(FOREIGN)}
        arguments = [
            "exp",
            "run",
            "--temp",
            "--name",
            job.name,
            *(word for each in job.settings for word in ("-S", each)),
        ]
        begun = log.stat().st_size if log.exists() else 0
        code = run_dvc(arguments, project, {**kept, **job.variables, **own}, log, lock)
        made = git("for-each-ref", "--format=%(objectname)", job.ref, folder=project).strip()
        if code or not made:
            output = log.read_bytes()[begun:].decode(errors="replace")
            return last_line(output, code), log
        _pack(job, project, cache, log, parcel)
        return "", parcel


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The descriptor of a lock that is held in the block."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _clone(job: Job, place: Path, folder: Path, cache: Path, bundle: Callable[[], bytes]) -> Path:
    """The project in a new clone, with the checkpoints and the MLflow store of an attempt that was cut short."""
    source = place / f"{job.commit}.bundle"
    if not source.exists():
        part = source.with_suffix(f".{os.getpid()}")
        part.write_bytes(bundle())
        part.rename(source)
    new = folder.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    git("clone", "--quiet", "--no-checkout", str(source), str(new), folder=place)
    git("checkout", "--quiet", "--detach", job.commit, folder=new)
    for key, value in zip(("user.name", "user.email"), job.author, strict=True):
        git("config", key, value, folder=new)
    project = new / job.project
    (project / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
    for name in KEPT:
        with suppress(FileNotFoundError):
            (folder / job.project / name).rename(project / name)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    return folder / job.project


def _lend(place: Path, folder: Path, raw: Callable[[Path], None]) -> None:
    """Downloads of data, in a clone."""
    if not place.exists():
        part = place.with_name(f"raw.{os.getpid()}")
        raw(part)
        with suppress(OSError):  # another point was first
            part.rename(place)
        shutil.rmtree(part, ignore_errors=True)
    if place.exists():
        shutil.copytree(place, folder, copy_function=os.link, dirs_exist_ok=True)


def _pack(job: Job, project: Path, cache: Path, log: Path, parcel: Path) -> None:
    """Writes the parcel of an experiment that has run."""
    bundle = project / ".dvc" / "tmp" / BUNDLE
    git("bundle", "create", "--quiet", str(bundle), job.ref, f"^{job.commit}", folder=project)
    part = parcel.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        tar.add(bundle, BUNDLE)
        if not job.log:
            tar.add(log, LOG)
        if not job.cache:
            for name in sorted(cached(cache, git("show", f"{job.ref}:./dvc.lock", folder=project)) - job.known):
                tar.add(cache / name, f"cache/{name}")
        for path in sorted(project.glob("mlflow.db*")):
            tar.add(path, f"store/{path.name}")
        if (project / "mlartifacts").is_dir():
            tar.add(project / "mlartifacts", "store/mlartifacts")
    part.rename(parcel)


def cached(cache: Path, lock: str, seen: dict[str, set[str]] | None = None) -> set[str]:
    """The names of those files in DVC's cache that the stages of a dvc.lock left, and of the runs that left them.

    Args:
        cache: of DVC.
        lock: the text of dvc.lock.
        seen: the hashes in each file of a run, which never changes; what is read is added.
    """
    seen = {} if seen is None else seen
    hashes = set(HASH.findall(lock))
    for folder in [each for each in hashes if each.endswith(".dir")]:
        with suppress(FileNotFoundError):
            hashes |= {entry["md5"] for entry in json.loads((cache / _file(folder)).read_bytes())}
    found = {str(_file(each)) for each in hashes if (cache / _file(each)).exists()}
    for run in (cache / RUNS).glob("*/*/*"):
        if re.fullmatch("[0-9a-f]{64}", run.name):  # and none that is being written
            name = str(run.relative_to(cache))
            if name not in seen:
                seen[name] = set(HASH.findall(run.read_text(encoding="utf-8")))
            if seen[name] <= hashes:
                found.add(name)
    return found


def _file(md5: str) -> Path:
    return FILES / md5[:2] / md5[2:]


def add_to_cache(source: Path, cache: Path) -> None:
    """Moves the files below ``source`` to where they belong in a cache, each whole or not at all."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = cache / file.relative_to(source)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_name(f".{place.name}.{os.getpid()}")
            shutil.move(file, part)
            part.replace(place)
